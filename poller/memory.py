"""How much memory this process holds, and how much it may."""

import os
from functools import cache
from pathlib import Path
from typing import Final

from poller.sample import FieldValue

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_STATM: Final = Path("/proc/self/statm")
"""proc(5): sizes in pages; the second is what is resident."""


def memory_fields() -> dict[str, FieldValue]:
    """Resident octets, and their part of what we may have; nothing where the kernel does not tell."""
    try:
        resident = int(_STATM.read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return {}
    return {"memory_octets": resident, "memory_ratio": resident / most_octets()}


@cache
def most_octets() -> int:
    """What the machine has, or less where our control group allows less (cgroups(7), memory.max)."""
    most = os.sysconf("SC_PHYS_PAGES") * _PAGE
    try:
        group = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().rpartition("::")[2]
        limit = Path(f"/sys/fs/cgroup{group}/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return most
    return min(most, int(limit)) if limit.isdigit() else most
