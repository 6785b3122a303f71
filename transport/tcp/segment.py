"""A segment that has arrived, read in full: what everything but the short way in works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import options as wire_options
from .header import FIN, HEADER_SIZE, SYN

if TYPE_CHECKING:
    from ...link.packet import Packet


class Segment:
    """``seq`` and ``ack`` are as on the wire until they are extended; ``window`` is not scaled yet."""

    __slots__ = ("ack", "count", "flags", "header_size", "options", "packet", "payload", "seq", "window")

    def __init__(self, packet: Packet, start: int, seq: int, ack: int, flags: int, window: int) -> None:
        """``start``: where in the packet the payload begins."""
        data = packet.buffers[0]
        self.packet = packet
        self.header_size = start - packet.offset
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.window = window
        self.options = wire_options.parse(data, packet.offset + HEADER_SIZE, start)
        self.payload = memoryview(data)[start : packet.end]
        #: How many segments of the wire this one stands for (receive offload).
        self.count = -(-len(self.payload) // packet.segment_size) if packet.segment_size else 1

    @property
    def length(self) -> int:
        """SEG.LEN: payload, SYN and FIN."""
        flags = self.flags
        return len(self.payload) + (flags & FIN) + ((flags & SYN) >> 1)

    def headers(self, *, link: bool) -> bytes:
        """A copy of the headers: the network's and TCP's, before them those of the link if ``link`` says so."""
        packet = self.packet
        return bytes(packet.buffers[0][0 if link else packet.network : packet.end - len(self.payload)])

    @property
    def hop_limit(self) -> int:
        """How many more routers could have forwarded it (IP's TTL, or hop limit)."""
        packet = self.packet
        data, at = packet.buffers[0], packet.network
        return data[at + 8] if data[at] >> 4 == 4 else data[at + 7]

    @property
    def end(self) -> int:
        """The sequence number after the last one that the segment occupies."""
        return self.seq + self.length


def differentiated(packet: Packet) -> int:
    """IP's traffic class of a packet, without the ECN field."""
    data, at = packet.buffers[0], packet.network
    octet = data[at + 1] if data[at] >> 4 == 4 else data[at] << 4 | data[at + 1] >> 4
    return octet & 0xFC
