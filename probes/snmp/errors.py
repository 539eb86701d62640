"""What can go wrong between us and an agent, sorted by who has to act.

SnmpError
+-- LocalError                   we could not ask
|   +-- BadRequest               the question itself is wrong (an OID, an address, a missing password)
|   +-- SendFailed               the operating system did not take the datagram
|   +-- NotAsked                 the device is silent and its next cheap probe is not due yet (R23)
+-- RemoteError                  it answered, and wrongly
|   +-- MalformedMessage         the bytes are no SNMP message
|   +-- NotAuthentic             the digest does not match: somebody else wrote it, or the password differs
|   +-- ErrorStatus              the PDU carries an error status (genErr, noAccess, tooBig of a single varbind ...)
|   +-- UnexpectedAnswer         a well-formed answer to another question
|   +-- NotIncreasing            a walk that does not move forward (R16)
|   +-- WalkTooLong              a walk that passed its limits (R17)
|   +-- UsmReport                the agent's USM refused us (RFC 3414, 3.2; R12)
|       +-- WrongPassword        usmStatsWrongDigests
|       +-- WrongPrivacyPassword usmStatsDecryptionErrors
|       +-- UnknownUser          usmStatsUnknownUserNames
|       +-- UnsupportedLevel     usmStatsUnsupportedSecLevels
|       +-- NotInTimeWindow      usmStatsNotInTimeWindows, again after resynchronisation
|       +-- UnknownEngine        usmStatsUnknownEngineIDs, again after discovery
|       +-- OtherReport          any other report (unknown context, unknown security model ...)
+-- NoAnswer                     nobody answered in time, after all tries
    +-- Refused                  the network said so: port, host or network unreachable
    +-- DeadlinePassed           the time for the whole device was used up (R5)
"""

# ruff: noqa: N818  the names say what happened and who has to act; the tree above says that they are errors

from typing import ClassVar, Final


class SnmpError(Exception):
    """Any failure of the SNMP engine; str() is one whole sentence for the operator.

    reason: one short word, stable, for logs and measurements. recoverable: whether asking again, unchanged, can help.
    """

    reason: ClassVar[str] = "error"
    recoverable: ClassVar[bool] = False


class LocalError(SnmpError):
    """We could not ask."""

    reason = "local"


class BadRequest(LocalError):
    """The question itself is wrong: an OID, an address, a missing password."""

    reason = "bad_request"


class SendFailed(LocalError):
    """The operating system did not take the datagram; never counts as a loss."""

    reason = "send_failed"
    recoverable = True


class NotAsked(LocalError):
    """The device was silent last time and its next cheap probe is not due yet (R23)."""

    reason = "not_asked"
    recoverable = True


class RemoteError(SnmpError):
    """The agent answered, and wrongly."""

    reason = "remote"


class MalformedMessage(RemoteError):
    """The bytes are no SNMP message (RFC 3417, 8; RFC 3412, 6)."""

    reason = "malformed"


class NotAuthentic(RemoteError):
    """The digest of a message does not match its content (RFC 3414, 6.3.2)."""

    reason = "not_authentic"


class UnexpectedAnswer(RemoteError):
    """A well-formed answer to another question: other OIDs, or fewer."""

    reason = "unexpected_answer"


class NotIncreasing(RemoteError):
    """The agent's OIDs do not increase: the walk would never end (R16)."""

    reason = "not_increasing"


class WalkTooLong(RemoteError):
    """A walk passed its limit of varbinds or seconds (R17)."""

    reason = "walk_too_long"


ERROR_STATUS_NAMES: Final = (
    "noError", "tooBig", "noSuchName", "badValue", "readOnly", "genErr", "noAccess", "wrongType", "wrongLength",
    "wrongEncoding", "wrongValue", "noCreation", "inconsistentValue", "resourceUnavailable", "commitFailed",
    "undoFailed", "authorizationError", "notWritable", "inconsistentName",
)  # fmt: skip
"""By number (RFC 3416, 3)."""


class ErrorStatus(RemoteError):
    """The PDU carries an error status; index is the place of the varbind to blame, from 1, or 0."""

    reason = "error_status"

    def __init__(self, sentence: str, status: int, index: int) -> None:
        super().__init__(sentence)
        self.status = status
        self.index = index


def name_error_status(status: int) -> str:
    """Name of an error status (RFC 3416, 3), or its number in words."""
    return ERROR_STATUS_NAMES[status] if 0 <= status < len(ERROR_STATUS_NAMES) else f"error status {status}"


class UsmReport(RemoteError):
    """The agent's user-based security model refused us (RFC 3414, 3.2)."""

    reason = "usm_report"


class WrongPassword(UsmReport):
    """usmStatsWrongDigests: the authentication password or protocol differs."""

    reason = "wrong_password"


class WrongPrivacyPassword(UsmReport):
    """usmStatsDecryptionErrors: the privacy password or protocol differs."""

    reason = "wrong_privacy_password"


class UnknownUser(UsmReport):
    """usmStatsUnknownUserNames."""

    reason = "unknown_user"


class UnsupportedLevel(UsmReport):
    """usmStatsUnsupportedSecLevels: the agent knows the user, but not with this security level."""

    reason = "unsupported_level"


class NotInTimeWindow(UsmReport):
    """usmStatsNotInTimeWindows, again right after resynchronisation: the agent's clock does not hold."""

    reason = "not_in_time_window"
    recoverable = True


class UnknownEngine(UsmReport):
    """usmStatsUnknownEngineIDs, again right after discovery."""

    reason = "unknown_engine"
    recoverable = True


class OtherReport(UsmReport):
    """Any other report: unknown context, unknown security model, unavailable context."""

    reason = "other_report"


class NoAnswer(SnmpError):
    """Nobody answered in time, after all tries."""

    reason = "no_answer"
    recoverable = True


class Refused(NoAnswer):
    """The network said that nobody listens there: ICMP port, host or network unreachable."""

    reason = "refused"


class DeadlinePassed(NoAnswer):
    """The time for the whole device was used up (R5)."""

    reason = "deadline"
