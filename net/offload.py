"""What the host does itself where a link does not: completing checksums, cutting large TCP packets into segments."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from ..link.checksum import complete_checksum, ones_complement_sum
from ..link.packet import PARTIAL, VERIFIED, Packet
from .protocols import TCP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..link.packet import Buffer

# Where segments of one packet differ: byte positions in the IP headers and in TCP's (RFC 9293 §3.1).
_WORD: Final = Struct(">H")
_LENGTH4: Final = 2
_IDENTIFICATION: Final = 4
_CHECKSUM4: Final = 10
_LENGTH6: Final = 4
_HEADER_SIZE6: Final = 40
_SEQUENCE: Final = Struct(">I")
_SEQUENCE_AT: Final = 4
_DATA_OFFSET: Final = 12
_FLAGS: Final = 13
_FIN_PSH: Final = 0x09
_CWR: Final = 0x80
TCP_CHECKSUM: Final = 16
#: Without options.
TCP_HEADER_SIZE: Final = 20


def complete(packet: Packet) -> None:
    """Finish the PARTIAL checksum of a packet on its way out. The packet becomes one buffer, for the sum."""
    data = bytearray().join(packet.buffers)
    complete_checksum(data, packet.checksum_start, packet.checksum_offset)
    packet.buffers = [data]
    packet.checksum = VERIFIED


def tcp_header_size(buffer: Buffer, start: int) -> int:
    """The size of the TCP header at ``start``, in bytes, at least 20 whatever it says."""
    return max((buffer[start + _DATA_OFFSET] >> 4) * 4, TCP_HEADER_SIZE)


def reopen(packet: Packet, addresses: bytes) -> None:
    """Make the finished checksum of a TCP packet, of which ``checksum_start`` is known, PARTIAL again.

    A packet with a `segment_size` has to be: its checksum is about no segment that will exist.
    """
    data = bytearray().join(packet.buffers)
    length = len(data) - packet.checksum_start
    pseudo = (int.from_bytes(addresses) + TCP + length) % 0xFFFF or 0xFFFF
    _WORD.pack_into(data, packet.checksum_start + TCP_CHECKSUM, pseudo)
    packet.buffers = [data]
    packet.checksum = PARTIAL
    packet.checksum_offset = TCP_CHECKSUM


def segments(packet: Packet, network: int) -> Iterator[Packet]:
    """The TCP segments that a PARTIAL packet with a `segment_size` stands for; their checksums are PARTIAL again.

    ``network`` is where the packet's network header starts. Sequence numbers and IPv4 identifications go up, FIN
    and PSH are the last one's, CWR is the first one's (RFC 3168 §6.1.2).
    """
    data = b"".join(packet.buffers)
    transport = packet.checksum_start
    payload = transport + tcp_header_size(data, transport)
    size = packet.segment_size
    whole = len(data) - transport
    (pseudo,) = _WORD.unpack_from(data, transport + packet.checksum_offset)
    view = memoryview(data)
    for number, start in enumerate(range(payload, len(data), size)):
        end = min(start + size, len(data))
        header = bytearray(view[:payload])
        length = payload - transport + end - start
        _set_network_header(header, network, transport, length, number)
        (sequence,) = _SEQUENCE.unpack_from(header, transport + _SEQUENCE_AT)
        _SEQUENCE.pack_into(header, transport + _SEQUENCE_AT, (sequence + start - payload) & 0xFFFF_FFFF)
        header[transport + _FLAGS] &= ~((_FIN_PSH if end < len(data) else 0) | (_CWR if number else 0)) & 0xFF
        _WORD.pack_into(header, transport + packet.checksum_offset, (pseudo - whole + length) % 0xFFFF or 0xFFFF)
        segment = Packet([header, view[start:end]], checksum=PARTIAL)
        segment.checksum_start = transport
        segment.checksum_offset = packet.checksum_offset
        yield segment


def _set_network_header(header: bytearray, network: int, transport: int, length: int, number: int) -> None:
    """Give segment ``number``, ``length`` bytes from its transport header on, its own network header."""
    if header[network] >> 4 == 4:
        (identification,) = _WORD.unpack_from(header, network + _IDENTIFICATION)
        _WORD.pack_into(header, network + _LENGTH4, transport - network + length)
        _WORD.pack_into(header, network + _IDENTIFICATION, (identification + number) & 0xFFFF)
        _WORD.pack_into(header, network + _CHECKSUM4, 0)
        _WORD.pack_into(
            header, network + _CHECKSUM4, ones_complement_sum(memoryview(header)[network:transport]) ^ 0xFFFF
        )
    else:
        _WORD.pack_into(header, network + _LENGTH6, transport - network - _HEADER_SIZE6 + length)
