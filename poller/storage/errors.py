"""What can go wrong in keeping, sorted by blame and by whether trying again can help.

StorageError
+- JournalError            our own disk
|  +- JournalUnavailable   cannot write now (disk full, I/O error); what was appended waits in memory and is tried again
|  +- JournalInUse         another process has it open; two daemons on one state directory would spoil it
|  +- JournalTooNew        the file was written by a newer version; it is left as it is
|  +- UnreadableRecord     one record's bytes are damaged or of an unknown version
+- AlertsTooNew            the alerts' file was written by a newer version; it is left as it is
- StoreUnavailable        a store cannot take the batch now; the same batch is right later (run_reader tries again)
+- HistoryError            a question to the past that cannot be answered (unknown name, no server)

A store that will never take a sample raises nothing: the sample goes to the dead letters with the reason.
"""


class StorageError(Exception):
    """Root of this package's errors."""


class JournalError(StorageError):
    """Our own journal."""


class JournalUnavailable(JournalError):  # noqa: N818 - the name is the outcome
    """Nothing can be made durable at present; nothing is lost yet either."""


class JournalInUse(JournalError):  # noqa: N818 - the name is the outcome
    """Another process works with this journal."""


class JournalTooNew(JournalError):  # noqa: N818 - the name is the outcome
    """The file's format is newer than this program; it is neither read nor touched."""


class AlertsTooNew(StorageError):  # noqa: N818 - the name is the outcome
    """The alerts' file is newer than this program; it is neither read nor touched."""


class UnreadableRecord(JournalError):  # noqa: N818 - the name is the outcome
    """The bytes of one record cannot be decoded."""


class StoreUnavailable(StorageError):  # noqa: N818 - the name is the outcome
    """The store cannot take the batch now.

    retry_after_seconds: what the store itself asked for (Retry-After), None where it did not say.
    reason: a short word for metrics and alerts: unreachable, timeout, busy, refused (password, permission), missing
    (database, bucket), failed, disk_full.
    """

    def __init__(self, reason: str, text: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason
        self.text = text
        self.retry_after_seconds = retry_after_seconds


class HistoryError(StorageError):
    """The past cannot be read as asked."""
