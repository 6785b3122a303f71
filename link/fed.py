"""A link whose packets the program carries: it feeds in what arrives, and is handed what is to leave."""

from __future__ import annotations

import errno
from collections import Counter, deque
from typing import TYPE_CHECKING

from .link import Offloads
from .packet import Packet

if TYPE_CHECKING:
    from collections.abc import Callable


class FedLink:
    """Packets that the program holds already, from a tunnel, a radio, a file, another stack::

        link = FedLink(send=tunnel.write)
        interface = host.attach(link, "10.0.0.2/24")
        ...
        link.feed(packet)                # one arrived

    ``send`` is called with each packet that leaves, a ``bytes`` object of one whole packet, from within the host's
    work: it should only pass the packet on. What it cannot take it drops, as any wire; an OSError of its is counted as
    ``send_failed``. Packets are bare IP packets, or Ethernet II frames if the link has an ``address`` (six bytes).
    ``mtu`` is in bytes, without the Ethernet header.

    Up to ``capacity`` packets wait to be received by the host; more are dropped and counted as ``queue_full``.
    ``observer`` is called when a packet is fed and none was waiting.
    """

    __slots__ = ("_capacity", "_closed", "_queue", "_send", "address", "counters", "mtu", "observer")

    offloads = Offloads.NONE

    def __init__(
        self,
        send: Callable[[bytes], object],
        *,
        mtu: int = 1500,
        address: bytes | None = None,
        capacity: int = 10_000,
    ) -> None:
        self.mtu = mtu
        self.address = address
        self.observer: Callable[[], object] | None = None
        #: Dropped packets, by reason.
        self.counters: Counter[str] = Counter()
        self._send = send
        self._capacity = capacity
        self._queue: deque[Packet] = deque()
        self._closed = False

    def feed(self, packet: bytes) -> None:
        """A whole packet has arrived. It is not copied if it is ``bytes``."""
        queue = self._queue
        if len(queue) >= self._capacity or self._closed:
            self.counters["link_down" if self._closed else "queue_full"] += 1
            return
        queue.append(Packet([bytes(packet)]))
        if len(queue) == 1 and self.observer is not None:
            self.observer()

    def send_packet(self, packet: Packet) -> None:
        """Hand a packet to the program."""
        if self._closed:
            self.counters["link_down"] += 1
            return
        try:
            self._send(b"".join(packet.buffers))
        except OSError:
            self.counters["send_failed"] += 1

    def receive_packet(self) -> Packet | None:
        """The oldest packet that was fed and not yet received, or None. Raises OSError (ENETDOWN) once closed."""
        if self._queue:
            return self._queue.popleft()
        if self._closed:
            raise OSError(errno.ENETDOWN, "the link is closed")
        return None

    @property
    def closed(self) -> bool:
        """Whether it is gone."""
        return self._closed

    def fileno(self) -> int:
        """No descriptor: -1."""
        return -1

    def close(self) -> None:
        """Forget what waits; take nothing any more."""
        self._closed = True
        self._queue.clear()
        if self.observer is not None:
            self.observer()
