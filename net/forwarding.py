"""Forwarding of IPv4 packets between interfaces (RFC 1812 §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..link.packet import PARTIAL, Packet
from . import offload
from .checksum import update
from .fragments import fragments
from .icmp import FRAGMENTATION_NEEDED
from .ipv4_header import DONT_FRAGMENT
from .offload import TCP_CHECKSUM, TCP_HEADER_SIZE
from .protocols import TCP

if TYPE_CHECKING:
    from .internet import Internet
    from .routing import Route

#: How link-local addresses begin: 169.254/16 (RFC 3927 §2.7).
_LINK_LOCAL: Final = b"\xa9\xfe"

NET_UNREACHABLE: Final = 0
HOP_LIMIT_EXCEEDED: Final = 0

#: Where the hop limit is in the header; with the protocol number it is one word of the checksum.
_HOP_LIMIT: Final = 8
_PROTOCOL: Final = 9


class Forwarding:
    """What a host does as a router."""

    def __init__(self, internet: Internet) -> None:
        self._internet = internet

    def forward(self, packet: Packet) -> None:
        """Pass on a received packet (whose header has been checked, and whose destination is a unicast address of
        another host), or tell its source why not."""
        internet = self._internet
        if packet.interface.to_group(packet):  # RFC 1812 §5.3.4
            internet.counters["forward.link_broadcast"] += 1
        elif _LINK_LOCAL in (packet.source[:2], packet.destination[:2]) or not any(packet.source):
            internet.counters["forward.martian"] += 1
        elif not self._sound(packet):
            internet.counters["forward.malformed"] += 1
        elif packet.hop_limit <= 1:
            internet.counters["forward.hop_limit"] += 1
            internet.icmp.time_exceeded(packet, HOP_LIMIT_EXCEEDED)
        else:
            route = internet.routes.lookup(packet.destination)
            if route is None:
                internet.counters["forward.no_route"] += 1
                internet.icmp.unreachable(packet, NET_UNREACHABLE)
            else:
                self._send(packet, route)

    def _send(self, packet: Packet, route: Route) -> None:
        internet = self._internet
        header = self._header(packet)
        mtu = min(route.mtu or route.interface.mtu, route.interface.mtu)
        largest = self._largest(packet)
        if largest > mtu and int.from_bytes(header[6:8]) & DONT_FRAGMENT:
            internet.counters["forward.fragmentation_needed"] += 1
            internet.icmp.unreachable(packet, FRAGMENTATION_NEEDED, mtu)
            return
        internet.counters["forward.packets"] += 1
        neighbor = route.interface.neighbor(route.via or packet.destination)
        out = self._packet(packet, header)
        if largest <= mtu:
            neighbor.send(out)
            return
        for whole in offload.segments(out, 0) if out.segment_size else [out]:
            if whole.checksum == PARTIAL:
                offload.complete(whole)
            data = memoryview(b"".join(whole.buffers))
            for piece in fragments(data[: len(header)], [data[len(header) :]], mtu):
                piece.interface = packet.interface
                neighbor.send(piece)

    @staticmethod
    def _sound(packet: Packet) -> bool:
        """Whether what the link left to be done can be done: the checksum field is there, and segments are of TCP."""
        partial = packet.checksum == PARTIAL
        if packet.segment_size:
            tcp = packet.buffers[0][packet.network + _PROTOCOL] == TCP and len(packet) > TCP_HEADER_SIZE
            return tcp and not (partial and packet.checksum_offset != TCP_CHECKSUM)
        return not partial or packet.checksum_offset + 2 <= len(packet)

    @staticmethod
    def _header(packet: Packet) -> bytearray:
        """A header with one hop less."""
        header = bytearray(packet.buffers[0][packet.network : packet.offset])
        word = int.from_bytes(header[_HOP_LIMIT : _HOP_LIMIT + 2])
        header[_HOP_LIMIT] -= 1
        header[10:12] = update(int.from_bytes(header[10:12]), word, word - 0x100).to_bytes(2)
        return header

    @staticmethod
    def _largest(packet: Packet) -> int:
        """The size of the largest packet that this one stands for."""
        size = packet.end - packet.network
        if not packet.segment_size:
            return size
        transport = offload.tcp_header_size(packet.buffers[0], packet.offset)
        return min(size, packet.offset - packet.network + transport + packet.segment_size)

    @staticmethod
    def _packet(packet: Packet, header: bytearray) -> Packet:
        """The packet as it leaves, in two buffers; what the link it came from left undone is still to be done."""
        out = Packet([header, packet.view()], checksum=packet.checksum, segment_size=packet.segment_size)
        out.checksum_start = len(header)
        out.checksum_offset = packet.checksum_offset
        if out.segment_size and out.checksum != PARTIAL:
            offload.reopen(out, packet.source + packet.destination)
        out.interface = packet.interface
        return out
