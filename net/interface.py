"""Interfaces: where a link meets the net floor. Frames become packets here, and packets frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..link.ethernet import BROADCAST, ETHERNET, HEADER_SIZE
from ..link.link import EVERY_OFFLOAD, Offloads
from ..link.packet import PARTIAL
from . import offload
from .address import text
from .neighbor import Neighbor, NeighborCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..link.link import Link
    from ..link.packet import Packet
    from .address import Address, Prefix
    from .internet import Internet


class InterfaceAddress(NamedTuple):
    """An address of this host on the subnet that an interface is attached to."""

    address: Address
    prefix: Prefix
    #: The subnet's broadcast address, where it has one.
    broadcast: Address | None

    def __str__(self) -> str:
        return f"{text(self.address)}/{self.prefix.length}"


class Interface:
    """A link under a name, with the addresses this host has on it, and the neighbors there.

    Made by `Internet.attach`. Packets that arrive on the link are handed to `receive`, which never raises.
    """

    __slots__ = (
        "_handlers",
        "_lacks_checksum",
        "_lacks_segmentation",
        "_transmit",
        "addresses",
        "direct",
        "groups",
        "header_size",
        "internet",
        "link",
        "link_address",
        "loopback",
        "mtu",
        "name",
        "neighbors",
        "offloads",
        "rx_bytes",
        "rx_packets",
        "tx_bytes",
        "tx_packets",
    )

    def __init__(self, internet: Internet, link: Link, name: str, *, loopback: bool = False) -> None:
        self.internet = internet
        self.link = link
        self.name = name
        self.loopback = loopback
        #: The largest network-layer packet, in bytes.
        self.mtu = link.mtu
        self.link_address = link.address
        self.offloads = link.offloads
        #: The size of the link-layer header: 0 where packets go bare.
        self.header_size = 0 if link.address is None else HEADER_SIZE
        self.addresses: list[InterfaceAddress] = []
        #: Link-layer group addresses whose frames are for this host too.
        self.groups: set[bytes] = {BROADCAST}
        self.neighbors = NeighborCache(self, internet.scheduler, internet.random, internet.settings, internet.counters)
        self.rx_packets = self.rx_bytes = self.tx_packets = self.tx_bytes = 0
        self._handlers = internet.handlers
        lacks = int(EVERY_OFFLOAD & ~self.offloads)  # a flag costs more than an int
        self._lacks_checksum = lacks & int(Offloads.CHECKSUM)
        self._lacks_segmentation = lacks & ~int(Offloads.CHECKSUM)
        self._transmit: Callable[[Packet], None] = link.send_packet
        #: The neighbor of all packets on a link without addresses; on others, one that is never known.
        self.direct = Neighbor(self.neighbors, b"")
        if link.address is None:
            self.direct.fix(b"")

    def __repr__(self) -> str:
        return f"<Interface {self.name} {', '.join(map(str, self.addresses))}>"

    # -- in

    def receive(self, packet: Packet) -> None:
        """Take a frame that arrived on the link. What cannot be used is dropped and counted by reason."""
        frame = packet.buffers[0]
        self.rx_packets += 1
        self.rx_bytes += packet.end
        packet.interface = self
        if self.link_address is None:
            handler = self._handlers.get(frame[:1])
        else:
            if frame[:6] != self.link_address and frame[:6] not in self.groups:
                self.internet.counters["link.other_host"] += 1
                return
            handler = self._handlers.get(frame[12:14])
            packet.offset = HEADER_SIZE
        if handler is None:
            self.internet.counters["link.unknown_type" if packet.end > self.header_size else "link.short"] += 1
            return
        handler(packet)

    def to_group(self, packet: Packet) -> bool:
        """Whether the frame of a received packet was addressed to more than one station."""
        start = packet.network - self.header_size
        return self.link_address is not None and start >= 0 and bool(packet.buffers[0][start] & 1)

    # -- out

    def neighbor(self, next_hop: Address) -> Neighbor:
        """The neighbor to hand packets for ``next_hop`` to; one and the same for all on a link without addresses."""
        if self.link_address is None:
            return self.direct
        group = self.internet.families[len(next_hop)].group_address(self, next_hop)
        if group is None:
            return self.neighbors.find(next_hop)
        neighbor = Neighbor(self.neighbors, next_hop)
        neighbor.fix(group)
        return neighbor

    def transmit(self, packet: Packet) -> None:
        """Put a whole frame on the link, after what the link leaves to its host: checksum and segmentation."""
        if (packet.checksum == PARTIAL and self._lacks_checksum) or (packet.segment_size and self._lacks_segmentation):
            self._finish(packet)
            return
        self.tx_packets += 1
        self.tx_bytes += packet.end
        self._transmit(packet)

    def neighbor_header(self, neighbor: Neighbor) -> bytes:
        """The link-layer header of packets to ``neighbor``."""
        if self.link_address is None or neighbor.link_address is None:
            return b""
        ethertype = self.internet.families[len(neighbor.address)].ethertype
        return ETHERNET.pack(neighbor.link_address, self.link_address, ethertype)

    def solicit(self, neighbor: Neighbor) -> None:
        """Ask for the link-layer address of ``neighbor``, as its family does."""
        self.internet.families[len(neighbor.address)].solicit(self, neighbor)

    def undeliverable(self, packet: Packet) -> None:
        """A packet for which no neighbor answered."""
        self.internet.undeliverable(packet)

    def down(self) -> None:
        """The link is gone: whatever is still sent on the way of a path is dropped and counted."""
        self._transmit = self._drop
        self._handlers = {}
        self.neighbors.clear()

    def _drop(self, packet: Packet) -> None:
        self.internet.counters["link.detached"] += 1

    def _finish(self, packet: Packet) -> None:
        """Do in software what the link does not do."""
        head, behind = packet.buffers[0], self.header_size
        version = (head[behind] if len(head) > behind else packet.buffers[1][0]) >> 4
        packets: Iterable[Packet] = (packet,)
        if packet.segment_size and self._lacks_segmentation & (Offloads.TSO4 if version == 4 else Offloads.TSO6):
            packets = offload.segments(packet, behind)
        for segment in packets:
            if segment.checksum == PARTIAL and self._lacks_checksum:
                offload.complete(segment)
            self.tx_packets += 1
            self.tx_bytes += segment.end
            self._transmit(segment)
