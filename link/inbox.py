"""The receiving half of every link in memory: frames that have arrived, until the host takes them."""

from __future__ import annotations

import errno
from collections import Counter, deque
from typing import TYPE_CHECKING

from .packet import Packet

if TYPE_CHECKING:
    from collections.abc import Callable


def arrival(packet: Packet) -> Packet:
    """A packet that was sent, as memory hands it to its receiver: one buffer, all else as it was.

    An unfinished checksum stays PARTIAL: a receiver trusts it, and a link that it is forwarded to can still finish it.
    """
    buffers = packet.buffers
    whole = len(buffers) == 1 and type(buffers[0]) is bytes
    received = Packet(buffers if whole else [b"".join(buffers)], checksum=packet.checksum)
    received.segment_size = packet.segment_size
    received.checksum_start = packet.checksum_start
    received.checksum_offset = packet.checksum_offset
    return received


class Inbox:
    """Holds up to ``capacity`` frames that have not been received; more are dropped and counted as ``queue_full``, and
    those that come after `close` as ``link_down``.

    ``observer`` is called when a frame arrives and none was waiting. It is called from within whatever brings the
    frame, so it should only take note, and the frames should then be received until there are none. A ``taker`` gets
    each frame instead, from within whatever brings it: none waits then.
    """

    __slots__ = ("_capacity", "_closed", "_queue", "counters", "observer", "taker")

    def __init__(self, capacity: int) -> None:
        self.observer: Callable[[], object] | None = None
        self.taker: Callable[[Packet], object] | None = None
        #: Frames that were dropped on their way here, by reason.
        self.counters: Counter[str] = Counter()
        self._capacity = capacity
        self._queue: deque[Packet] = deque()
        self._closed = False

    def _arrive(self, packet: Packet) -> None:
        if self.taker is not None:
            self.taker(packet)
            return
        queue = self._queue
        if self._closed:
            self.counters["link_down"] += 1
        elif len(queue) >= self._capacity:
            self.counters["queue_full"] += 1
        else:
            queue.append(packet)
            if len(queue) == 1 and self.observer is not None:
                self.observer()

    def receive_packet(self) -> Packet | None:
        """The oldest frame that waits, or None. Raises OSError (ENETDOWN) once closed."""
        if self._queue:
            return self._queue.popleft()
        if self._closed:
            raise OSError(errno.ENETDOWN, "the link is closed")
        return None

    def fileno(self) -> int:
        """No descriptor: -1."""
        return -1

    def close(self) -> None:
        """Forget what waits; take nothing any more."""
        self._closed = True
        self.taker = None
        self._queue.clear()
