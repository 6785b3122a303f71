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
from .syntax import IcmpPacket, Ports, UdpPacket
from .wire import Datagram, Segment, icmp_bytes, udp_bytes

if TYPE_CHECKING:
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
    kind = _KINDS.get(packet.kind)
    if kind is None:
        raise Unsupported(f"ICMP type {packet.kind}")
    code = _code(packet, _CODES.get(kind, ()))
    if kind in _ECHO:
        return ICMP, icmp_bytes(kind, code, packet.identifier, 0, b"")
    return ICMP, icmp_bytes(kind, code, 0, packet.mtu, _quote(packet, machine, flows))


def _code(packet: IcmpPacket, names: tuple[str, ...]) -> int:
    if packet.code is None:
        return 0
    if packet.code.isdigit():
        return int(packet.code)
    if packet.code not in names:
        raise Unsupported(f"ICMP code {packet.code}")
    return names.index(packet.code)


def _quote(packet: IcmpPacket, machine: Machine, flows: Flows) -> bytes:
    """The start of the packet of the stack's that the message is about."""
    quoted = packet.quoted
    if isinstance(quoted, tuple):
        seq, length = quoted
        flow = flows.current or Flow(flows.local_port, 0)
        segment = Segment(flow.local_port, flow.remote_port, seq + flow.local_offset(), 0, 0, 0, 0, (), length)
        protocol, data = TCP, segment.to_bytes(machine.local, machine.remote)
    else:
        local, remote = flows.udp_ports
        protocol, data = UDP, udp_bytes(machine.local, machine.remote, local, remote, quoted or 0)
    return Datagram(machine.local, machine.remote, protocol, data).to_bytes()[: HEADER_SIZE + _QUOTED]


def outbound(expected: UdpPacket | IcmpPacket, datagram: Datagram, flows: Flows) -> UdpPacket | IcmpPacket:
    """A message that the stack sent, in the script's terms."""
    info = ip_info(datagram, expected.ip)
    data = datagram.data
    if isinstance(expected, UdpPacket):
        ports = Ports(int.from_bytes(data[:2]), int.from_bytes(data[2:4]))
        return UdpPacket(True, len(data) - 8, info, expected.ports and ports)
    kind, code, _, first, second = ICMP_HEADER.unpack_from(data)
    names = {number: name for name, number in _KINDS.items()}
    actual = IcmpPacket(True, names.get(kind, f"type-{kind}"), ip=info)
    if kind in _ECHO:
        return replace(actual, identifier=first)
    if kind == UNREACHABLE:
        name = _UNREACHABLE_CODES[code] if code < len(_UNREACHABLE_CODES) else str(code)
        actual = replace(actual, code=name, mtu=second if code == _FRAG_NEEDED else 0)
    return replace(actual, quoted=_read_quote(expected, data[ICMP_HEADER.size :], flows))


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
