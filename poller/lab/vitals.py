"""How busy a simulated device is at a moment: CPU, memory, sessions. Pure, from the device's name and the hour.

The invented past and the live agents use the same function, so that a chart runs through the seam.
"""

import random
import zlib
from dataclasses import dataclass
from typing import Final, Self

from poller.estate import Device, Role
from poller.lab.traffic import Shape, activity

_MINUTE_NS: Final = 60 * 10**9
SESSION_SECONDS: Final = 45
"""How long a session lasts, on average."""
_SESSIONS_LIMIT: Final = {
    Role.FIREWALL: 2_000_000,
    Role.LOAD_BALANCER: 1_000_000,
    Role.PROXY: 60_000,
    Role.WAF: 200_000,
}
_OTHER_LIMIT: Final = 20_000
SESSIONS_SHARE: Final = 0.11
"""Of the limit, what a device holds when everybody works."""
_BUSY: Final = {Role.FIREWALL: 0.42, Role.PROXY: 0.48, Role.WAF: 0.38, Role.UPS: 0.25, Role.LOG_STORE: 0.5}
_OTHER_BUSY: Final = 0.3


@dataclass(frozen=True, slots=True)
class Vitals:
    """The constants of one device; every method is a function of the moment (UTC, unix nanoseconds)."""

    name: str
    idle_cpu_ratio: float
    busy_cpu_ratio: float
    memory_base_ratio: float
    sessions_limit: int
    shape: Shape = Shape.OFFICE

    @classmethod
    def of(cls, device: Device) -> Self:
        """What is usual for the device's role, within what it was designed for."""
        draw = zlib.crc32(device.id.encode())
        busy = _BUSY.get(device.role, _OTHER_BUSY) * (0.8 + draw % 41 / 100)
        if device.design_cpu_ratio is not None:
            busy = min(busy, device.design_cpu_ratio * 0.8)
        return cls(
            device.id,
            idle_cpu_ratio=0.03 + draw // 41 % 50 / 1000,
            busy_cpu_ratio=busy,
            memory_base_ratio=0.32 + draw // 2050 % 300 / 1000,
            sessions_limit=device.sessions_limit or _SESSIONS_LIMIT.get(device.role, _OTHER_LIMIT),
        )

    def cpu_ratio(self, time_ns: int, *, stands_by: bool = False) -> float:
        """0..1; a standby device only follows its partner's tables."""
        if stands_by:
            return min(1.0, self.idle_cpu_ratio * self._unrest("standby", time_ns, 0.3))
        load = self.idle_cpu_ratio + (self.busy_cpu_ratio - self.idle_cpu_ratio) * activity(self.shape, time_ns)
        return min(1.0, load * self._unrest("cpu", time_ns, 0.16))

    def memory_ratio(self, time_ns: int) -> float:
        """0..1; moves little."""
        return self.memory_base_ratio + 0.05 * activity(self.shape, time_ns) * self._unrest("memory", time_ns, 0.05)

    def sessions(self, time_ns: int) -> int:
        """Sessions at the moment; both members of a pair hold them all."""
        busy = 0.03 + 0.97 * activity(self.shape, time_ns)
        return int(self.sessions_limit * SESSIONS_SHARE * busy * self._unrest("sessions", time_ns, 0.08))

    def session_rate(self, time_ns: int, *, stands_by: bool = False) -> float:
        """New sessions a second."""
        return 0.0 if stands_by else self.sessions(time_ns) / SESSION_SECONDS

    def _unrest(self, what: str, time_ns: int, width: float) -> float:
        """A factor around 1 that changes every minute."""
        draw = zlib.crc32(f"{self.name}/{what}/{time_ns // _MINUTE_NS}".encode())
        return 1.0 - width / 2 + width * (draw % 1001) / 1000


def usual_uptime_seconds(device: str, seed: int) -> int:
    """How long a device has been up when the lab starts, or at the end of an invented past: 3 to 210 days."""
    return random.Random(f"{seed}/{device}").randrange(3 * 86_400, 210 * 86_400)  # noqa: S311 - weather, not secrets
