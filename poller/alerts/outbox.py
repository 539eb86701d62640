"""The outbox: mails leave from disk, and stay there until a server has said 250 (R59).

    waiting --claim--> sending --250--> sent
                          |----5xx for this mail--> dead        (a dead letter: shown, never tried again)
                          |----anything else--> waiting, later  (next relay first; then back-off; dead after 48 h)

Accepted means that the relay answered 250 to the end of DATA, nothing less. "sending" is committed before the first
octet leaves. A crash between the server's 250 and our record leaves the mail in "sending"; at the next start it is
sent again with the same Message-ID: a mail may come twice, and be recognised as the same by that, but it is never
lost. In a maildir the file is named after the Message-ID, so there the second delivery replaces the first.

Mails that the storm cap holds are "held" until one mail tells of them together; then they are "told".

A 5xx that is about the relay and not about the mail (at connect, EHLO, STARTTLS or AUTH) is the relay's failure: the
next relay is asked. A relay that failed is asked last for RELAY_REST seconds, so that a hanging one does not delay
every mail.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import sqlite3
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from email.policy import SMTP
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import aiosmtplib

from poller.alerts.states import SECOND
from poller.alerts.store import Store
from poller.secrets import SecretUnavailable
from poller.settings import Mail, Relay

log = logging.getLogger(__name__)
TIMEOUT: Final = 10.0
"""Seconds for one step of an SMTP dialogue; a whole attempt has three times that."""
BACK_OFF: Final = (5.0, 15.0, 60.0, 300.0, 900.0)
"""Seconds until the next try; the last one repeats."""
GIVE_UP: Final = 48 * 3600 * SECOND
RELAY_REST: Final = 60 * SECOND
AT_ONCE: Final = 4
"""Mails in flight at the same time."""
IDLE_SECONDS: Final = 1.0
_PERMANENT: Final = 500


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """One row of the outbox that is due."""

    id: int
    message_id: str
    recipient: str
    message: bytes
    created_ns: int
    tries: int
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt brought: accepted, refused for good, or neither (try again)."""

    accepted: bool
    refused: bool
    relay: str
    answer: str


def back_off_seconds(tries: int) -> float:
    """Seconds to wait after that many tries."""
    return BACK_OFF[min(tries, len(BACK_OFF)) - 1]


Way: TypeAlias = Callable[[QueuedMail], Awaitable[Outcome]]
"""How what is no mail leaves (poller.alerts.ways)."""


async def run_outbox(outbox: "Outbox", clock: Callable[[], int]) -> None:
    """Send what is due, for ever."""
    store = outbox.store
    woken = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be gone while the store still writes
            loop.call_soon_threadsafe(woken.set)

    store.on_mail = wake
    await outbox.recover()
    await outbox.look()
    while True:
        woken.clear()
        try:
            await outbox.send_due(clock())
        except sqlite3.Error as error:
            log.error("outbox: cannot read or record: %s", error)  # noqa: TRY400 - known cause; tried again
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), IDLE_SECONDS)


async def try_every_way(settings: Mail, secrets: Path, mail: QueuedMail) -> list[Outcome]:
    """Send one mail by every relay, or into the maildir, and say what each answered; for `hinomi test-mail`."""
    if not settings.relays:
        return [await asyncio.to_thread(deliver_to_maildir, settings.maildir, mail)]
    return [await _ask(relay, secrets, mail) for relay in settings.relays]


class Outbox:
    """Sends what is due, and records what became of it.

    secrets: the directory that "file:" references are relative to. ways: how recipients of other schemes than a mail
    address are reached ("webhook:", "mqtt:").
    """

    def __init__(
        self,
        store: Store,
        mail: Mail,
        secrets: Path,
        timeout: float = TIMEOUT,
        ways: Mapping[str, Way] = MappingProxyType({}),
    ) -> None:
        self.store = store
        self._ways = ways
        self._mail = mail
        self._secrets = secrets
        self._timeout = timeout
        self._failed_ns: dict[str, int] = {}

    def follow(self, mail: Mail, secrets: Path, ways: Mapping[str, Way]) -> None:
        """Send by other relays and ways from the next mail on; those that are leaving go as they began."""
        self._mail, self._secrets, self._ways = mail, secrets, ways

    async def recover(self) -> int:
        """Put mails back that a crash left in "sending"; how many there were."""
        count = await asyncio.wrap_future(
            self.store.call(
                lambda db: db.execute("UPDATE outbox SET state = 'waiting' WHERE state = 'sending'").rowcount
            )
        )
        if count:
            log.warning("outbox: sending again what a crash interrupted: mails=%d", count)
        return count

    async def send_due(self, now_ns: int) -> int:
        """Try every mail that is due, a few at the same time; how many were accepted."""
        due = await asyncio.wrap_future(self.store.call(lambda db: _claim(db, now_ns)))
        if not due:
            return 0
        gate = asyncio.Semaphore(AT_ONCE)

        async def attempt(mail: QueuedMail) -> bool:
            async with gate:
                outcome = await self._attempt(mail, now_ns)
            state = await asyncio.wrap_future(self.store.call(lambda db: _record(db, mail, outcome, now_ns)))
            self.store.outbox.sent_total += state == "sent"
            self.store.outbox.dead_total += state == "dead"
            level = logging.INFO if outcome.accepted else logging.WARNING
            log.log(
                level,
                "mail message_id=%s accepted=%s refused=%s relay=%s tries=%d answer=%s",
                mail.message_id,
                outcome.accepted,
                outcome.refused,
                outcome.relay,
                mail.tries,
                outcome.answer,
            )
            return outcome.accepted

        accepted = sum(await asyncio.gather(*(attempt(mail) for mail in due)))
        await self.look()
        return accepted

    async def look(self) -> None:
        """Note what waits, for whoever watches the outbox."""
        state = self.store.outbox
        state.waiting, state.oldest_ns = await asyncio.wrap_future(self.store.call(_waiting))

    async def _attempt(self, mail: QueuedMail, now_ns: int) -> Outcome:
        way = self._ways.get(mail.recipient.partition(":")[0])
        if way is not None:
            return await way(mail)
        if not self._mail.relays:
            return await asyncio.to_thread(deliver_to_maildir, self._mail.maildir, mail)
        outcome = Outcome(accepted=False, refused=False, relay="", answer="no relay is configured")
        for relay in self._in_order(now_ns):
            name = f"{relay.host}:{relay.port}"
            outcome = await _ask(relay, self._secrets, mail, self._timeout)
            if outcome.accepted or outcome.refused:
                self._failed_ns.pop(name, None)
                return outcome
            self._failed_ns[name] = now_ns
        return outcome

    def _in_order(self, now_ns: int) -> Sequence[Relay]:
        """Relays as configured, those that failed lately last."""

        def resting(relay: Relay) -> bool:
            failed = self._failed_ns.get(f"{relay.host}:{relay.port}")
            return failed is not None and now_ns - failed < RELAY_REST

        return sorted(self._mail.relays, key=resting)


async def _ask(relay: Relay, secrets: Path, mail: QueuedMail, step_seconds: float = TIMEOUT) -> Outcome:
    """One dialogue with one relay."""
    name = f"{relay.host}:{relay.port}"
    try:
        password = relay.password.read(secrets).reveal() if relay.password is not None else None
    except SecretUnavailable as error:
        return Outcome(accepted=False, refused=False, relay=name, answer=str(error))
    client = aiosmtplib.SMTP(
        hostname=relay.host,
        port=relay.port,
        timeout=step_seconds,
        use_tls=relay.tls == "tls",
        start_tls=relay.tls == "starttls",
        tls_context=ssl.create_default_context() if relay.tls != "none" else None,
    )
    try:
        async with asyncio.timeout(3 * step_seconds):
            return await _dialogue(client, relay, password, mail)
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
        return Outcome(accepted=False, refused=False, relay=name, answer=failure_text(error, relay)[:300])
    finally:
        client.close()


def failure_text(error: Exception, relay: Relay) -> str:  # noqa: PLR0911 - one a kind of failure
    """Why there was no answer to record, as a sentence without names of this program's parts."""
    cause = error.__cause__ or error
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    if isinstance(cause, socket.gaierror):
        return f"the name {relay.host} cannot be resolved"
    if isinstance(cause, ConnectionRefusedError):
        return f"{relay.host} refused the connection: no mail server listens on port {relay.port}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate of {relay.host} is not trusted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS with {relay.host} failed ({cause.reason or cause}); the relay's tls setting is {relay.tls!r}"
    if isinstance(error, TimeoutError | aiosmtplib.SMTPTimeoutError):
        return f"{relay.host} did not answer in time"
    if isinstance(error, aiosmtplib.SMTPServerDisconnected):
        return f"{relay.host} closed the connection in the middle of the dialogue"
    if isinstance(cause, OSError) and cause.strerror:
        return f"cannot connect to {relay.host}: {cause.strerror}"
    return f"the dialogue with {relay.host} failed: {error}"


async def _dialogue(client: aiosmtplib.SMTP, relay: Relay, password: str | None, mail: QueuedMail) -> Outcome:
    name = f"{relay.host}:{relay.port}"
    await client.connect()
    if relay.username is not None and password is not None:
        await client.login(relay.username, password)
    sender = _sender_of(mail.message)
    try:
        await client.mail(sender)
        await client.rcpt(mail.recipient)
        answer = await client.data(mail.message)
    except aiosmtplib.SMTPResponseException as error:
        refused = error.code >= _PERMANENT
        return Outcome(accepted=False, refused=refused, relay=name, answer=f"{error.code} {error.message}"[:300])
    with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        await client.quit()
    return Outcome(accepted=True, refused=False, relay=name, answer=f"{answer.code} {answer.message}"[:300])


def _sender_of(message: bytes) -> str:
    """The address in the From header, which mail.py wrote."""
    header = BytesHeaderParser(policy=SMTP).parsebytes(message)["From"]
    return str(header.addresses[0].addr_spec)


def deliver_to_maildir(directory: str | None, mail: QueuedMail) -> Outcome:
    """Deliver into a maildir (tmp, then new); the same Message-ID replaces itself."""
    if directory is None:
        return Outcome(accepted=False, refused=False, relay="", answer="neither a relay nor a maildir is configured")
    maildir = Path(directory)
    name = hashlib.sha256(mail.message_id.encode()).hexdigest()[:24] + ".hinomi"
    try:
        for part in ("tmp", "new", "cur"):
            (maildir / part).mkdir(parents=True, exist_ok=True)
        with (maildir / "tmp" / name).open("wb") as file:
            file.write(mail.message.replace(b"\r\n", b"\n"))
            file.flush()
            os.fsync(file.fileno())
        (maildir / "tmp" / name).rename(maildir / "new" / name)
    except OSError as error:
        return Outcome(accepted=False, refused=False, relay=f"maildir:{directory}", answer=str(error))
    return Outcome(accepted=True, refused=False, relay=f"maildir:{directory}", answer="250 delivered")


_SUPERSEDE: Final = """
UPDATE outbox SET state = 'superseded', done_ns = ?, answer = 'a later repeat says it'
WHERE state = 'waiting' AND kind = 'repeat' AND tries > 0 AND EXISTS (SELECT 1 FROM outbox AS later
  WHERE later.state = 'waiting' AND later.kind = 'repeat' AND later.incident = outbox.incident
  AND later.contact = outbox.contact AND later.id > outbox.id)
"""
"""After two hours without a relay people read the first mail and the latest repeat, and not eight of them."""


def _claim(connection: sqlite3.Connection, now_ns: int) -> list[QueuedMail]:
    """What is due, marked as being sent; repeats that a later one makes stale are left out, and marked so."""
    connection.execute(_SUPERSEDE, (now_ns,))
    rows = connection.execute(
        "UPDATE outbox SET state = 'sending', tries = tries + 1 WHERE id IN"
        " (SELECT id FROM outbox WHERE state = 'waiting' AND due_ns <= ? ORDER BY id LIMIT 200)"
        " RETURNING id, message_id, recipient, message, created_ns, tries, kind",
        (now_ns,),
    ).fetchall()
    return sorted((QueuedMail(*row) for row in rows), key=lambda mail: mail.id)


def _waiting(connection: sqlite3.Connection) -> tuple[int, int | None]:
    """How many wait, and since when the oldest does."""
    count, oldest = connection.execute(
        "SELECT count(*), min(created_ns) FROM outbox WHERE state IN ('waiting', 'sending')"
    ).fetchone()
    return count, oldest


def _record(connection: sqlite3.Connection, mail: QueuedMail, outcome: Outcome, now_ns: int) -> str:
    """Note what an attempt brought; the mail's new state."""
    if outcome.accepted:
        state, done = "sent", now_ns
    elif outcome.refused or now_ns - mail.created_ns >= GIVE_UP:
        state, done = "dead", now_ns
    else:
        state, done = "waiting", None
    due = now_ns + int(back_off_seconds(mail.tries) * SECOND)
    connection.execute(
        "UPDATE outbox SET state = ?, due_ns = ?, relay = ?, answer = ?, done_ns = ? WHERE id = ?",
        (state, due, outcome.relay, outcome.answer, done, mail.id),
    )
    return state
