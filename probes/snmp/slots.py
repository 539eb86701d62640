"""How many requests may be under way to one device at once (R22), first come, first served."""

import asyncio
from collections import deque


class Slots:
    """A device's places for requests in flight; whole takes all of them, for a poll."""

    __slots__ = ("_busy", "_waiting")

    def __init__(self) -> None:
        self._busy = 0
        self._waiting: deque[tuple[asyncio.Future[None], int, int]] | None = None

    def try_take(self, count: int, limit: int) -> bool:
        """Take count of limit places when they are free and nobody waits."""
        if self._waiting or self._busy + count > limit:
            return False
        self._busy += count
        return True

    async def take(self, count: int, limit: int) -> None:
        """Take count of limit places, waiting for them."""
        if self.try_take(count, limit):
            return
        if self._waiting is None:
            self._waiting = deque()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (future, count, limit)
        self._waiting.append(place)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.free(count)
            elif place in self._waiting:
                self._waiting.remove(place)
            raise

    def free(self, count: int) -> None:
        """Give places back, to whoever waits longest."""
        self._busy -= count
        while self._waiting:
            future, wanted, limit = self._waiting[0]
            if future.cancelled():
                self._waiting.popleft()
            elif self._busy + wanted <= limit:
                self._waiting.popleft()
                self._busy += wanted
                future.set_result(None)
            else:
                return
