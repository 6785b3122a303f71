"""CoDel, Controlled Delay (RFC 8289): a queue that drops by how long frames have waited, not by how many wait.

A standing queue shows in the *shortest* wait of an interval. While that stays above the target, frames are dropped when
their turn comes, and ever sooner one after another (the interval over the square root of their count), until it falls.
"""

from __future__ import annotations

from collections import Counter, deque
from math import sqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .packet import Packet

#: RFC 8289 §4.2 and §4.3, in seconds: the wait that is tolerated, and how long it must be exceeded.
TARGET: Final = 0.005
INTERVAL: Final = 0.1
#: Dropping that stopped less than so many intervals ago goes on at about the pace that it had (RFC 8289 §5.6).
_RECENT: Final = 16


class CoDel:
    """``target`` and ``interval`` in seconds; ``frames`` bounds the queue as memory does, and matters in bursts only.

    Drops are counted as ``codel``, or ``queue_full``.
    """

    __slots__ = ("_above_at", "_bytes", "_count", "_drop_next", "_dropping", "_frames", "_interval", "_largest",
                 "_last_count", "_queue", "_target", "counters")  # fmt: skip

    def __init__(self, target: float = TARGET, interval: float = INTERVAL, frames: int = 1000) -> None:
        self._target = target
        self._interval = interval
        self._frames = frames
        self._queue: deque[tuple[float, Packet]] = deque()
        self._bytes = 0
        self._largest = 0
        self._above_at: float | None = None  # when the wait will have been above the target for an interval
        self._dropping = False
        self._drop_next = 0.0
        self._count = 0
        self._last_count = 0
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._queue)

    def push(self, packet: Packet, now: float) -> None:
        """Let a frame wait, with the time of its arrival (RFC 8289 §5.4)."""
        if len(self._queue) >= self._frames:
            self.counters["queue_full"] += 1
            return
        self._bytes += packet.end
        self._largest = max(self._largest, packet.end)
        self._queue.append((now, packet))

    def pull(self, now: float) -> Packet | None:
        """The next frame that is not dropped (RFC 8289 §5.5)."""
        packet, late = self._next(now)
        if self._dropping:
            packet = self._go_on_dropping(packet, late, now)
        elif late:
            packet = self._start_dropping(now)
        return packet

    def clear(self) -> int:
        """Forget what waits, and say how many that were."""
        count = len(self._queue)
        self._queue.clear()
        self._bytes = 0
        self._above_at = None
        self._dropping = False
        return count

    def _next(self, now: float) -> tuple[Packet | None, bool]:
        """The oldest frame, and whether the wait has been above the target for an interval (RFC 8289 §5.6)."""
        if not self._queue:
            self._above_at = None
            return None, False
        arrived, packet = self._queue.popleft()
        self._bytes -= packet.end
        if now - arrived < self._target or self._bytes <= self._largest:
            self._above_at = None
        elif self._above_at is None:
            self._above_at = now + self._interval
        else:
            return packet, now >= self._above_at
        return packet, False

    def _go_on_dropping(self, packet: Packet | None, late: bool, now: float) -> Packet | None:
        self._dropping = late
        while self._dropping and now >= self._drop_next:
            self.counters["codel"] += 1
            self._count += 1
            packet, self._dropping = self._next(now)
            if self._dropping:
                self._drop_next = self._law(self._drop_next)
        return packet

    def _start_dropping(self, now: float) -> Packet | None:
        """Drop the frame at hand; the pace is that of before if that was not long ago."""
        self.counters["codel"] += 1
        packet, _ = self._next(now)
        self._dropping = True
        delta = self._count - self._last_count
        recent = now - self._drop_next < _RECENT * self._interval
        self._count = delta if delta > 1 and recent else 1
        self._last_count = self._count
        self._drop_next = self._law(now)
        return packet

    def _law(self, start: float) -> float:
        """The control law (RFC 8289 §3.3)."""
        return start + self._interval / sqrt(self._count)
