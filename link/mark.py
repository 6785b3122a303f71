"""Marking: what active queue management does to ECN-capable packets where it would drop others (RFC 3168 §5).

Frames are Ethernet's. Those that are not ECN-capable, and those that have a mark already, pass as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .impairment import Impairment
from .packet import Packet

if TYPE_CHECKING:
    from .packet import Buffer

_IPV4: Final = b"\x08\x00"
_IPV6: Final = b"\x86\xdd"
_TYPE: Final = slice(12, 14)
#: The second octet of either IP header has the ECN field: IPv4's in its lowest bits, IPv6's four bits higher.
_OCTET: Final = 15
_CHECKSUM4: Final = slice(24, 26)
_CE: Final = 0b11


class Mark(Impairment):
    """Sets CE (congestion experienced) on packets, if they are ECN-capable; only those are shown to ``picks``."""

    __slots__ = ()

    def send_packet(self, packet: Packet) -> None:
        """Send a packet, marked if it can be and is picked."""
        if 0 < _codepoint(packet.buffers) < _CE and self.picks(packet):
            self.count += 1
            packet = _marked(packet)
        self.link.send_packet(packet)


def _codepoint(buffers: list[Buffer]) -> int:
    """The ECN field of a frame: 0 not ECN-capable (or not of IP), 1 and 2 capable, 3 marked."""
    start = buffers[0] if len(buffers[0]) > _OCTET else b"".join(buffers)
    if start[_TYPE] == _IPV4:
        return start[_OCTET] & _CE
    return start[_OCTET] >> 4 & _CE if start[_TYPE] == _IPV6 else 0


def _marked(packet: Packet) -> Packet:
    frame = bytearray().join(packet.buffers)
    if frame[_TYPE] == _IPV4:
        added = _CE - (frame[_OCTET] & _CE)
        frame[_OCTET] += added
        frame[_CHECKSUM4] = ((int.from_bytes(frame[_CHECKSUM4]) - added) % 0xFFFF).to_bytes(2)  # RFC 1624
    else:
        frame[_OCTET] |= _CE << 4
    marked = Packet([bytes(frame)], checksum=packet.checksum, segment_size=packet.segment_size)
    marked.checksum_start, marked.checksum_offset = packet.checksum_start, packet.checksum_offset
    return marked
