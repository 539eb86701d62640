"""How much memory this process holds, how much it may, and how the C library is told to give back what is free."""

import contextlib
import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_STATM: Final = Path("/proc/self/statm")
"""proc(5): sizes in pages; the second is what is resident."""


_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
"""malloc.h of glibc."""
_LARGE_OCTETS: Final = 256 * 1024


def give_back_memory() -> bool:
    """Let this process hold little that is free; call it before there are threads. False where malloc is not glibc's.

    By default every thread gets an arena of its own, and what the batches of a minute took stays in each of them: a
    hundred megabytes. Threads here wait for the disk or the interpreter, not for malloc. A large allocation has its
    own pages and gives them back when it is freed (mallopt(3)).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = {_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: _LARGE_OCTETS, _M_TRIM_THRESHOLD: _LARGE_OCTETS}
    return [mallopt(setting, value) for setting, value in wanted.items()] == [1, 1, 1]


def release_free_memory() -> None:
    """Give back the pages that are free between others (malloc_trim(3)); 3 ms of a heap of 80 MB, in any thread."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def memory_fields() -> dict[str, int | float]:
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
