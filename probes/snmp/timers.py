"""Deadlines of requests, cheap for the many that are answered in time: pure, the time is an argument.

Requests with the same timeout expire in the order in which they were sent, so each timeout has a queue of its own and
an answered request is only passed over when its turn comes. Odd timeouts (cut short by a deadline) go to a heap.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator


class Timers:
    """Which request ids are due. alive tells whether one is still waiting for its answer."""

    __slots__ = ("_alive", "_heap", "_lanes")

    def __init__(self, alive: Callable[[int], object]) -> None:
        self._alive = alive
        self._lanes: dict[float, deque[tuple[float, int]]] = {}
        self._heap: list[tuple[float, int]] = []

    def lane(self, timeout: float) -> deque[tuple[float, int]]:
        """Queue of requests with this timeout: append (due, request_id) in the order of sending."""
        lane = self._lanes.get(timeout)
        if lane is None:
            lane = self._lanes[timeout] = deque()
        return lane

    def add_odd(self, due: float, request_id: int) -> None:
        """Add a request whose timeout nobody else has."""
        heapq.heappush(self._heap, (due, request_id))

    def expired(self, now: float) -> Iterator[int]:
        """Request ids that are due and still waiting; each is told once."""
        for lane in list(self._lanes.values()):
            while lane and (lane[0][0] <= now or not self._alive(lane[0][1])):
                _, request_id = lane.popleft()
                if self._alive(request_id):
                    yield request_id
        while self._heap and self._heap[0][0] <= now:
            _, request_id = heapq.heappop(self._heap)
            if self._alive(request_id):
                yield request_id

    def next_due(self) -> float | None:
        """When to look again, or None when nothing waits."""
        heads = [lane[0][0] for lane in self._lanes.values() if lane]
        if self._heap:
            heads.append(self._heap[0][0])
        return min(heads, default=None)
