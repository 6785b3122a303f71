"""Reading the lines of a script that are packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .errors import Unsupported
from .lexer import Kind
from .syntax import IcmpPacket, IpInfo, Ports, Raw, TcpOption, TcpPacket, UdpPacket
from .wire import COUNTER_ORDERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .reader import Reader
    from .syntax import Packet

_ENCAPSULATIONS: Final = ("ipv4", "ipv6", "gre", "GREv0", "mpls", "psp")
_COUNTERS: Final = ("e0b", "ceb", "e1b")
_ECN: Final = ("noecn", "ect0", "ect1", "ect01", "ce")


def read_packet(reader: Reader) -> Packet:
    """What follows the time of a packet: ``<`` or ``>``, and what the packet is."""
    outbound = reader.take().text == ">"
    if reader.sees(*_ENCAPSULATIONS):
        raise Unsupported(f"packets encapsulated in {reader.peek().text}")
    ip = _ip_info(reader)
    if reader.accept("udp"):
        return _udp(reader, outbound, ip)
    if reader.accept("icmp"):
        return _icmp(reader, outbound, ip)
    return _tcp(reader, outbound, ip)


def _ip_info(reader: Reader) -> IpInfo:
    """``[ect0]``, ``(tos 0x10)``, ``[ttl 3]``"""
    end = "]" if reader.accept("[") else ")" if reader.accept("(") else ""
    found: dict[str, Any] = {}
    while end and not reader.accept(end):
        word = reader.take_kind(Kind.WORD, Kind.SYMBOL).text
        if word.lower() in _ECN:
            found["ecn"] = word.lower()
        elif word in ("tos", "ttl"):
            found[word] = reader.number(8)
        elif word == "flowlabel":
            raise Unsupported("flow labels")
        elif word != ",":
            raise reader.error(f"{word!r} is nothing that an IP header has")
    return IpInfo(**found)


def _ports(reader: Reader) -> Ports | None:
    """``1024 > 8080``"""
    if reader.peek().kind is not Kind.NUMBER or reader.peek(1).text != ">":
        return None
    source = reader.number(16)
    reader.take()
    return Ports(source, reader.number(16))


def _tcp(reader: Reader, outbound: bool, ip: IpInfo) -> TcpPacket:
    ports = _ports(reader)
    flags = _flags(reader)
    seq, length = _sequence(reader)
    ack = reader.number(32) if reader.accept("ack") else None
    window = None
    if reader.accept("win"):
        window = None if reader.accept("*") else reader.number(16)
    urgent = reader.number(16) if reader.accept("urg") else 0
    options = _options(reader) if reader.accept("<") else ()
    if reader.sees("{"):
        raise Unsupported("packets that are changed in some field")
    return TcpPacket(outbound, flags, seq, length, ack, window, urgent, options, ip, ports)


def _flags(reader: Reader) -> str:
    """``S.``, ``.``, ``FP.``; ``-`` for none; ``.5``, ``P.5``: with the three ECN bits as a number."""
    if reader.accept("-"):
        return ""
    first = reader.peek()
    word = reader.take().text if reader.peek().kind in (Kind.WORD, Kind.NUMBER) else ""
    if reader.peek().kind is Kind.FLOAT:
        word += reader.take().text
    elif reader.accept("."):
        word += "."
        if reader.peek().kind is Kind.WORD and not reader.peek().text[0].isdigit():
            word += reader.take().text
    if not word or set(word) - set("FSRPUEWA.01234567"):
        raise reader.error(f"{word or reader.peek().text!r} are no TCP flags", first)
    return word


def _sequence(reader: Reader) -> tuple[int, int]:
    """``1:1001(1000)``: the first number, and how many bytes."""
    start = reader.number(32)
    reader.expect(":")
    end = reader.number(32)
    reader.expect("(")
    length = reader.number(16)
    reader.expect(")")
    if (start + length - end) & 0xFFFFFFFF:
        raise reader.error(f"{start}:{end} are not {length} bytes")
    return start, length


def _options(reader: Reader) -> tuple[TcpOption, ...] | None:
    if reader.peek().kind is Kind.ELLIPSIS:
        reader.take()
        reader.expect(">")
        return None
    options: list[TcpOption] = []
    while not reader.accept(">"):
        if options:
            reader.expect(",")
        name = reader.take_kind(Kind.WORD).text
        read = _OPTIONS.get(name)
        if read is None:
            raise Unsupported(f"TCP option {name}")
        options.append(TcpOption(name, read(reader)))
    return tuple(options)


def _segment_size(reader: Reader) -> tuple[int, ...]:
    return (reader.number(16),)


def _scale(reader: Reader) -> tuple[int, ...]:
    return (reader.number(8),)


def _timestamps(reader: Reader) -> tuple[int, ...]:
    reader.expect("val")
    value = reader.number(32)
    reader.expect("ecr")
    return value, reader.number(32)


def _blocks(reader: Reader) -> tuple[int, ...]:
    edges: list[int] = []
    while reader.peek().kind is Kind.NUMBER:
        edges.append(reader.number(32))
        reader.expect(":")
        edges.append(reader.number(32))
    return tuple(edges)


def _counters(reader: Reader) -> tuple[int | bytes, ...]:
    """``e1b 1 ceb 0 e0b 1``, or ``e0b`` first: counters of Accurate ECN (RFC 9768 §3.2.3)."""
    words: list[int | bytes] = []
    while reader.sees(*_COUNTERS):
        words += [reader.take().text.encode(), reader.number(24)]
    if tuple(words[::2]) not in {order[:count] for order in COUNTER_ORDERS.values() for count in range(4)}:
        raise reader.error("the counters of Accurate ECN are e1b, ceb, e0b or e0b, ceb, e1b")
    return tuple(words)


def _cookie(reader: Reader) -> tuple[bytes, ...]:
    if reader.peek().kind not in (Kind.WORD, Kind.NUMBER):
        return (b"",)
    digits = reader.take().text
    try:
        return (bytes.fromhex(digits),)
    except ValueError:
        raise Unsupported(f"the definition of {digits}") from None


_OPTIONS: Final[dict[str, Callable[[Reader], tuple[int | bytes, ...]]]] = {
    "nop": lambda reader: (),
    "eol": lambda reader: (),
    "sackOK": lambda reader: (),
    "mss": _segment_size,
    "wscale": _scale,
    "sack": _blocks,
    "TS": _timestamps,
    "FO": _cookie,
    "FOEXP": _cookie,
    "md5": _cookie,
    "ECN": _counters,
}


def _udp(reader: Reader, outbound: bool, ip: IpInfo) -> UdpPacket:
    ports = _ports(reader)
    reader.expect("(")
    length = reader.number(16)
    reader.expect(")")
    return UdpPacket(outbound, length, ip, ports)


def _icmp(reader: Reader, outbound: bool, ip: IpInfo) -> IcmpPacket:
    kind = reader.take_kind(Kind.WORD).text
    coded = reader.peek().kind in (Kind.WORD, Kind.NUMBER) and not reader.sees("mtu", "id")
    code = reader.take().text if coded else None
    mtu = reader.number(16) if reader.accept("mtu") else 0
    identifier = reader.number(16) if reader.accept("id") else 0
    return IcmpPacket(outbound, kind, code, mtu, identifier, _quoted(reader), ip)


def _quoted(reader: Reader) -> tuple[int, int] | int | Raw | None:
    """``[1:1001(1000)]``, ``[udp (1000)]``, or ``[raw (1000)]``"""
    if not reader.accept("["):
        return None
    quoted: tuple[int, int] | int | Raw
    if reader.sees("udp", "raw"):
        raw = reader.take().text == "raw"
        reader.expect("(")
        quoted = Raw(reader.number(16)) if raw else reader.number(16)
        reader.expect(")")
    else:
        quoted = _sequence(reader)
    reader.expect("]")
    return quoted
