"""The loopback interface: what a host sends here, it receives."""

from __future__ import annotations

import errno
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from .link import Offloads
from .packet import Packet

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_OFFLOAD: Final = Offloads.CHECKSUM | Offloads.TSO4 | Offloads.TSO6


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


class Loopback:
    """A link from a host to itself: bare IP packets, never checksummed or segmented, since no wire is involved.

    It holds up to ``capacity`` packets that have not been received; more are dropped and counted as ``queue_full``.
    ``observer`` is called when a packet arrives and none was waiting. It is called from within ``send_packet``, so it
    should only take note, and the packets should then be received until there are none.
    """

    __slots__ = ("_capacity", "_closed", "_queue", "counters", "mtu", "observer")

    address: Final = None
    offloads: Final = EVERY_OFFLOAD

    def __init__(self, *, mtu: int = 65536, capacity: int = 1000) -> None:
        self.mtu = mtu
        self.observer: Callable[[], object] | None = None
        #: Dropped packets, by reason.
        self.counters: Counter[str] = Counter()
        self._capacity = capacity
        self._queue: deque[Packet] = deque()
        self._closed = False

    def send_packet(self, packet: Packet) -> None:
        """Send a packet to its sender."""
        queue = self._queue
        if len(queue) >= self._capacity or self._closed:
            self.counters["link_down" if self._closed else "queue_full"] += 1
            return
        queue.append(arrival(packet))
        if len(queue) == 1 and self.observer is not None:
            self.observer()

    def receive_packet(self) -> Packet | None:
        """The oldest packet that was sent and not yet received, or None. Raises OSError (ENETDOWN) once closed."""
        if self._queue:
            return self._queue.popleft()
        if self._closed:
            raise OSError(errno.ENETDOWN, "the loopback link is closed")
        return None

    def fileno(self) -> int:
        """No descriptor: -1."""
        return -1

    def close(self) -> None:
        """Forget what waits; take nothing any more."""
        self._closed = True
        self._queue.clear()
