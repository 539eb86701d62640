"""TCP: does the port accept a connection."""

from probes.connect import open_stream
from probes.result import Found, Observation, Question
from probes.target import split_target
from probes.text import printable


async def ask_tcp(question: Question, observation: Observation) -> Found:
    """Connect and leave; the target must name its port."""
    host, port = check_tcp(question)
    async with open_stream(host, port, observation) as stream:
        observation.finish()
        observation.see("connected", stream.peer)
    return Found("connects", {"target": printable(question.target)})


def check_tcp(question: Question) -> tuple[str, int]:
    """Host and port; raises BadQuestion where there is no sense in asking."""
    return split_target(question.target, None)
