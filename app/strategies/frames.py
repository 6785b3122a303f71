"""Strategies for headers and whole packets: valid ones, and those that are nearly so.

A drawn frame is ``bytes``, from its Ethernet header on, and says what it is: ``udp 10.0.0.1:1 > 10.0.0.2:7, 3 bytes``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st

from ...link.checksum import ones_complement_sum
from ...link.ethernet import BROADCAST, ETHERTYPE_ARP, ETHERTYPE_IPV4, EthernetHeader
from ...link.ethernet import HEADER_SIZE as ETHERNET_SIZE
from ...link.packet import Packet
from ...net.address import parse
from ...net.arp import REPLY, REQUEST, ArpPacket
from ...net.icmp import ECHO_REPLY, ECHO_REQUEST, TIME_EXCEEDED, UNREACHABLE, IcmpHeader
from ...net.ipv4_header import HEADER_SIZE as IPV4_SIZE
from ...net.ipv4_header import Ipv4Header
from ...net.protocols import ICMP, TCP, UDP
from ...stack.simulation.frame import Frame, repaired
from ...transport.tcp.header import TcpHeader
from ...transport.tcp.options import MSS, NOP, SACK, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE, TcpOption
from ...transport.udp import HEADER as UdpHeader
from .scalars import addresses, link_addresses, payloads, ports

_WORDS16: Final = st.integers(0, 0xFFFF)
_WORDS32: Final = st.integers(0, 0xFFFF_FFFF)
#: Flags as they go together, the commonest first.
_FLAGS: Final = (("ack",), ("syn",), ("syn", "ack"), ("ack", "psh"), ("ack", "fin"), ("rst",), ("rst", "ack"))

Draw = Callable[[st.SearchStrategy[Any]], Any]


class DrawnFrame(bytes):
    """A frame that was drawn; ``defect`` says what is wrong with it, if anything."""

    defect: str

    def __new__(cls, data: bytes | bytearray, defect: str = "") -> DrawnFrame:
        self = super().__new__(cls, data)
        self.defect = defect
        return self

    def __repr__(self) -> str:
        frame = Frame(Packet([bytes(self)]), 0.0)
        words = [frame.protocol]
        if frame.source:
            port = (f":{frame.source_port}", f":{frame.destination_port}") if frame.source_port else ("", "")
            words.append(f"{frame.source}{port[0]} > {frame.destination}{port[1]}")
        if frame.flags:
            words.append(frame.flags)
        words.append(f"{len(frame.payload)} bytes" if frame.payload else f"frame of {len(self)} bytes")
        return f"<{' '.join(words)}{', ' + self.defect if self.defect else ''}: {self.hex()}>"


# -- headers


@st.composite
def ethernet_headers(
    draw: Draw, kind: int | None = None, destination: bytes | None = None, source: bytes | None = None
) -> bytes:
    """An Ethernet II header; what is not given is drawn."""
    return _built(
        EthernetHeader,
        destination=draw(st.one_of(link_addresses(), st.just(BROADCAST))) if destination is None else destination,
        source=draw(link_addresses()) if source is None else source,
        type=draw(st.sampled_from((ETHERTYPE_IPV4, ETHERTYPE_ARP))) if kind is None else kind,
    )


@st.composite
def ipv4_headers(
    draw: Draw,
    protocol: int | None = None,
    source: str | None = None,
    destination: str | None = None,
    payload_size: int = 0,
) -> bytes:
    """An IPv4 header, its checksum right, of a whole datagram that carries so many bytes."""
    options = draw(st.sampled_from((b"", b"\1" * 4, b"\0" * 8)))
    header = bytearray(
        _built(
            Ipv4Header,
            version_ihl={"version": 4, "ihl": (IPV4_SIZE + len(options)) // 4},
            traffic_class=draw(st.integers(0, 255)),
            total_length=IPV4_SIZE + len(options) + payload_size,
            identification=draw(_WORDS16),
            fragment={"reserved": False, "dont_fragment": draw(st.booleans()), "more_fragments": False, "offset": 0},
            hop_limit=draw(st.integers(1, 255)),
            protocol=draw(st.sampled_from((TCP, UDP, ICMP))) if protocol is None else protocol,
            checksum=0,
            source=parse(draw(addresses()) if source is None else source),
            destination=parse(draw(addresses()) if destination is None else destination),
            options=options,
        )
    )
    header[10:12] = (ones_complement_sum(header) ^ 0xFFFF).to_bytes(2)
    return bytes(header)


@st.composite
def tcp_headers(draw: Draw, source_port: int | None = None, destination_port: int | None = None) -> bytes:
    """A TCP header with options; its checksum is 0."""
    flags = draw(st.sampled_from(_FLAGS))
    options = draw(_tcp_options("syn" in flags))
    bits = {name: name in flags for name in ("cwr", "ece", "urg", "ack", "psh", "rst", "syn", "fin")}
    fields = {
        "source_port": draw(ports()) if source_port is None else source_port,
        "destination_port": draw(ports()) if destination_port is None else destination_port,
        "sequence_number": draw(_WORDS32),
        "acknowledgment_number": draw(_WORDS32) if "ack" in flags else 0,
        "offset_and_flags": {"data_offset": 5 + len(options) // 4, "reserved": 0, **bits},
        "window": draw(_WORDS16),
    }
    header = _built(TcpHeader, **fields, checksum=0, urgent_pointer=0)
    return header + bytes(options)


@st.composite
def _tcp_options(draw: Draw, syn: bool) -> bytes:
    """Options that such a segment may have, each at most once, padded to whole words (RFC 9293 §3.1)."""
    kinds = [MSS, WINDOW_SCALE, SACK_PERMITTED, TIMESTAMPS] if syn else [TIMESTAMPS, SACK]
    values: dict[int, st.SearchStrategy[Any]] = {
        MSS: st.integers(64, 65495),
        WINDOW_SCALE: st.integers(0, 14),
        SACK_PERMITTED: st.none(),
        TIMESTAMPS: st.fixed_dictionaries({"value": _WORDS32, "echo_reply": _WORDS32}),
        SACK: st.lists(st.fixed_dictionaries({"left": _WORDS32, "right": _WORDS32}), min_size=1, max_size=3),
    }
    chosen = draw(st.lists(st.sampled_from(kinds), unique=True))
    options = b"".join(TcpOption.build({"kind": kind, "value": draw(values[kind])}) for kind in chosen)
    return options + bytes([NOP]) * (-len(options) % 4)


@st.composite
def udp_headers(
    draw: Draw, source_port: int | None = None, destination_port: int | None = None, payload_size: int = 0
) -> bytes:
    """A UDP header of a datagram that carries so many bytes; its checksum is 0."""
    return _built(
        UdpHeader,
        source=draw(ports()) if source_port is None else source_port,
        destination=draw(ports()) if destination_port is None else destination_port,
        length=UdpHeader.sizeof() + payload_size,
        checksum=0,
    )


# -- whole frames


@st.composite
def arp_frames(draw: Draw, source: str | None = None, destination: str | None = None) -> DrawnFrame:
    """ARP questions and answers (RFC 826); ``source`` and ``destination`` are the sender's and target's addresses."""
    operation = draw(st.sampled_from((REQUEST, REPLY)))
    station, other = draw(link_addresses()), draw(link_addresses())
    packet = _built(
        ArpPacket,
        hardware_type=1,
        protocol_type=ETHERTYPE_IPV4,
        hardware_size=6,
        protocol_size=4,
        operation=operation,
        sender_hardware=station,
        sender_protocol=parse(source or draw(addresses())),
        target_hardware=bytes(6) if operation == REQUEST else other,
        target_protocol=parse(destination or draw(addresses())),
    )
    to = BROADCAST if operation == REQUEST else other
    return DrawnFrame(draw(ethernet_headers(ETHERTYPE_ARP, to, station)) + packet)


@st.composite
def icmp_frames(draw: Draw, source: str | None = None, destination: str | None = None) -> DrawnFrame:
    """Echo requests and replies, and errors that quote a datagram (RFC 792)."""
    kind = draw(st.sampled_from((ECHO_REQUEST, ECHO_REPLY, UNREACHABLE, TIME_EXCEEDED)))
    if kind in (ECHO_REQUEST, ECHO_REPLY):
        code, first, second, body = 0, draw(_WORDS16), draw(_WORDS16), draw(payloads())
    else:
        code = draw(st.integers(0, 15 if kind == UNREACHABLE else 1))
        quoted = draw(st.one_of(udp_headers(), tcp_headers()))
        protocol = UDP if len(quoted) == UdpHeader.sizeof() else TCP
        first, second = 0, draw(st.integers(68, 1500)) if (kind, code) == (UNREACHABLE, 4) else 0
        body = draw(ipv4_headers(protocol, destination, source, len(quoted))) + quoted[:8]
    message = bytearray(_built(IcmpHeader, type=kind, code=code, checksum=0, first=first, second=second) + body)
    message[2:4] = (ones_complement_sum(message) ^ 0xFFFF).to_bytes(2)
    return _ipv4_frame(draw, ICMP, source, destination, bytes(message))


@st.composite
def udp_frames(
    draw: Draw,
    source: str | None = None,
    destination: str | None = None,
    source_port: int | None = None,
    destination_port: int | None = None,
) -> DrawnFrame:
    """UDP datagrams (RFC 768)."""
    payload = draw(payloads())
    body = draw(udp_headers(source_port, destination_port, len(payload))) + payload
    return _ipv4_frame(draw, UDP, source, destination, body)


@st.composite
def tcp_frames(
    draw: Draw,
    source: str | None = None,
    destination: str | None = None,
    source_port: int | None = None,
    destination_port: int | None = None,
) -> DrawnFrame:
    """TCP segments (RFC 9293 §3.1), each by itself: numbers and flags are those of no connection."""
    body = draw(tcp_headers(source_port, destination_port)) + draw(payloads())
    return _ipv4_frame(draw, TCP, source, destination, body)


def frames(source: str | None = None, destination: str | None = None) -> st.SearchStrategy[DrawnFrame]:
    """A valid frame of any protocol, between two addresses or any."""
    kinds = (arp_frames, udp_frames, tcp_frames, icmp_frames)
    return st.one_of(*(kind(source, destination) for kind in kinds))


def _ipv4_frame(draw: Draw, protocol: int, source: str | None, destination: str | None, body: bytes) -> DrawnFrame:
    ethernet = draw(ethernet_headers(ETHERTYPE_IPV4, destination=draw(link_addresses())))
    header = draw(ipv4_headers(protocol, source, destination, len(body)))
    return DrawnFrame(repaired(bytearray(ethernet + header + body)))


def _built(declaration: Any, **fields: Any) -> bytes:
    built: bytes = declaration.build(fields)
    return built


# -- nearly valid frames


@st.composite
def nearly_valid_frames(draw: Draw, whole: st.SearchStrategy[DrawnFrame] | None = None) -> DrawnFrame:
    """A frame with one thing wrong, which its ``defect`` names; ``whole`` is where the frame is drawn from."""
    frame = bytearray(draw(frames() if whole is None else whole))
    fields = _fields(frame)
    kind = draw(st.sampled_from(("truncated", "a bit flipped", "bytes behind its end", *fields)))
    if kind == "truncated":
        size = draw(st.integers(0, len(frame) - 1))
        return DrawnFrame(frame[:size], f"truncated from {len(frame)} bytes")
    if kind == "a bit flipped":
        bit = draw(st.integers(ETHERNET_SIZE * 8, len(frame) * 8 - 1))
        frame[bit >> 3] ^= 0x80 >> (bit & 7)
        return DrawnFrame(frame, f"bit {bit & 7} of byte {bit >> 3} flipped")
    if kind == "bytes behind its end":
        extra = draw(st.binary(min_size=1, max_size=32))
        return DrawnFrame(frame + extra, f"{len(extra)} bytes behind its end")
    return _lying(draw, frame, kind, *fields[kind])


def _fields(frame: bytearray) -> dict[str, tuple[int, int]]:
    """Fields that can lie: where they are, and their size in bytes."""
    if frame[12:14] != ETHERTYPE_IPV4.to_bytes(2):
        return {"ARP's hardware size": (18, 1), "ARP's operation": (20, 2), "ARP's protocol": (16, 2)}
    start = ETHERNET_SIZE + (frame[ETHERNET_SIZE] & 15) * 4
    common = {
        "IPv4's version and header length": (14, 1),
        "IPv4's total length": (16, 2),
        "IPv4's fragment offset": (20, 2),
        "IPv4's hop limit": (22, 1),
        "IPv4's protocol": (23, 1),
        "IPv4's source": (26, 4),
    }
    of_transport = {
        TCP: {"TCP's data offset": (start + 12, 1), "TCP's flags": (start + 13, 1), "TCP's options": (start + 20, 2)},
        UDP: {"UDP's length": (start + 4, 2), "UDP's destination port": (start + 2, 2)},
        ICMP: {"ICMP's type": (start, 1), "ICMP's code": (start + 1, 1)},
    }
    found = common | of_transport[frame[23]]
    return {name: place for name, place in found.items() if sum(place) <= len(frame)}


def _lying(draw: Draw, frame: bytearray, name: str, at: int, size: int) -> DrawnFrame:
    """Another value in a field; checksums of headers made right again, or not, so that it is looked at either way."""
    old = int.from_bytes(frame[at : at + size])
    largest = (1 << size * 8) - 1
    near = [value for value in (0, 1, old - 1, old + 1, largest) if 0 <= value <= largest and value != old]
    value = draw(st.one_of(st.sampled_from(near), st.integers(0, largest).filter(lambda new: new != old)))
    frame[at : at + size] = value.to_bytes(size)
    defect = f"{name} {value} for {old}"
    if frame[12:14] == ETHERTYPE_IPV4.to_bytes(2) and draw(st.booleans()):
        end = min(len(frame), ETHERNET_SIZE + (frame[ETHERNET_SIZE] & 15) * 4)
        frame[24:26] = bytes(2)
        frame[24:26] = (ones_complement_sum(frame[ETHERNET_SIZE:end]) ^ 0xFFFF).to_bytes(2)
        defect += ", header checksum right"
    return DrawnFrame(frame, defect)
