"""TCP: does the port accept a connection."""

from typing import Final

from probes.connect import open_stream
from probes.errors import BadQuestion
from probes.result import Found, Observation, Question
from probes.target import split_target
from probes.text import printable

_NO_PORT: Final = 1
"""Port 1 (tcpmux) stands for none: nobody asks for it."""


async def ask_tcp(question: Question, observation: Observation) -> Found:
    """Connect and leave; the target must name its port."""
    host, port = check_tcp(question)
    async with open_stream(host, port, observation) as stream:
        observation.finish()
        observation.see("connected", stream.peer)
    return Found("connects", {"target": printable(question.target)})


def check_tcp(question: Question) -> tuple[str, int]:
    """Host and port; raises BadQuestion where there is no sense in asking."""
    host, port = split_target(question.target, _NO_PORT)
    if port == _NO_PORT:
        raise BadQuestion(f"{question.target!r} names no port, and TCP has no usual one: write HOST:PORT")
    return host, port
