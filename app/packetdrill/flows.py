"""Which connection a packet of the script belongs to, and what its numbers are on the wire.

A script says in a connection's SYNs where the two streams begin, and counts from there in all other segments; it leaves
the ports out, and makes up the stack's numbers and timestamps, which the stack chooses itself. A `Flow` keeps how the
ones are translated into the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ...net.protocols import TCP
from ...transport.tcp.header import ACK, SYN
from ...transport.tcp.state import State
from .syntax import IpInfo, Ports, TcpOption, TcpPacket
from .wire import ECN, Segment, flag_bits, flag_letters

if TYPE_CHECKING:
    from .configuration import Configuration
    from .machine import Machine
    from .wire import Datagram

_MASK: Final = 0xFFFFFFFF
_ECN_NAMES: Final = {bits: name for name, bits in ECN.items()}
#: The remote host's ports: the first that it connects from.
_FIRST_PORT: Final = 40001


@dataclass(slots=True)
class Flow:
    """One connection. The remote host's SYN is on the wire as it is in the script, and so are its timestamps."""

    local_port: int
    remote_port: int
    #: Where the stack's stream begins, on the wire and in the script; None before the stack has said so.
    local_isn: int | None = None
    local_script_isn: int = 0
    #: Where the remote host's stream begins; None before the script has said so.
    remote_isn: int | None = None
    #: The first timestamp value that the stack sent, in the script and on the wire.
    first_timestamp: tuple[int, int] | None = None
    #: Timestamp values that the stack sent, by what the script has in their place.
    timestamps: dict[int, int] = field(default_factory=dict)

    def local_offset(self, flags: int = 0) -> int:
        """What is added to the script's numbers of the stack's stream to have those on the wire, in a segment with
        these flags."""
        return (self.local_isn or 0) - (self.local_script_isn if flags & SYN else 0)

    def remote_offset(self, flags: int) -> int:
        """The same for the remote host's stream."""
        return 0 if flags & SYN else self.remote_isn or 0

    def to_wire(self, packet: TcpPacket) -> Segment:
        """A segment of the script's, for the stack."""
        bits = flag_bits(packet.flags)
        if self._begins_with(bits):
            self.remote_isn = packet.seq
        ack, offset = packet.ack or 0, self.local_offset(bits)
        options = tuple(self._option_to_wire(option, offset) for option in packet.options or ())
        return Segment(
            self.remote_port,
            self.local_port,
            packet.seq + self.remote_offset(bits) & _MASK,
            ack + (offset if bits & ACK else 0) & _MASK,
            bits,
            packet.window or 0,
            packet.urgent,
            options,
            packet.length,
        )

    def _begins_with(self, flags: int) -> bool:
        """Whether a segment from the remote host is where its stream begins: its first SYN, which answers the stack's
        if that has sent one."""
        opening = flags & SYN and (self.local_isn is None or flags & ACK)
        return self.remote_isn is None and bool(opening)

    def _option_to_wire(self, option: TcpOption, offset: int) -> TcpOption:
        if option.name == "sack":
            return _moved(option, offset)
        if option.name == "TS":
            value, echo = map(int, option.values)
            return replace(option, values=(value, self._echo(echo) & _MASK))
        return option

    def _echo(self, echo: int) -> int:
        """The timestamp of the stack's that the script says is echoed."""
        if echo in self.timestamps or not echo or self.first_timestamp is None:
            return self.timestamps.get(echo, echo)
        script, wire = self.first_timestamp
        return wire + echo - script

    def to_script(self, segment: Segment, ip: IpInfo, expected: TcpPacket) -> TcpPacket:
        """A segment that the stack sent, in the script's terms, where ``expected`` stands in the script.

        That may be where the script says what the stack's first numbers are.
        """
        flags = segment.flags
        begins = self.local_isn is None or (segment.seq - self.local_offset(flags) - expected.seq) & _MASK
        if flags & SYN and begins:
            self.local_isn, self.local_script_isn = segment.seq, expected.seq
        remote = self.remote_offset(flags)
        options = tuple(self._option_to_script(option, expected, remote) for option in segment.options)
        return TcpPacket(
            outbound=True,
            flags=flag_letters(flags),
            seq=segment.seq - self.local_offset(flags) & _MASK,
            length=segment.length,
            ack=segment.ack - remote & _MASK if flags & ACK else None,
            window=segment.window,
            urgent=segment.urgent,
            options=options,
            ip=ip,
            ports=expected.ports and Ports(segment.source_port, segment.destination_port),
        )

    def _option_to_script(self, option: TcpOption, expected: TcpPacket, remote: int) -> TcpOption:
        if option.name == "sack":
            return _moved(option, -remote)
        if option.name != "TS":
            return option
        value, echo = map(int, option.values)
        for other in expected.options or ():
            if other.name == "TS":
                said = int(other.values[0])
                self.timestamps[said] = value
                self.first_timestamp = self.first_timestamp or (said, value)
        if self.first_timestamp is not None:
            script, wire = self.first_timestamp
            value = value - wire + script & _MASK
        return replace(option, values=(value, echo))


class Flows:
    """All connections of a script. What is said about packets without ports is about the ``current`` one."""

    def __init__(self, machine: Machine, configuration: Configuration) -> None:
        self._machine = machine
        self._flows: dict[tuple[int, int], Flow] = {}
        self._next_port = _FIRST_PORT
        self.current: Flow | None = None
        #: Whether a socket was made since the current connection began, and listens: the next SYN is for it.
        self._made = self._listens = False
        #: Where the program listens, or is bound; the ports of its datagrams, and of whom it exchanges them with.
        self.local_port = configuration.bind_port
        self.udp_ports = (configuration.bind_port, configuration.connect_port)

    def socket_made(self) -> None:
        """The program has made a socket."""
        self._made = True

    def listens(self, port: int) -> None:
        """A socket of the program's listens on this port."""
        self.local_port = port
        self._listens = self._made

    def inbound(self, packet: TcpPacket) -> Flow:
        """The flow of a segment of the script's."""
        if packet.ports is not None:
            flow = self._flow(packet.ports.destination, packet.ports.source)
        elif self.current is None or (_opens(flag_bits(packet.flags)) and self._begins(self.current, packet)):
            flow = self._flow(self.local_port, self._next_port)
            self._next_port += 1
        else:
            flow = self.current
        self._goes_on_with(flow)
        return flow

    def _goes_on_with(self, flow: Flow) -> None:
        if flow is not self.current:
            self._made = self._listens = False
        self.current = flow

    def outbound(self, expected: TcpPacket, datagram: Datagram) -> tuple[Flow, Segment] | None:
        """The flow of a packet that the stack sent, if it may be what the script expects; else None."""
        if datagram.protocol != TCP or datagram.destination != self._machine.remote:
            return None
        segment = Segment.from_bytes(datagram.data)
        ports = (segment.source_port, segment.destination_port)
        flow = self._flows.get(ports)
        if expected.ports is not None:
            if ports != (expected.ports.source, expected.ports.destination):
                return None
        elif flow is None:
            if not _opens(segment.flags):
                return None
        elif flow is not self.current and not _opens(segment.flags):
            return None
        flow = flow or self._flow(*ports)
        self._goes_on_with(flow)
        return flow, segment

    def observed(self, segment: Segment) -> Flow:
        """The flow of a segment that the stack sent, whatever was expected; a SYN that opens one makes it current."""
        flow = self._flow(segment.source_port, segment.destination_port)
        if _opens(segment.flags):
            self.current = flow
        return flow

    def _flow(self, local_port: int, remote_port: int) -> Flow:
        return self._flows.setdefault((local_port, remote_port), Flow(local_port, remote_port))

    def _begins(self, flow: Flow, syn: TcpPacket) -> bool:
        """Whether a SYN begins another connection than the current ``flow``: a socket listens that was made since; the
        stack does not know the connection any more; or that is in TIME-WAIT and the SYN does not say where its numbers
        come to lie."""
        if self._listens:
            return True
        state = self._machine.state(flow.local_port, flow.remote_port)
        return state is None or (state is State.TIME_WAIT and not syn.seq)


def _moved(blocks: TcpOption, offset: int) -> TcpOption:
    return replace(blocks, values=tuple(int(edge) + offset & _MASK for edge in blocks.values))


def ip_info(datagram: Datagram, expected: IpInfo) -> IpInfo:
    """What the script wants to know about a packet's IP header."""
    ecn = _ECN_NAMES[datagram.tos & 3]
    if expected.ecn == "ect01" and ecn.startswith("ect"):
        ecn = "ect01"
    return IpInfo(
        ecn=ecn if expected.ecn else None,
        tos=datagram.tos if expected.tos is not None else None,
        ttl=datagram.ttl if expected.ttl is not None else None,
    )


def _opens(flags: int) -> bool:
    return flags & (SYN | ACK) == SYN
