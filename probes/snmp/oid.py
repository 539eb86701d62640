"""Object identifiers as plain tuples: cheap to compare, to sort and to cut."""

from typing import TypeAlias

from probes.snmp.errors import BadRequest

Oid: TypeAlias = tuple[int, ...]

LONGEST_OID = 128
"""Most sub-identifiers an OID may have (RFC 2578, 3.5)."""

LARGEST_ARC = 0xFFFF_FFFF
"""Largest sub-identifier (RFC 2578, 3.5)."""


def parse_oid(text: str) -> Oid:
    """Read dotted decimal, with or without the leading dot; raises BadRequest with a sentence for the operator."""
    words = text.strip().removeprefix(".").split(".")
    if not all(word.isascii() and word.isdecimal() for word in words):
        raise BadRequest(f"'{text}' is not an OID: write it as numbers with dots, for example 1.3.6.1.2.1.1.3.0")
    oid = tuple(int(word) for word in words)
    check_oid(oid)
    return oid


def format_oid(oid: Oid) -> str:
    """Write dotted decimal without a leading dot."""
    return ".".join(map(str, oid))


def check_oid(oid: Oid) -> None:
    """Raise BadRequest unless BER can carry this OID (X.690, 8.19; RFC 2578, 3.5)."""
    sane = 2 <= len(oid) <= LONGEST_OID and 0 <= oid[0] <= 2 and 0 <= oid[1] <= (39 if oid[0] < 2 else LARGEST_ARC - 80)  # noqa: PLR2004 X.660: three roots, 40 arcs below the first two
    if not sane or max(oid) > LARGEST_ARC or min(oid) < 0:
        raise BadRequest(
            f"{format_oid(oid)} is not an OID: it has 2 to {LONGEST_OID} numbers up to {LARGEST_ARC}, "
            "the first 0, 1 or 2, the second below 40 after 0 or 1"
        )


def starts_with(oid: Oid, root: Oid) -> bool:
    """Whether oid lies in the subtree of root (root itself included)."""
    return oid[: len(root)] == root
