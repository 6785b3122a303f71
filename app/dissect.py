"""Reads the TCP segments of a pcap file, of ours or of tcpdump's and Wireshark's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from ..link.capture import (
    LINKTYPE_ETHERNET,
    LINKTYPE_RAW,
    MAGIC_NANOSECONDS,
    PCAP_RECORD,
    PcapHeader,
)
from ..link.ethernet import ETHERNET, ETHERTYPE_IPV4
from ..link.wireformat import fixed_part
from ..net.address import Address, text
from ..net.ipv4_header import FRAGMENT_MASK, IPV4
from ..net.protocols import TCP
from ..transport.tcp import header as tcp
from ..transport.tcp import options as tcp_options

MAGIC_MICROSECONDS: Final = 0xA1B2C3D4
_HEADER: Final = fixed_part(PcapHeader)


class Endpoint(NamedTuple):
    """One end of a connection."""

    address: Address
    port: int

    def __str__(self) -> str:
        return f"{text(self.address)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A captured TCP segment: ``time`` in seconds, ``length`` in bytes of data, ``flags`` and ``options`` in words."""

    time: float
    source: Endpoint
    destination: Endpoint
    sequence: int
    acknowledgment: int
    bits: int
    window: int
    length: int
    options: tuple[str, ...]

    @property
    def flags(self) -> str:
        return tcp.flag_names(self.bits)

    @property
    def syn(self) -> bool:
        return bool(self.bits & tcp.SYN)

    @property
    def ack_flag(self) -> bool:
        return bool(self.bits & tcp.ACK)

    @property
    def fin(self) -> bool:
        return bool(self.bits & tcp.FIN)

    @property
    def rst(self) -> bool:
        return bool(self.bits & tcp.RST)


def read_segments(path: Path) -> Iterator[Segment]:
    """The TCP segments in the order of the file. Raises ValueError for a file that is not a pcap, or not of IP."""
    for time, packet in _packets(path):
        segment = _segment(time, packet)
        if segment is not None:
            yield segment


def _packets(path: Path) -> Iterator[tuple[float, memoryview]]:
    """Times in seconds, and packets from their network header on."""
    data = memoryview(path.read_bytes())
    if len(data) < _HEADER.size:
        raise ValueError("this is not a pcap file")
    record, fraction, link_type = _read_header(data)
    at = _HEADER.size
    while at + record.size <= len(data):
        seconds, part, captured, _ = record.unpack_from(data, at)
        at += record.size
        frame = data[at : at + captured]
        at += captured
        if link_type == LINKTYPE_RAW:
            yield seconds + part * fraction, frame
        elif len(frame) >= ETHERNET.size and ETHERNET.unpack_from(frame)[2] == ETHERTYPE_IPV4:
            yield seconds + part * fraction, frame[ETHERNET.size :]


def _read_header(data: memoryview) -> tuple[Struct, float, int]:
    """How records are read, what the second part of their time counts in, and the link type. Byte orders and
    resolutions of the time are told by the magic number."""
    for order in "<>":
        magic, *_, link_type = Struct(order + _HEADER.format[1:]).unpack_from(data)
        if magic in (MAGIC_NANOSECONDS, MAGIC_MICROSECONDS):
            if link_type not in (LINKTYPE_ETHERNET, LINKTYPE_RAW):
                raise ValueError(f"packets of link type {link_type} cannot be read here")
            record = Struct(order + PCAP_RECORD.format[1:])
            return record, 1e-9 if magic == MAGIC_NANOSECONDS else 1e-6, link_type
    raise ValueError("this is not a pcap file")


def _segment(time: float, packet: memoryview) -> Segment | None:
    """The TCP segment in an IPv4 packet; None when there is none, or not its beginning."""
    if len(packet) < IPV4.size:
        return None
    first, _, total, _, fragment, _, protocol, _, source, destination = IPV4.unpack_from(packet)
    start = (first & 0x0F) * 4
    if first >> 4 != 4 or protocol != TCP or fragment & FRAGMENT_MASK:
        return None
    if not IPV4.size <= start <= len(packet) - tcp.HEADER_SIZE:
        return None
    source_port, destination_port, sequence, acknowledgment, bits, window, _, _ = tcp.HEADER.unpack_from(packet, start)
    data_start = start + (bits >> 12) * 4
    return Segment(
        time,
        Endpoint(source, source_port),
        Endpoint(destination, destination_port),
        sequence,
        acknowledgment,
        bits & 0xFF,
        window,
        max(0, total - data_start),
        _option_words(packet, start + tcp.HEADER_SIZE, min(data_start, len(packet))),
    )


def _option_words(packet: memoryview, start: int, end: int) -> tuple[str, ...]:
    options = tcp_options.parse(packet, start, end)
    words = []
    if options.mss is not None:
        words.append(f"mss {options.mss}")
    if options.sack_permitted:
        words.append("sack permitted")
    if options.window_shift is not None:
        words.append(f"window scale {options.window_shift}")
    words += [f"sack {left}-{right}" for left, right in options.sack]
    if options.timestamp is not None:
        words.append(f"ts {options.timestamp} {options.timestamp_echo}")
    return tuple(words)
