"""ICMP of one host (RFC 792, RFC 1122 §3.2.2): echo, and the errors it sends and receives."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

import construct

from ..link.checksum import ones_complement_sum
from ..link.packet import UNVERIFIED, VERIFIED, Packet
from ..link.wireformat import fixed_part
from . import protocols
from .failure import Failure
from .ipv4_header import HEADER_SIZE, IPV4, OFFSET_MASK
from .ping import Pings

if TYPE_CHECKING:
    from .address import Address
    from .internet import Internet

ECHO_REPLY: Final = 0
UNREACHABLE: Final = 3
REDIRECT: Final = 5
ECHO_REQUEST: Final = 8
TIME_EXCEEDED: Final = 11
PARAMETER_PROBLEM: Final = 12

NET_UNREACHABLE: Final = 0
HOST_UNREACHABLE: Final = 1
PORT_UNREACHABLE: Final = 3
FRAGMENTATION_NEEDED: Final = 4

IcmpHeader: Final = construct.Struct(
    "type" / construct.Int8ub,
    "code" / construct.Int8ub,
    "checksum" / construct.Int16ub,
    # Echo: identifier and sequence number. Fragmentation needed: 0 and the next hop's MTU (RFC 1191 §4).
    "first" / construct.Int16ub,
    "second" / construct.Int16ub,
)
ICMP: Final = fixed_part(IcmpHeader)

#: Types that carry no error, so that errors about them may be sent.
_QUERIES: Final = frozenset((ECHO_REPLY, ECHO_REQUEST, 9, 10, 13, 14, 15, 16, 17, 18))

#: A code of "destination unreachable": the errno, and whether it is hard, as Linux has them.
_UNREACHABLE_ERRORS: Final = {
    0: (errno.ENETUNREACH, False),
    1: (errno.EHOSTUNREACH, False),
    2: (errno.ENOPROTOOPT, True),
    3: (errno.ECONNREFUSED, True),
    4: (errno.EMSGSIZE, False),
    5: (errno.EOPNOTSUPP, False),
    6: (errno.ENETUNREACH, True),
    7: (errno.EHOSTDOWN, True),
    8: (errno.ENONET, True),
    9: (errno.ENETUNREACH, True),
    10: (errno.EHOSTUNREACH, True),
    11: (errno.ENETUNREACH, False),
    12: (errno.EHOSTUNREACH, False),
    13: (errno.EHOSTUNREACH, True),
    14: (errno.EHOSTUNREACH, True),
    15: (errno.EHOSTUNREACH, True),
}
_TYPE_ERRORS: Final = {TIME_EXCEEDED: (errno.EHOSTUNREACH, False), PARAMETER_PROBLEM: (errno.EPROTO, True)}

#: An error quotes as much as fits into 576 bytes (RFC 1812 §4.3.2.3), and an ICMP error is worth reading with 8 bytes.
_QUOTE: Final = 576 - HEADER_SIZE - ICMP.size
_QUOTE_MINIMUM: Final = 8
#: Precedence of errors: internetwork control (RFC 1812 §4.3.2.5).
_ERROR_TRAFFIC_CLASS: Final = 0xC0


class TokenBucket:
    """At most ``rate`` per second, and ``burst`` at once after a silence."""

    __slots__ = ("_burst", "_rate", "_tokens", "_when")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._when = 0.0

    def take(self, now: float) -> bool:
        """Whether one more may go at ``now`` (seconds)."""
        self._tokens = min(self._burst, self._tokens + (now - self._when) * self._rate)
        self._when = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Icmp:
    """ICMP of one host: a transport of its `Internet`, and what other transports send errors with."""

    protocol: Final = protocols.ICMP

    def __init__(self, internet: Internet) -> None:
        self._internet = internet
        self._bucket = TokenBucket(internet.settings.icmp_rate, internet.settings.icmp_burst)
        #: Echo requests of this host that wait for their replies.
        self.pings = Pings(internet)

    # -- in

    def receive(self, packet: Packet) -> None:
        """Take an ICMP message for this host; of a type that is not known, silently (RFC 1122 §3.2.2)."""
        counters = self._internet.counters
        if len(packet) < ICMP.size:
            counters["icmp.short"] += 1
            return
        if packet.checksum == UNVERIFIED and ones_complement_sum(packet.view()) != 0xFFFF:
            counters["icmp.bad_checksum"] += 1
            return
        kind, code, checksum, first, second = ICMP.unpack_from(packet.buffers[0], packet.offset)
        if kind == ECHO_REQUEST:
            self._reply(packet, checksum, first, second)
        elif kind == ECHO_REPLY:
            self.pings.receive(packet, first, second)
        elif kind == UNREACHABLE and code in _UNREACHABLE_ERRORS:
            self._error(packet, kind, code, *_UNREACHABLE_ERRORS[code], second if code == FRAGMENTATION_NEEDED else 0)
        elif kind in _TYPE_ERRORS:
            self._error(packet, kind, code, *_TYPE_ERRORS[kind], 0)
        else:
            counters["icmp.redirect" if kind == REDIRECT else "icmp.ignored"] += 1

    def receive_failure(self, failure: Failure) -> None:
        """An ICMP message of this host could not be delivered: that matters to who sent an echo request."""
        self.pings.receive_failure(failure)

    def vouches(self, source: Address, destination: Address, quote: bytes) -> bool:
        """Whether an ICMP message of this host that an error quotes may be on its way."""
        return self.pings.vouches(destination, quote)

    def _reply(self, packet: Packet, checksum: int, identifier: int, sequence: int) -> None:
        """Answer an echo request with its own data (RFC 1122 §3.2.2.6)."""
        internet = self._internet
        internet.counters["icmp.echo_requests_in"] += 1
        if internet.settings.icmp_echo_ignore:
            return
        addressed = internet.is_local(packet.destination)
        if not addressed and not internet.settings.icmp_echo_broadcast:
            internet.counters["icmp.echo_broadcast"] += 1
            return
        # The type changes from 8 to 0 and nothing else, so neither does the rest of the sum (RFC 1624).
        checksum = (checksum + (ECHO_REQUEST << 8)) % 0xFFFF or 0xFFFF
        header = ICMP.pack(ECHO_REPLY, 0, checksum, identifier, sequence)
        reply = Packet([header, packet.view()[ICMP.size :]], checksum=VERIFIED)
        traffic_class = packet.buffers[0][packet.network + 1]
        self._send(reply, packet.source, packet.destination if addressed else None, traffic_class)

    def _error(self, packet: Packet, kind: int, code: int, number: int, hard: bool, mtu: int) -> None:
        """Pass an error on to the transport whose datagram it quotes (RFC 1122 §3.2.2.1)."""
        internet = self._internet
        frame = packet.buffers[0]
        inner = packet.offset + ICMP.size
        if inner + HEADER_SIZE > packet.end:
            internet.counters["icmp.malformed"] += 1
            return
        first, _, _, _, fragment, _, protocol, _, source, destination = IPV4.unpack_from(frame, inner)
        start = inner + (first & 15) * 4
        if first >> 4 != 4 or start < inner + HEADER_SIZE or start + _QUOTE_MINIMUM > packet.end:
            internet.counters["icmp.malformed"] += 1
            return
        if not internet.is_local(source) or fragment & OFFSET_MASK:
            internet.counters["icmp.not_ours"] += 1
            return
        internet.counters["icmp.errors_in"] += 1
        quote = bytes(frame[start : packet.end])
        if number == errno.EMSGSIZE:
            if not internet.vouches(protocol, source, destination, quote):
                internet.counters["icmp.not_believed"] += 1
                return
            # A router that does not say (0) is taken to mean the least that anybody is believed (RFC 1191 §5).
            mtu = internet.lower_mtu(destination, mtu)
            if not mtu:
                return
        internet.fail(protocol, Failure(number, hard, source, destination, quote, mtu, packet.source, kind, code))

    # -- out

    def unreachable(self, packet: Packet, code: int, mtu: int = 0) -> None:
        """Tell the source of a received packet that it cannot be delivered, and why: net 0, host 1, protocol 2,
        port 3, fragmentation needed 4 (``mtu`` bytes would pass)."""
        self._report(packet, UNREACHABLE, code, mtu)

    def time_exceeded(self, packet: Packet, code: int) -> None:
        """Tell the source of a received packet that it came too far (0), or that not all its fragments came (1)."""
        self._report(packet, TIME_EXCEEDED, code)

    def _report(self, packet: Packet, kind: int, code: int, second: int = 0) -> None:
        internet = self._internet
        if not self._may_report(packet):
            internet.counters["icmp.not_reported"] += 1
            return
        urgent = packet.interface.loopback or (kind, code) == (UNREACHABLE, FRAGMENTATION_NEEDED)
        if not urgent and not self._bucket.take(internet.scheduler.now):
            internet.counters["icmp.rate_limited"] += 1
            return
        internet.counters["icmp.errors_out"] += 1
        quote = packet.buffers[0][packet.network : min(packet.end, packet.network + _QUOTE)]
        message = bytearray(ICMP.pack(kind, code, 0, 0, second) + quote)
        message[2:4] = (ones_complement_sum(message) ^ 0xFFFF).to_bytes(2)
        source = packet.destination if internet.is_local(packet.destination) else None
        self._send(Packet([message], checksum=VERIFIED), packet.source, source, _ERROR_TRAFFIC_CLASS)

    def _may_report(self, packet: Packet) -> bool:
        """No errors about errors, broadcasts, fragments after the first, and to nobody (RFC 1122 §3.2.2)."""
        frame = packet.buffers[0]
        network = packet.network
        _, _, _, _, fragment, _, protocol, _, source, destination = IPV4.unpack_from(frame, network)
        if fragment & OFFSET_MASK or not any(source) or packet.interface.to_group(packet):
            return False
        if destination[0] & 0xF0 == 0xE0 or self._internet.is_broadcast(destination):
            return False
        payload = network + (frame[network] & 15) * 4
        return protocol != self.protocol or (payload < packet.end and frame[payload] in _QUERIES)

    def _send(self, packet: Packet, destination: bytes, source: bytes | None, traffic_class: int) -> None:
        internet = self._internet
        try:
            path = internet.path(destination, source)
            path.send(
                packet,
                self.protocol,
                hop_limit=internet.settings.hop_limit,
                traffic_class=traffic_class,
                dont_fragment=False,
            )
        except OSError:
            internet.counters["icmp.no_way_back"] += 1
