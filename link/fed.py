"""A link whose packets the program carries: it feeds in what arrives, and is handed what is to leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .inbox import Inbox
from .link import Offloads
from .packet import Packet

if TYPE_CHECKING:
    from collections.abc import Callable


class FedLink(Inbox):
    """Packets that the program holds already, from a tunnel, a radio, a file, another stack::

        link = FedLink(send=tunnel.write)
        interface = host.attach(link, "10.0.0.2/24")
        ...
        link.feed(packet)                # one arrived

    ``send`` is called with each packet that leaves, a ``bytes`` object of one whole packet, from within the host's
    work: it should only pass the packet on. What it cannot take it drops, as any wire; an OSError of its is counted as
    ``send_failed``. Packets are bare IP packets, or Ethernet II frames if the link has an ``address`` (six bytes).
    ``mtu`` is in bytes, without the Ethernet header.
    """

    __slots__ = ("_send", "address", "mtu")

    offloads = Offloads.NONE

    def __init__(
        self,
        send: Callable[[bytes], object],
        *,
        mtu: int = 1500,
        address: bytes | None = None,
        capacity: int = 10_000,
    ) -> None:
        super().__init__(capacity)
        self.mtu = mtu
        self.address = address
        self._send = send

    def feed(self, packet: bytes, *, segment_size: int = 0) -> None:
        """A whole packet has arrived. It is not copied if it is ``bytes``. ``segment_size``: of a packet that was
        coalesced from TCP segments, how many bytes of payload each of them had."""
        self._arrive(Packet([bytes(packet)], segment_size=segment_size))

    def send_packet(self, packet: Packet) -> None:
        """Hand a packet to the program."""
        if self._closed:
            self.counters["link_down"] += 1
            return
        try:
            self._send(b"".join(packet.buffers))
        except OSError:
            self.counters["send_failed"] += 1

    @property
    def closed(self) -> bool:
        """Whether it is gone."""
        return self._closed

    def close(self) -> None:
        """Forget what waits; take nothing any more. The ``observer`` is told."""
        super().close()
        if self.observer is not None:
            self.observer()
