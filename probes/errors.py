"""What can go wrong when a probe asks, sorted by blame.

    ProbeError
        LocalError      we could not ask: no permission, no socket, a plan that cannot be kept

The SNMP package has its own tree. A target that does not answer is an outcome here and no error.
"""


class ProbeError(Exception):
    """Anything that keeps a probe from its work; the text is a sentence for the operator."""


class LocalError(ProbeError):
    """We could not ask; the target has nothing to do with it, and trying again changes nothing by itself."""
