"""Packets as bytes: those of the script for the stack, and those of the stack for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...net import ipv4_header as ip
from ...net.checksum import checksum, pseudo_header_sum
from ...net.icmp import ICMP as ICMP_HEADER
from ...net.protocols import TCP, UDP
from ...transport.tcp.header import CHECKSUM_OFFSET, HEADER
from .errors import Unsupported
from .syntax import TcpOption

_FLAGS: Final = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128, "A": 256}
_ACE: Final = 6  # the three bits A, W, E as a number
ECN: Final = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}
_KINDS: Final = {"eol": 0, "nop": 1, "mss": 2, "wscale": 3, "sackOK": 4, "sack": 5, "TS": 8, "md5": 19, "FO": 34}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
#: The counters of Accurate ECN's two options in their order, by the option's kind (RFC 9768 §3.2.3).
COUNTER_ORDERS: Final = {172: (b"e0b", b"ceb", b"e1b"), 174: (b"e1b", b"ceb", b"e0b")}
_COUNTER: Final = 3
#: Bytes of each number in an option.
_SIZES: Final = {"mss": 2, "wscale": 1, "sack": 4, "TS": 4}
_EXPERIMENT: Final = 254
_FAST_OPEN_EXPERIMENT: Final = b"\xf9\x89"  # RFC 7413 §4.1.1


def flag_bits(flags: str) -> int:
    """``S.`` as the header has it; a digit is the three ECN bits of RFC 9768."""
    return sum(int(letter) << _ACE if letter.isdigit() else _FLAGS[letter] for letter in flags)


def flag_letters(bits: int) -> str:
    return "".join(letter for letter in "FSRPUEWA." if bits & _FLAGS[letter])


@dataclass(slots=True)
class Datagram:
    """An IP packet that the stack sent at ``time``, or that it is to receive; ``data`` begins with the transport
    header."""

    source: bytes
    destination: bytes
    protocol: int
    data: bytes
    time: float = 0.0
    tos: int = 0
    ttl: int = 64
    #: Of a packet that is yet to be cut into segments: how long these are.
    segment_size: int = 0

    def to_bytes(self) -> bytes:
        size = ip.HEADER_SIZE + len(self.data)
        header = bytearray(
            ip.IPV4.pack(
                ip.PLAIN,
                self.tos,
                size,
                0,
                ip.DONT_FRAGMENT,
                self.ttl,
                self.protocol,
                0,
                self.source,
                self.destination,
            )
        )
        header[10:12] = checksum([header]).to_bytes(2)
        return bytes(header) + self.data

    @classmethod
    def from_bytes(cls, packet: bytes, time: float) -> Datagram:
        first, tos, size, _, _, ttl, protocol, _, source, destination = ip.IPV4.unpack_from(packet)
        start = (first & 0xF) * 4
        return cls(source, destination, protocol, packet[start:size], time, tos, ttl)


@dataclass(slots=True)
class Segment:
    """A TCP segment; numbers as on the wire. ``options`` are in the order of the wire."""

    source_port: int
    destination_port: int
    seq: int
    ack: int
    flags: int
    window: int
    urgent: int
    options: tuple[TcpOption, ...]
    length: int

    @classmethod
    def from_bytes(cls, data: bytes) -> Segment:
        source, destination, seq, ack, field, window, _, urgent = HEADER.unpack_from(data)
        start = field >> 10 & 0x3C
        options = _read_options(data[HEADER.size : start])
        return cls(source, destination, seq, ack, field & 0x1FF, window, urgent, options, len(data) - start)

    def to_bytes(self, source: bytes, destination: bytes) -> bytes:
        options = b"".join(map(_option_bytes, self.options))
        options += bytes(-len(options) % 4)
        size = HEADER.size + len(options)
        if size > 60:
            raise Unsupported("more TCP options than a header takes")
        header = HEADER.pack(
            self.source_port,
            self.destination_port,
            self.seq & 0xFFFFFFFF,
            self.ack & 0xFFFFFFFF,
            size << 10 | self.flags,
            self.window,
            0,
            self.urgent,
        )
        data = bytearray(header + options + bytes(self.length))
        _complete(data, CHECKSUM_OFFSET, source, destination, TCP)
        return bytes(data)


def _complete(data: bytearray, offset: int, source: bytes, destination: bytes, protocol: int) -> None:
    pseudo = pseudo_header_sum(source, destination, protocol, len(data))
    data[offset : offset + 2] = pseudo.to_bytes(2)
    data[offset : offset + 2] = checksum([data]).to_bytes(2)


def udp_bytes(source: bytes, destination: bytes, source_port: int, destination_port: int, length: int) -> bytes:
    """A UDP datagram with ``length`` zeros."""
    words = (source_port, destination_port, 8 + length, 0)
    data = bytearray(b"".join(word.to_bytes(2) for word in words) + bytes(length))
    _complete(data, 6, source, destination, UDP)
    return bytes(data)


def icmp_bytes(kind: int, code: int, first: int, second: int, payload: bytes) -> bytes:
    """An ICMP message; ``first`` and ``second`` are the two words after the checksum."""
    data = bytearray(ICMP_HEADER.pack(kind, code, 0, first, second) + payload)
    data[2:4] = checksum([data]).to_bytes(2)
    return bytes(data)


def _option_bytes(option: TcpOption) -> bytes:
    if option.name in ("nop", "eol"):
        return bytes([_KINDS[option.name]])
    if option.name == "ECN":
        kind = next(kind for kind, order in COUNTER_ORDERS.items() if option.values[:1] in ((), order[:1]))
        counters = (int(value).to_bytes(_COUNTER) for value in option.values[1::2])
        return bytes([kind, 2 + _COUNTER * (len(option.values) // 2)]) + b"".join(counters)
    if option.name == "FOEXP":
        kind, value = _EXPERIMENT, _FAST_OPEN_EXPERIMENT
    else:
        kind, value = _KINDS[option.name], b""
    for part in option.values:
        value += part if isinstance(part, bytes) else part.to_bytes(_SIZES[option.name])
    return bytes([kind, 2 + len(value)]) + value


def _read_options(data: bytes) -> tuple[TcpOption, ...]:
    options = []
    while data:
        kind = data[0]
        if kind <= _KINDS["nop"]:
            options.append(TcpOption(_NAMES[kind]))
            data = data[1:]
            continue
        size = max(data[1], 2)
        options.append(_read_option(kind, data[2:size]))
        data = data[size:]
    return tuple(options)


def _read_option(kind: int, value: bytes) -> TcpOption:
    if kind == _EXPERIMENT and value.startswith(_FAST_OPEN_EXPERIMENT):
        return TcpOption("FOEXP", (value[2:],))
    if kind in COUNTER_ORDERS:
        counters = [int.from_bytes(value[at : at + _COUNTER]) for at in range(0, len(value), _COUNTER)]
        return TcpOption(
            "ECN", tuple(part for pair in zip(COUNTER_ORDERS[kind], counters, strict=False) for part in pair)
        )
    name = _NAMES.get(kind, f"kind-{kind}")
    size = _SIZES.get(name)
    if size is None:
        return TcpOption(name, () if name == "sackOK" else (value,))
    return TcpOption(name, tuple(int.from_bytes(value[at : at + size]) for at in range(0, len(value), size)))
