"""What notifications make the poller do: whom to ask, when, and what to look at again (R48). Pure; time is an argument.

    linkDown, linkUp ...      ask for that interface at once, and again two minutes later: only a poll says what the
                              state is; the whole device, where no interface of ours is told or many are
    coldStart, warmStart ...  discover it anew with a poll at once
    HA notifications          ask every member of the device's redundancy group, at once and two minutes later

The same is not asked at once again within a few seconds, whatever is sent; what comes in between is asked for at
their end, so the last word is always a poll after the last notification.
"""

from collections import Counter
from collections.abc import Collection
from typing import Final, NamedTuple

from poller.estate import Estate
from traps.catalogue import Does

SECOND_NS: Final = 10**9
AGAIN_NS: Final = 120 * SECOND_NS
"""Links flap and agents cache: what is true two minutes later is what counts."""
SPACING_NS: Final = 5 * SECOND_NS
SINGLES_MOST: Final = 8
"""Interfaces of one device asked for one by one; more at a time are one poll of the device."""


class Look(NamedTuple):
    """One thing to ask: an interface by its name, None for the whole device."""

    device: str
    interface: str | None = None


class Followup:
    """Polls that notifications ask for, beside the schedule."""

    def __init__(self, estate: Estate) -> None:
        self._soon_ns: dict[Look, int] = {}
        self._again_ns: dict[Look, int] = {}
        self._asked_ns: dict[Look, int] = {}
        self.follow(estate)

    def follow(self, estate: Estate) -> None:
        """Go on with another estate; polls of devices that it does not have are not asked for."""
        self._estate = estate
        self._members: dict[str, list[str]] = {}
        for device in estate.devices.values():
            if device.redundancy_group is not None:
                self._members.setdefault(device.redundancy_group, []).append(device.id)
        for planned in (self._soon_ns, self._again_ns, self._asked_ns):
            for look in [look for look in planned if look.device not in estate.devices]:
                del planned[look]

    def note(self, device: str, does: Does, now_ns: int, interface: str | None = None) -> None:
        """A notification of the device came that does something; interface: the one that it is about."""
        if does in {Does.NOTHING, Does.COUNT}:
            return
        for one in self._concerned(device, does):
            entry = self._estate.devices[one]
            if entry.credentials is None:
                continue
            look = Look(one, interface if does is Does.POLL else None)
            soon_ns = max(now_ns, self._asked_ns.get(look, 0) + SPACING_NS)
            self._soon_ns[look] = min(soon_ns, self._soon_ns.get(look, soon_ns))
            if does is not Does.REDISCOVER:
                self._again_ns[look] = now_ns + AGAIN_NS

    def due(self, now_ns: int) -> list[Look]:
        """What to ask now, each once; a device that is asked as a whole is not asked for its interfaces too."""
        found: list[Look] = []
        for planned in (self._soon_ns, self._again_ns):
            for look in [look for look, at_ns in planned.items() if at_ns <= now_ns]:
                del planned[look]
                self._asked_ns[look] = now_ns
                found.append(look)
        if not found:
            return found
        singles = Counter(look.device for look in dict.fromkeys(found) if look.interface is not None)
        whole = {look.device for look in found if look.interface is None}
        whole |= {device for device, count in singles.items() if count > SINGLES_MOST}
        return list(dict.fromkeys(Look(look.device) if look.device in whole else look for look in found))

    def _concerned(self, device: str, does: Does) -> Collection[str]:
        if device not in self._estate.devices:
            return ()
        group = self._estate.devices[device].redundancy_group
        return self._members[group] if does is Does.READ_ROLES and group is not None else (device,)
