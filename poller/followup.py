"""What notifications make the poller do: whom to ask, when, and what to look at again (R48). Pure; time is an argument.

    linkDown, linkUp ...      ask the device at once, and again two minutes later: only a poll says what the state is
    coldStart, warmStart ...  discover it anew with a poll at once
    HA notifications          ask every member of the device's redundancy group, at once and two minutes later

One device is not asked at once again within a few seconds, whatever it sends; what comes in between is asked for at
their end, so the last word is always a poll after the last notification.
"""

from collections.abc import Collection
from typing import Final

from poller.estate import Estate
from traps.catalogue import Does

SECOND_NS: Final = 10**9
AGAIN_NS: Final = 120 * SECOND_NS
"""Links flap and agents cache: what is true two minutes later is what counts."""
SPACING_NS: Final = 5 * SECOND_NS


class Followup:
    """Polls that notifications ask for, beside the schedule."""

    def __init__(self, estate: Estate) -> None:
        self._soon_ns: dict[str, int] = {}
        self._again_ns: dict[str, int] = {}
        self._asked_ns: dict[str, int] = {}
        self.follow(estate)

    def follow(self, estate: Estate) -> None:
        """Go on with another estate; polls of devices that it does not have are not asked for."""
        self._estate = estate
        self._members: dict[str, list[str]] = {}
        for device in estate.devices.values():
            if device.redundancy_group is not None:
                self._members.setdefault(device.redundancy_group, []).append(device.id)
        for planned in (self._soon_ns, self._again_ns, self._asked_ns):
            for key in [key for key in planned if key not in estate.devices]:
                del planned[key]

    def note(self, device: str, does: Does, now_ns: int) -> None:
        """A notification of the device came that does something."""
        if does in {Does.NOTHING, Does.COUNT}:
            return
        for one in self._concerned(device, does):
            entry = self._estate.devices[one]
            if entry.credentials is None:
                continue
            soon_ns = max(now_ns, self._asked_ns.get(one, 0) + SPACING_NS)
            self._soon_ns[one] = min(soon_ns, self._soon_ns.get(one, soon_ns))
            if does is not Does.REDISCOVER:
                self._again_ns[one] = now_ns + AGAIN_NS

    def due(self, now_ns: int) -> list[str]:
        """Devices to ask now, each once."""
        found = []
        for planned in (self._soon_ns, self._again_ns):
            for device in [device for device, at_ns in planned.items() if at_ns <= now_ns]:
                del planned[device]
                self._asked_ns[device] = now_ns
                found.append(device)
        return list(dict.fromkeys(found))

    def _concerned(self, device: str, does: Does) -> Collection[str]:
        if device not in self._estate.devices:
            return ()
        group = self._estate.devices[device].redundancy_group
        return self._members[group] if does is Does.READ_ROLES and group is not None else (device,)
