"""Drop-tail: the queue that drops what arrives when it is full."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .packet import Packet


class DropTail:
    """First in, first out; at most ``frames`` of them, and, if ``size`` is given, at most so many bytes in all."""

    __slots__ = ("_frames", "_held", "_queue", "_size", "counters")

    def __init__(self, frames: int = 1000, size: int | None = None) -> None:
        self._frames = frames
        self._size = size
        self._held = 0
        self._queue: deque[Packet] = deque()
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._queue)

    def push(self, packet: Packet, now: float) -> None:
        """Let a frame wait, or count it as ``queue_full``."""
        if len(self._queue) >= self._frames or (self._size is not None and self._held + packet.end > self._size):
            self.counters["queue_full"] += 1
            return
        self._held += packet.end
        self._queue.append(packet)

    def pull(self, now: float) -> Packet | None:
        """The oldest frame."""
        if not self._queue:
            return None
        packet = self._queue.popleft()
        self._held -= packet.end
        return packet

    def clear(self) -> int:
        """Forget what waits, and say how many that were."""
        count = len(self._queue)
        self._queue.clear()
        self._held = 0
        return count
