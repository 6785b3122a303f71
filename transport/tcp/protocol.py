"""TCP of one host: from a packet to its connection, and what concerns no connection or all of them."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, Protocol

from ...link.packet import PARTIAL, Packet
from ...net.checksum import pseudo_header_sum, verify_transport
from ...net.icmp import HOST_UNREACHABLE, NET_UNREACHABLE, UNREACHABLE
from ..errors import error
from . import arrival, opening, output, timeouts
from . import early as early_data
from .connection import Connection
from .fast_open import CLIENT, FastOpen
from .header import ACK, CHECKSUM_OFFSET, FIN, HEADER, HEADER_SIZE, RST, SYN
from .header import TCP as TCP
from .isn import InitialNumbers
from .listener import Listener
from .segment import Segment, differentiated
from .sequence import MASK, extend
from .settings import TcpOptions, TcpSettings
from .state import Event, State
from .syn_cookies import SynCookies
from .time_wait import TimeWait, TimeWaits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...net.address import Address
    from ...net.failure import Failure
    from ...net.internet import Internet
    from ...net.path import Path
    from ..ports import PortRegistry


class _Flushed(Protocol):
    def flush(self) -> None: ...


class Tcp:
    """The TCP of one host: a transport for its `Internet`.

    ``connections`` has everything that answers to an address pair, TIME-WAIT included; a packet finds its own with one
    look. Connections that have something to do are gathered, and looked at once at the end of the batch.
    """

    def __init__(self, internet: Internet, ports: PortRegistry, settings: TcpSettings | None = None) -> None:
        self.internet = internet
        self.ports = ports
        self.settings = settings or TcpSettings()
        self.scheduler = internet.scheduler
        self.counters = internet.counters
        self.initial_numbers = InitialNumbers(internet.random)
        self.fast_open = FastOpen(internet.random)
        self.syn_cookies = SynCookies(internet.random)
        self.connections: dict[bytes, Connection | TimeWait] = {}
        #: By address and port; several listeners on one share its connections (SO_REUSEPORT).
        self.listeners: dict[bytes, tuple[Listener, ...]] = {}
        self._marked: list[_Flushed] = []
        self.time_wait = TimeWaits(self)
        self._challenges = 0
        self._challenge_second = -1

    # -- OPEN ----------------------------------------------------------------------------------------------------

    def connect(
        self,
        local: tuple[Address, int] | None,
        remote: tuple[Address, int],
        options: TcpOptions | None = None,
        *,
        early: bool = False,
    ) -> Connection:
        """Active OPEN (RFC 9293 §3.10.1): the SYN leaves at the end of the batch.

        With ``early`` (or the option) it asks for a Fast Open cookie; where one is known, it waits for the first data,
        and the connection's ``early`` says so.
        ``local`` may leave the address (zeros), the port (0) or both (None) to the host; a port that is given was bound
        before. Raises OSError: ENETUNREACH without a route or for a broadcast address, EADDRNOTAVAIL for an address
        that is not the host's, for an address pair in use, and if no port is left.
        """
        address, port = local or (b"", 0)
        path = self.internet.path(remote[0], address if any(address) else None)
        if path.broadcast or _is_multicast(remote[0]):
            raise error(errno.ENETUNREACH)
        c = self._reserve(path, (path.source, port), remote, options or TcpOptions())
        c.follow(Event.ACTIVE_OPEN)
        self.connections[c.key] = c
        if (early or c.options.fast_open_connect) and self.settings.fast_open & CLIENT:
            early_data.prepare(c)
        if not c.early:
            c.mark()
        return c

    def _reserve(
        self, path: Path, local: tuple[Address, int], remote: tuple[Address, int], options: TcpOptions
    ) -> Connection:
        """A connection with a port of its own, or one that shares the port that ``local`` has bound."""
        claim = object()
        address, port = local

        def taken(port: int) -> bool:
            return not self._free(_key(address, port, remote))

        if not port:
            port = self.ports.connect(address, remote, claim, taken, reuse=options.reuse, among=options.local_ports)
        elif taken(port):
            raise error(errno.EADDRNOTAVAIL)
        else:
            self.ports.share(address, port, claim)
        c = Connection(self, path, (address, port), remote, options)
        opening.prepare(c)
        self.ports.hold(claim, c)
        old = self.connections.get(c.key)
        if isinstance(old, TimeWait):
            c.restart_above(old.snd_nxt)
            self.time_wait.release(old)
        return c

    def _free(self, key: bytes) -> bool:
        """Whether a new connection may have this address pair: no other has it, or TIME-WAIT gives it up (RFC 6191)."""
        holder = self.connections.get(key)
        if holder is None:
            return True
        settings = self.settings
        if not settings.time_wait_reuse or not isinstance(holder, TimeWait) or not holder.timestamps:
            return False
        return self.scheduler.now - holder.since >= settings.time_wait_reuse_delay

    def listen(self, local: tuple[Address, int], backlog: int, options: TcpOptions | None = None) -> Listener:
        """Passive OPEN (RFC 9293 §3.10.1) on a port that was bound before; an address of zeros is every address.

        Raises OSError EADDRINUSE where another one listens, unless both sockets set SO_REUSEPORT: then each gets its
        share of the connections.
        """
        key = local[0] + local[1].to_bytes(2)
        listener = Listener(self, local, backlog, options or TcpOptions())
        self.ports.listen(local[0], local[1], listener)
        self.listeners[key] = (*self.listeners.get(key, ()), listener)
        return listener

    # -- SEGMENT ARRIVES -----------------------------------------------------------------------------------------

    def receive(self, packet: Packet) -> None:
        """A packet for this host; ``packet.offset`` is at the TCP header. What is broken is counted and dropped."""
        data = packet.buffers[0]
        offset = packet.offset
        if packet.end - offset < HEADER_SIZE:
            self.counters["tcp.truncated"] += 1
            return
        _, _, seq, ack, flags, window, _, _ = HEADER.unpack_from(data, offset)
        start = offset + (flags >> 10 & 0x3C)
        if start > packet.end or start - offset < HEADER_SIZE:
            self.counters["tcp.bad_offset"] += 1
            return
        if not packet.checksum and not verify_transport(packet, TCP):
            self.counters["tcp.bad_checksum"] += 1
            return
        connection = self.connections.get(packet.source + packet.destination + data[offset : offset + 4])
        if connection is not None:
            connection.receive(packet, start, seq, ack, flags, window)
        else:
            self._unknown(Segment(packet, start, seq, ack, flags, window))

    def _unknown(self, segment: Segment) -> None:
        """No such connection: a listener's, or nobody's (RFC 9293 §3.10.7.1, §3.10.7.2)."""
        packet, flags = segment.packet, segment.flags
        if flags & RST:
            return
        if segment.options.signed:
            self.counters["tcp.signed"] += 1  # as on Linux, neither taken nor refused without the key
            return
        to = packet.destination
        if _is_multicast(to) or self.internet.is_broadcast(to):  # RFC 9293 §3.9.2.3, MUST-57
            self.counters["tcp.not_unicast"] += 1
            return
        listener = self._listener(segment)
        if listener is None:
            self.counters["tcp.no_port"] += 1
        elif flags & (SYN | ACK) == SYN:
            if not flags & FIN:  # nobody who means well sends both; as on Linux
                listener.syn_arrives(segment)
            return
        elif not flags & ACK:
            return
        elif not flags & SYN and listener.expects_cookies:
            if listener.full:
                return  # the peer tries again
            if (opened := listener.cookie_arrives(segment)) is not None:
                arrival.segment_arrives(opened, segment)
                return
        self.refuse(packet, flags, segment.seq, segment.ack, segment.length)

    def _listener(self, segment: Segment) -> Listener | None:
        """Who listens there. Of several, the addresses and ports choose: the same one for all segments of a peer."""
        packet = segment.packet
        ports = packet.buffers[0][packet.offset : packet.offset + 4]
        to = packet.destination
        group = self.listeners.get(to + ports[2:]) or self.listeners.get(bytes(len(to)) + ports[2:])
        if group is None or len(group) == 1:
            return group[0] if group else None
        return group[self.initial_numbers.spread(packet.source + to + ports, len(group))]

    def receive_failure(self, failure: Failure) -> None:
        """An ICMP error (RFC 1122 §4.2.3.9); believed if it is about a segment that is on the way (RFC 5927 §4.1)."""
        c = self._sender(failure.source, failure.destination, failure.quote)
        if c is None:
            return
        if failure.errno == errno.EMSGSIZE:
            timeouts.too_big(c)
        elif c.state is State.SYN_SENT or (c.listener is not None and (not c.early or c.listener.waits(c))):
            if c.options.failed is not None:
                c.options.failed(failure)
            if self._ends_handshake(c, failure):
                c.end(failure.errno)
            else:
                c.soft_error = failure.errno
        elif c.options.failed is not None:
            c.error = failure.errno  # the user wants to know of it at once, and decides himself what to do
            c.tell()
        else:
            c.soft_error = failure.errno
            if (failure.kind, failure.code) in _NO_WAY:
                timeouts.no_way(c, failure.quote)

    def _ends_handshake(self, c: Connection, failure: Failure) -> bool:
        """Whether an ICMP error ends a handshake: a soft one only where that is wanted (RFC 9293 §3.9.2.2, MUST-56)."""
        softly = self.settings.soft_errors_end_handshakes
        if c.listener is None:
            return softly or failure.hard or failure.reporter is None
        if c.early:
            return softly or failure.hard
        believed = int.from_bytes(failure.quote[4:8]) == c.iss & MASK  # nothing else was sent
        return softly and believed and (failure.kind != UNREACHABLE or (failure.kind, failure.code) in _NO_WAY)

    def vouches(self, source: Address, destination: Address, quote: bytes) -> bool:
        """Whether the segment that an ICMP error quotes is on the way (RFC 5927 §4.1), and none that routers may cut. A
        SYN and ACK is too small for anybody to say that it was too large (§7.2)."""
        c = self._sender(source, destination, quote)
        if c is None or not c.options.dont_fragment:
            return False
        return c.state is not State.SYN_RECEIVED or c.listener is None or c.early

    def _sender(self, source: Address, destination: Address, quote: bytes) -> Connection | None:
        """Whose segment an ICMP error quotes, if it is on the way."""
        c = self.connections.get(destination + source + quote[2:4] + quote[:2])
        if not isinstance(c, Connection) or len(quote) < 8:
            return None
        if not c.snd_una <= extend(int.from_bytes(quote[4:8]), c.snd_una) <= c.snd_max:
            self.counters["tcp.icmp_ignored"] += 1
            return None
        return c

    # -- segments that no connection sends -----------------------------------------------------------------------

    def refuse(self, packet: Packet, flags: int, seq: int, ack: int, length: int) -> None:
        """Answer a segment with a RST that its sender believes (RFC 9293 §3.10.7.1)."""
        self.counters["tcp.reset_sent"] += 1
        tos = differentiated(packet)  # as on Linux, it travels as what it answers
        if flags & ACK:
            self.send_bare(packet, ack, 0, RST, traffic_class=tos)
        else:
            self.send_bare(packet, 0, seq + length, RST | ACK, traffic_class=tos)

    def send_bare(
        self,
        packet: Packet,
        seq: int,
        ack: int,
        flags: int,
        *,
        window: int = 0,
        options: bytes = b"",
        traffic_class: int = 0,
    ) -> None:
        """Answer ``packet`` with a segment without data that no connection remembers."""
        source, destination = packet.destination, packet.source
        remote, local, *_ = HEADER.unpack_from(packet.buffers[0], packet.offset)
        try:
            path = self.internet.path(destination, source)
        except OSError:
            return
        size = HEADER_SIZE + len(options)
        pseudo = pseudo_header_sum(source, destination, TCP, size)
        header = HEADER.pack(local, remote, seq & MASK, ack & MASK, size << 10 | flags, window, pseudo, 0)
        answer = Packet([bytearray(header + options)], checksum=PARTIAL)
        answer.checksum_offset = CHECKSUM_OFFSET
        path.send(answer, TCP, traffic_class=traffic_class)

    def challenge(self, c: Connection) -> None:
        """A challenge ACK: is it really you? (RFC 5961 §3.2, §4.2, §5.2), not too often (§7)."""
        if self.is_too_soon(c):
            return
        now = self.scheduler.now
        if int(now) != self._challenge_second:
            self._challenge_second, self._challenges = int(now), 0
        if self._challenges >= self.settings.challenge_acks:
            self.counters["tcp.challenge_withheld"] += 1
            return
        self._challenges += 1
        self.counters["tcp.challenge_sent"] += 1
        output.acknowledge(c)

    def is_too_soon(self, c: Connection) -> bool:
        """Whether a segment without data that is not acceptable was answered just now (RFC 5961 §7); if not, this one
        is going to be."""
        now = self.scheduler.now
        if now - c.challenged_at < self.settings.challenge_interval:
            self.counters["tcp.challenge_withheld"] += 1
            return True
        c.challenged_at = now
        return False

    # -- for the other files of TCP ------------------------------------------------------------------------------

    def mark(self, item: _Flushed) -> None:
        """Have ``item.flush`` called once at the end of the batch; the caller sees to the once."""
        if not self._marked:
            self.scheduler.call_soon(self._flush)
        self._marked.append(item)

    def _flush(self) -> None:
        marked, self._marked = self._marked, []
        for item in marked:
            item.flush()

    def adopt(self, c: Connection, listener: Listener) -> None:
        """A listener has a new connection, which shares its port."""
        self.connections[c.key] = c
        self.ports.share(c.local[0], c.local[1], c)

    def forget(self, c: Connection) -> None:
        """A connection has ended."""
        if self.connections.get(c.key) is c:
            del self.connections[c.key]
        self.ports.release(c)

    def forget_listener(self, listener: Listener) -> None:
        key = listener.local[0] + listener.local[1].to_bytes(2)
        others = tuple(other for other in self.listeners.get(key, ()) if other is not listener)
        if others:
            self.listeners[key] = others
        else:
            self.listeners.pop(key, None)
        self.ports.release(listener)

    def reopen(self, old: TimeWait, segment: Segment) -> bool:
        """A SYN that is surely new meets TIME-WAIT: whether somebody listens, for whom it opens a connection (RFC 9293
        §3.6.1)."""
        listener = self._listener(segment)
        if listener is None:
            return False
        self.time_wait.release(old)
        listener.syn_arrives(segment, above=old.snd_nxt)
        return True

    # -- for tools -----------------------------------------------------------------------------------------------

    def sockets(self) -> Iterator[Listener | Connection | TimeWait]:
        """Everything that has a state, listeners first."""
        yield from [listener for group in self.listeners.values() for listener in group]
        yield from list(self.connections.values())


#: ICMP errors that tell why nothing was acknowledged: net and host unreachable.
_NO_WAY: Final = frozenset({(UNREACHABLE, NET_UNREACHABLE), (UNREACHABLE, HOST_UNREACHABLE)})


def _key(address: Address, port: int, remote: tuple[Address, int]) -> bytes:
    return remote[0] + address + remote[1].to_bytes(2) + port.to_bytes(2)


def _is_multicast(address: Address) -> bool:
    return address[0] == 0xFF if len(address) == 16 else address[0] >> 4 == 14
