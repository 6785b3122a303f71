"""Datagrams of UDP, and ICMP messages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ...net.icmp import ECHO_REPLY, ECHO_REQUEST, PARAMETER_PROBLEM, REDIRECT, TIME_EXCEEDED, UNREACHABLE
from ...net.icmp import ICMP as ICMP_HEADER
from ...net.ipv4_header import HEADER_SIZE
from ...net.protocols import ICMP, TCP, UDP
from .errors import Unsupported
from .flows import Flow, ip_info
from .syntax import IcmpPacket, Ports, Raw, UdpPacket
from .wire import Datagram, Segment, icmp_bytes, udp_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .flows import Flows
    from .machine import Machine

_SOURCE_QUENCH: Final = 4
_KINDS: Final = {
    "unreachable": UNREACHABLE,
    "time_exceeded": TIME_EXCEEDED,
    "source_quench": _SOURCE_QUENCH,
    "parameter_problem": PARAMETER_PROBLEM,
    "redirect": REDIRECT,
    "echo_request": ECHO_REQUEST,
    "echo_reply": ECHO_REPLY,
    "timestamp_request": 13,
    "timestamp_reply": 14,
    "information_request": 15,
    "information_reply": 16,
    "address_mask_request": 17,
    "address_mask_reply": 18,
}
_UNREACHABLE_CODES: Final = (
    "net_unreachable", "host_unreachable", "protocol_unreachable", "port_unreachable", "frag_needed",
    "source_route_failed", "net_unknown", "host_unknown", "source_host_isolated", "net_prohibited", "host_prohibited",
    "net_unreachable_for_tos", "host_unreachable_for_tos", "packet_filtered", "precedence_violation",
    "precedence_cutoff",
)  # fmt: skip
#: The names of codes, by the message's type.
_CODES: Final = {
    UNREACHABLE: _UNREACHABLE_CODES,
    TIME_EXCEEDED: ("ttl_exceeded", "fragment_time_exceeded"),
    REDIRECT: ("redirect_net", "redirect_host", "redirect_tos_and_net", "redirect_tos_and_host"),
}
_FRAG_NEEDED: Final = _UNREACHABLE_CODES.index("frag_needed")
_ECHO: Final = (ECHO_REQUEST, ECHO_REPLY)
#: Bytes of the datagram that an error quotes beyond its IP header (RFC 792).
_QUOTED: Final = 8


def protocol_of(packet: UdpPacket | IcmpPacket) -> int:
    return UDP if isinstance(packet, UdpPacket) else ICMP


def inbound(packet: UdpPacket | IcmpPacket, machine: Machine, flows: Flows) -> tuple[int, bytes]:
    """Protocol and bytes of a message of the script's."""
    if isinstance(packet, UdpPacket):
        local, remote = flows.udp_ports
        ports = packet.ports or Ports(remote, local)
        return UDP, udp_bytes(machine.remote, machine.local, ports.source, ports.destination, packet.length)
    kind = _number(packet.kind, "type", _KINDS)
    code = _number(packet.code or "0", "code", _codes(kind))
    if isinstance(packet.quoted, Raw) or kind in _ECHO:
        size = packet.quoted.size - ICMP_HEADER.size if isinstance(packet.quoted, Raw) else 0
        return ICMP, icmp_bytes(kind, code, packet.identifier, packet.mtu, bytes(max(size, 0)))
    return ICMP, icmp_bytes(kind, code, packet.identifier, packet.mtu, _quote(packet, machine, flows))


def _number(text: str, what: str, names: Mapping[str, int]) -> int:
    """A name's number; ``5`` and ``code_5`` (or ``type_5``) are numbers themselves."""
    digits = text.removeprefix(f"{what}_")
    if digits.isdigit():
        return int(digits) & 0xFF
    if text not in names:
        raise Unsupported(f"ICMP {what} {text}")
    return names[text]


def _quote(packet: IcmpPacket, machine: Machine, flows: Flows) -> bytes:
    """The start of the packet of the stack's that the message is about."""
    quoted = packet.quoted
    if quoted is None and flows.current is None:
        quoted = 0
    if not isinstance(quoted, int):
        seq, length = quoted if isinstance(quoted, tuple) else (0, 0)
        flow = flows.current or Flow(flows.local_port, 0)
        segment = Segment(flow.local_port, flow.remote_port, seq + flow.local_offset(), 0, 0, 0, 0, (), length)
        protocol, data = TCP, segment.to_bytes(machine.local, machine.remote)
    else:
        local, remote = flows.udp_ports
        protocol, data = UDP, udp_bytes(machine.local, machine.remote, local, remote, quoted)
    return Datagram(machine.local, machine.remote, protocol, data).to_bytes()[: HEADER_SIZE + _QUOTED]


def outbound(expected: UdpPacket | IcmpPacket, datagram: Datagram, flows: Flows) -> UdpPacket | IcmpPacket:
    """A message that the stack sent, in the script's terms."""
    info = ip_info(datagram, expected.ip)
    data = datagram.data
    if isinstance(expected, UdpPacket):
        ports = Ports(int.from_bytes(data[:2]), int.from_bytes(data[2:4]))
        return UdpPacket(True, len(data) - 8, info, expected.ports and ports)
    kind, code, _, first, second = ICMP_HEADER.unpack_from(data)
    actual = IcmpPacket(
        True,
        _said(expected.kind, kind, "type", _KINDS),
        _said(expected.code or "", code, "code", _codes(kind)) if code or expected.code else None,
        identifier=first if kind in _ECHO and expected.identifier else 0,
        mtu=second if (kind, code) == (UNREACHABLE, _FRAG_NEEDED) else 0,
        ip=info,
    )
    if isinstance(expected.quoted, Raw):
        return replace(actual, quoted=Raw(len(data)))
    return actual if kind in _ECHO else replace(actual, quoted=_read_quote(expected, data[ICMP_HEADER.size :], flows))


def _codes(kind: int) -> dict[str, int]:
    return {name: code for code, name in enumerate(_CODES.get(kind, ()))}


def _said(expected: str, actual: int, what: str, names: Mapping[str, int]) -> str:
    """A number as the script says it, if that is what it says; else by its name, if it has one."""
    if expected and actual == _number(expected, what, names):
        return expected
    return next((name for name, number in names.items() if number == actual), f"{what}_{actual}")


def _read_quote(expected: IcmpPacket, quote: bytes, flows: Flows) -> tuple[int, int] | int | None:
    """What of a packet of the script's is quoted; the script may leave it out."""
    if expected.quoted is None or len(quote) < HEADER_SIZE + _QUOTED:
        return None
    total = int.from_bytes(quote[2:4])
    data = quote[(quote[0] & 0xF) * 4 :]
    if quote[9] == UDP:
        return int.from_bytes(data[4:6]) - 8
    header = 20 if len(data) < 13 else data[12] >> 4 << 2
    return int.from_bytes(data[4:8]), total - (quote[0] & 0xF) * 4 - header
