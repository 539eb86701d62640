"""What can go wrong when a probe asks, sorted by blame.

    ProbeError
        LocalError        we could not ask: no permission, no socket, a plan that cannot be kept
            BadQuestion   what is to be asked makes no sense: a target without a host, a port above 65535
            NotAsked      a known hindrance of ours; reason and facts make the sentence
        Fault             the other side; reason and facts make the sentence (probes.sentences)
            NoAnswer      nobody answered in time
            RemoteError   it answered, and not as it should

The SNMP package has its own tree. An echo that is not answered is an outcome and no error.
"""

from probes.sentences import Said, sentence


class ProbeError(Exception):
    """Anything that keeps a probe from its work; the text is a sentence for the operator."""


class LocalError(ProbeError):
    """We could not ask; the target has nothing to do with it, and trying again changes nothing by itself."""


class BadQuestion(LocalError):  # noqa: N818 - it says what is the matter
    """The question itself cannot be asked, whoever is asked; about names the field of Question that is at fault."""

    def __init__(self, text: str, about: str = "target") -> None:
        self.about = about
        super().__init__(text)


class NotAsked(LocalError):  # noqa: N818 - it says what is the matter
    """Something of ours is in the way. reason: a key of SENTENCES; facts: what its sentence names."""

    def __init__(self, reason: str, **facts: Said) -> None:
        self.reason = reason
        self.facts = facts
        super().__init__(sentence(reason, facts, "en"))


class Fault(ProbeError):  # noqa: N818 - it says whose matter it is
    """The other side is at fault. reason: a key of SENTENCES; facts: what its sentence names."""

    def __init__(self, reason: str, **facts: Said) -> None:
        self.reason = reason
        self.facts = facts
        super().__init__(sentence(reason, facts, "en"))


class NoAnswer(Fault):
    """Nobody answered in time."""


class RemoteError(Fault):
    """It answered, and not as it should."""
