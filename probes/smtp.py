"""SMTP as a sending server speaks it, up to STARTTLS or RCPT; nothing is ever delivered (RFC 5321, RFC 3207)."""

from ipaddress import ip_address
from typing import Final

from probes.certificates import context_for, see_certificate
from probes.connect import Stream, open_stream
from probes.errors import BadQuestion, RemoteError
from probes.result import Found, Observation, Question
from probes.target import split_target
from probes.text import printable
from probes.tls import start_tls

PORT: Final = 25
_MOST_LINES: Final = 64
_CODE: Final = 3


async def ask_smtp(question: Question, observation: Observation) -> Found:
    """Greet; with starttls set up TLS; with a recipient go on to RCPT and take it back.

    The certificate is verified where ca_file or server_name is given: relays that take mail from anybody seldom have
    one for their name.
    """
    host, port = check_smtp(question)
    async with open_stream(host, port, observation) as stream:
        observation.enter("first_byte")
        dialogue = _Dialogue(stream, observation, printable(question.target))
        await dialogue.expect("220", ("挨拶", "the greeting"))
        observation.enter("rest")
        step = "EHLO"
        extensions = await dialogue.greet()
        if question.starttls:
            step = "STARTTLS"
            await _secure(stream, dialogue, question, extensions)
        if question.recipient:
            step = "RCPT"
            await dialogue.command(f"MAIL FROM:<{question.sender}>", "250")
            await dialogue.command(f"RCPT TO:<{question.recipient}>", "25")
            observation.finish()
            await dialogue.command("RSET", "")
        elif observation.response_seconds is None:
            observation.finish()
        await dialogue.command("QUIT", "")
    return Found("smtp_accepts", {"target": printable(question.target), "step": step})


def check_smtp(question: Question) -> tuple[str, int]:
    """Host and port; raises BadQuestion where there is no sense in asking."""
    for field, address in (("sender", question.sender), ("recipient", question.recipient or "")):
        if any(sign.isspace() or sign in "<>" or not sign.isprintable() for sign in address):
            raise BadQuestion(f"{address!r} is no mail address", field)
    return split_target(question.target, PORT)


async def _secure(stream: Stream, dialogue: "_Dialogue", question: Question, extensions: list[str]) -> None:
    if not any(extension.upper().split()[:1] == ["STARTTLS"] for extension in extensions):
        raise RemoteError("smtp_no_starttls", target=printable(question.target))
    await dialogue.command("STARTTLS", "220")
    verify = question.ca_file is not None or question.server_name is not None
    name = question.server_name or split_target(question.target, PORT)[0]
    await start_tls(stream, context_for(question.ca_file, verify=verify), name, dialogue.observation)
    dialogue.observation.enter("rest")
    see_certificate(stream.writer.get_extra_info("ssl_object"), dialogue.observation)
    await dialogue.greet()


class _Dialogue:
    """Commands and replies on one connection."""

    def __init__(self, stream: Stream, observation: Observation, target: str) -> None:
        self._stream = stream
        self._target = target
        self.observation = observation

    async def greet(self) -> list[str]:
        """EHLO with our address as a literal (RFC 5321, 4.1.3); the extensions offered."""
        host = str(self._stream.writer.get_extra_info("sockname")[0]).partition("%")[0]
        literal = f"[IPv6:{host}]" if ip_address(host).version == 6 else f"[{host}]"  # noqa: PLR2004 - of IP
        return (await self.command(f"EHLO {literal}", "250"))[1:]

    async def command(self, command: str, wanted: str) -> list[str]:
        """Send a command; the reply's lines, which must begin with the wanted digits."""
        self.observation.tell(f"> {command}")
        self._stream.writer.write(f"{command}\r\n".encode())
        await self._stream.writer.drain()
        return await self.expect(wanted, command.split(":", maxsplit=1)[0])

    async def expect(self, wanted: str, step: str | tuple[str, str]) -> list[str]:
        """The lines of the next reply without their codes; raises RemoteError for another code than wanted."""
        lines: list[str] = []
        while len(lines) < _MOST_LINES:
            line = (await self._stream.line("SMTP")).decode("utf-8", "replace").rstrip("\r\n")
            self.observation.tell(f"< {line}")
            code, lines = line[:_CODE], [*lines, line[_CODE + 1 :]]
            if (
                not (code.isascii() and code.isdigit())
                or len(code) < _CODE
                or line[_CODE : _CODE + 1] not in {"", " ", "-"}
            ):
                raise self._malformed(printable(line, 60))
            if line[_CODE : _CODE + 1] == "-":
                continue
            reply = printable(f"{code} {' '.join(lines)}")
            self.observation.see(step if isinstance(step, str) else step[1], reply)
            if not code.startswith(wanted):
                raise RemoteError("smtp_declines", target=self._target, step=step, reply=reply)
            return lines
        raise self._malformed(("終わりのない応答", "a reply without end"))

    def _malformed(self, detail: str | tuple[str, str]) -> RemoteError:
        return RemoteError("malformed", peer=self.observation.peer, protocol="SMTP", detail=detail)
