"""Frames on a simulated wire as faults look at them, and predicates that pick some.

wire.drop(nth(3, data), sender="client")        # the third data segment that the client sends
wire.delay(syn_ack, "2s")                       # every SYN-ACK
wire.drop(during(5, 7, tcp))                    # all TCP from second 5 to second 7
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from ...link.checksum import ones_complement_sum
from ...link.ethernet import HEADER_SIZE as ETHERNET_SIZE
from ...net.address import parse, text
from ...net.checksum import pseudo_header_sum
from ...net.ipv4_header import FRAGMENT_MASK, IPV4
from ...net.protocols import ICMP, TCP, UDP
from ...transport.tcp import header as tcp_header
from ...transport.tcp.header import HEADER, flag_names
from ..units import Quantity, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...link.packet import Packet

_IPV4 = b"\x08\x00"
_ARP = b"\x08\x06"
_UDP_HEADER_SIZE = 8
_PORTS = Struct(">HH")
#: Where TCP and UDP have their checksums, from their headers on.
_CHECKSUM_AT = {TCP: tcp_header.CHECKSUM_OFFSET, UDP: 6}


class Frame:
    """A frame that is being sent at ``time``: its headers, as far as it has them.

    ``protocol`` is "arp", "icmp", "tcp", "udp", or "other" (fragments but for the first included); ``source`` and
    ``destination`` are addresses as text, ``flags`` of TCP as "SYN,ACK", ``payload`` what the transport carries. What a
    frame does not have is 0 or empty.
    """

    source_port = destination_port = seq = ack = window = _flags = 0
    payload = b""
    _addresses: tuple[bytes, bytes] | None = None

    def __init__(self, packet: Packet, time: float) -> None:
        buffers = packet.buffers
        self.data = data = bytes(buffers[0]) if len(buffers) == 1 else b"".join(buffers)
        self.time = time
        self.protocol = "arp" if data[12:14] == _ARP else "other"
        if data[12:14] == _IPV4 and len(data) >= ETHERNET_SIZE + IPV4.size:
            self._read_ipv4(data)

    def _read_ipv4(self, data: bytes) -> None:
        first, _, length, _, fragment, _, protocol, _, source, destination = IPV4.unpack_from(data, ETHERNET_SIZE)
        self._addresses = source, destination
        start, end = ETHERNET_SIZE + (first & 15) * 4, min(ETHERNET_SIZE + length, len(data))
        if fragment & FRAGMENT_MASK & 0x1FFF:
            return
        if protocol == TCP and end - start >= HEADER.size:
            self.protocol = "tcp"
            fields = HEADER.unpack_from(data, start)
            self.source_port, self.destination_port, self.seq, self.ack, self._flags, self.window, _, _ = fields
            self.payload = data[start + (self._flags >> 12 << 2) : end]
        elif protocol == UDP and end - start >= _UDP_HEADER_SIZE:
            self.protocol = "udp"
            self.source_port, self.destination_port = _PORTS.unpack_from(data, start)
            self.payload = data[start + _UDP_HEADER_SIZE : end]
        elif protocol == ICMP:
            self.protocol = "icmp"
            self.payload = data[start:end]

    @property
    def source(self) -> str:
        return text(self._addresses[0]) if self._addresses else ""

    @property
    def destination(self) -> str:
        return text(self._addresses[1]) if self._addresses else ""

    @property
    def flags(self) -> str:
        return flag_names(self._flags)

    def __repr__(self) -> str:
        ends = f"{self.source}:{self.source_port} > {self.destination}:{self.destination_port}"
        return f"<{self.protocol} {ends} {self.flags} {len(self.payload)} bytes at {self.time:.6f} s>"


def repaired(frame: bytearray) -> bytearray:
    """The frame with IPv4's length and checksum, and TCP's or UDP's checksum, set to what they must be."""
    if frame[12:14] != _IPV4 or len(frame) < ETHERNET_SIZE + IPV4.size:
        return frame
    network = ETHERNET_SIZE
    start = network + (frame[network] & 15) * 4
    frame[network + 2 : network + 4] = (len(frame) - network).to_bytes(2)
    frame[network + 10 : network + 12] = bytes(2)
    frame[network + 10 : network + 12] = (ones_complement_sum(frame[network:start]) ^ 0xFFFF).to_bytes(2)
    protocol = frame[network + 9]
    if protocol in _CHECKSUM_AT:
        if protocol == UDP:
            frame[start + 4 : start + 6] = (len(frame) - start).to_bytes(2)
        position = start + _CHECKSUM_AT[protocol]
        frame[position : position + 2] = bytes(2)
        addresses = bytes(frame[network + 12 : network + 16]), bytes(frame[network + 16 : network + 20])
        pseudo = pseudo_header_sum(*addresses, protocol, len(frame) - start)
        value = ones_complement_sum(frame[start:], pseudo) ^ 0xFFFF
        frame[position : position + 2] = (value or 0xFFFF).to_bytes(2)
    return frame


def between_groups(addresses: Iterable[str]) -> Callable[[Packet], bool]:
    """Picks IPv4 packets to one of ``addresses``, and ARP that asks for one or answers it."""
    away = {parse(address) for address in addresses}

    def picks(packet: Packet) -> bool:
        buffers = packet.buffers
        frame = bytes(buffers[0]) if len(buffers) == 1 else b"".join(buffers)
        kind = frame[12:14]
        return (kind == _IPV4 and frame[30:34] in away) or (kind == _ARP and frame[38:42] in away)

    return picks


def _without_ecn(frame: Frame) -> str:
    return frame.flags.partition(",ECE")[0].partition(",CWR")[0]


# -- predicates


def every(frame: Frame) -> bool:
    """Every frame."""
    return True


def arp(frame: Frame) -> bool:
    """ARP."""
    return frame.protocol == "arp"


def tcp(frame: Frame) -> bool:
    """TCP segments."""
    return frame.protocol == "tcp"


def udp(frame: Frame) -> bool:
    """UDP datagrams."""
    return frame.protocol == "udp"


def data(frame: Frame) -> bool:
    """TCP segments that carry data."""
    return frame.protocol == "tcp" and bool(frame.payload)


def pure_ack(frame: Frame) -> bool:
    """TCP segments that only acknowledge."""
    return not frame.payload and _without_ecn(frame) == "ACK"


def syn(frame: Frame) -> bool:
    """The first segment of a handshake."""
    return _without_ecn(frame) == "SYN"


def syn_ack(frame: Frame) -> bool:
    """The second segment of a handshake."""
    return _without_ecn(frame) == "SYN,ACK"


def fin(frame: Frame) -> bool:
    """TCP segments with FIN."""
    return "FIN" in frame.flags


def rst(frame: Frame) -> bool:
    """TCP segments with RST."""
    return "RST" in frame.flags


def nth(number: int, picks: Callable[[Frame], bool] = every) -> Callable[[Frame], bool]:
    """Of the frames that ``picks`` picks only the ``number``-th, counted from 1 and from now on."""
    if number < 1:
        raise ValueError(f"nth: {number} is not a number from 1 up")
    passed = 0

    def picks_nth(frame: Frame) -> bool:
        nonlocal passed
        if not picks(frame):
            return False
        passed += 1
        return passed == number

    return picks_nth


def during(start: Quantity, end: Quantity, picks: Callable[[Frame], bool] = every) -> Callable[[Frame], bool]:
    """Of the frames that ``picks`` picks those sent from second ``start`` to before second ``end``."""
    first, last = seconds(start, "start"), seconds(end, "end")
    return lambda frame: first <= frame.time < last and picks(frame)
