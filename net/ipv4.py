"""IPv4 of one host (RFC 791, RFC 1122 §3): packets in, and which way packets go out."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final

from ..link.ethernet import BROADCAST, ETHERTYPE_IPV4
from ..link.packet import Packet
from . import ipv4_header
from .address import ANY4, BROADCAST4, Address, Prefix, parse, text
from .arp import Arp
from .failure import Failure
from .forwarding import Forwarding
from .fragments import Reassembly
from .interface import InterfaceAddress
from .ipv4_header import FRAGMENT_MASK, HEADER_SIZE, IPV4, OFFSET_MASK, PLAIN
from .ipv4_output import Identifications, Ipv4BroadcastPath, Ipv4Path
from .routing import Route

if TYPE_CHECKING:
    from .interface import Interface
    from .internet import Internet
    from .neighbor import Neighbor

ALL_SYSTEMS: Final = parse("224.0.0.1")

#: By its first byte: whether an address can be that of one host on a network (not 0/8, 127/8, 224/3).
_UNICAST: Final = bytes(0 < first < 224 and first != 127 for first in range(256))

_END_OF_OPTIONS: Final = 0
_NO_OPERATION: Final = 1
_SOURCE_ROUTES: Final = (131, 137)

HOST_UNREACHABLE: Final = 1
PROTOCOL_UNREACHABLE: Final = 2
#: How much of a datagram of ours its transport is told, beyond the IP header.
_QUOTE: Final = 64


class Ipv4:
    """The IPv4 family of one host, a `Family` of its `Internet`."""

    ethertype: Final = ETHERTYPE_IPV4

    def __init__(self, internet: Internet) -> None:
        self._internet = internet
        self._counters = internet.counters
        self._transports = internet.transports
        self._forwarding = Forwarding(internet)
        self._reassembly = Reassembly(internet)
        self._identifications = Identifications(internet.random)
        self.arp = Arp(internet)
        #: Addresses of this host, but for 127/8: that is only believed on a loopback interface.
        self.own: set[Address] = set()
        self.broadcasts: set[Address] = {BROADCAST4}
        self.groups: set[Address] = {ALL_SYSTEMS}
        self._not_sources: set[Address] = {BROADCAST4}

    # -- addresses

    def attach(self, interface: Interface, address: Address, prefix: Prefix) -> None:
        """Give an interface an address on the subnet ``prefix``: a connected route comes with it."""
        broadcast = None
        if prefix.length < 31 and (interface.loopback or interface.link_address is not None):
            mask = (1 << 32 - prefix.length) - 1
            broadcast = (int.from_bytes(prefix.address) | mask).to_bytes(4)
        interface.addresses.append(InterfaceAddress(address, prefix, broadcast))
        interface.groups.add(_group(ALL_SYSTEMS))
        self._collect()
        known = any(route[:3] == (prefix, interface, None) for route in self._internet.routes)
        if not interface.loopback and prefix.length < 32 and not known:
            self._internet.routes.insert(Route(prefix, interface, source=address))
        self.arp.announce(interface, address)

    def detach(self) -> None:
        """An interface with addresses is gone."""
        self._collect()

    def is_local(self, address: Address) -> bool:
        if address[0] == 127:
            return address not in self.broadcasts and self._loopback() is not None
        return address in self.own

    def is_broadcast(self, address: Address) -> bool:
        return address in self.broadcasts

    def source_for(self, interface: Interface, next_hop: Address) -> Address | None:
        """The address on ``interface`` that shares a subnet with ``next_hop``, else its first (RFC 1122 §3.3.4.3)."""
        first = None
        for own in interface.addresses:
            if len(own.address) == 4:
                if next_hop in own.prefix:
                    return own.address
                first = first or own.address
        return first

    def group_address(self, interface: Interface, address: Address) -> bytes | None:
        """The link-layer address that broadcast and multicast ``address`` is sent to; None for any other."""
        if address[0] & 0xF0 == 0xE0:
            return _group(address)
        if address == BROADCAST4 or any(address == own.broadcast for own in interface.addresses):
            return BROADCAST
        return None

    def solicit(self, interface: Interface, neighbor: Neighbor) -> None:
        self.arp.solicit(interface, neighbor.address, neighbor.link_address)

    def _collect(self) -> None:
        every = [own for interface in self._internet.interfaces for own in interface.addresses if len(own.address) == 4]
        self.own = {own.address for own in every if own.address[0] != 127}
        self.broadcasts = {BROADCAST4} | {own.broadcast for own in every if own.broadcast is not None}
        self._not_sources = self.own | self.broadcasts

    def _loopback(self) -> Interface | None:
        for interface in self._internet.interfaces:
            if interface.loopback:
                return interface
        return None

    # -- in

    def receive(self, packet: Packet) -> None:
        """Take a received packet at its IPv4 header, check it as RFC 1122 §3.2.1 asks, deliver or forward it."""
        frame = packet.buffers[0]
        start = packet.offset
        try:
            first, _, size, _, fragment, hop_limit, protocol, _, source, destination = IPV4.unpack_from(frame, start)
        except struct.error:
            self._counters["ip.short"] += 1
            return
        end = start + size
        header_size = HEADER_SIZE if first == PLAIN else (first & 15) * 4
        if first >> 4 != 4 or header_size < HEADER_SIZE or size < header_size or end > packet.end:
            self._counters["ip.malformed" if end <= packet.end else "ip.truncated"] += 1
            return
        if int.from_bytes(frame[start : start + header_size]) % 0xFFFF:
            self._counters["ip.bad_checksum"] += 1
            return
        packet.network = start
        packet.offset = start + header_size
        packet.end = end
        packet.source = source
        packet.destination = destination
        packet.hop_limit = hop_limit
        if (source in self._not_sources or not _UNICAST[source[0]]) and not self._source_allowed(packet):
            self._counters["ip.martian_source"] += 1
            return
        if header_size > HEADER_SIZE and not self._options_allowed(packet):
            return
        if destination not in self.own and not self._for_us(packet):
            return
        if fragment & FRAGMENT_MASK:
            whole = self._reassembly.add(packet)
            if whole is None:
                return
            packet = whole
        transport = self._transports.get(protocol)
        if transport is None:
            self._counters["ip.unknown_protocol"] += 1
            self._internet.icmp.unreachable(packet, PROTOCOL_UNREACHABLE)
        else:
            transport.receive(packet)

    def _source_allowed(self, packet: Packet) -> bool:
        """A source that no other host's unicast address can be (RFC 1122 §3.2.1.3): ours comes back to us only over a
        loopback interface, and nobody's (0.0.0.0) only in a broadcast, from a host that has none yet."""
        source = packet.source
        if packet.interface.loopback:
            return self.is_local(source)
        return source == ANY4 and (packet.destination == BROADCAST4 or packet.destination[0] & 0xF0 == 0xE0)

    def _options_allowed(self, packet: Packet) -> bool:
        """Options are skipped; source routes are refused, as by any host that minds who sends through it."""
        options = packet.buffers[0][packet.network + HEADER_SIZE : packet.offset]
        position = 0
        while position < len(options) and options[position] != _END_OF_OPTIONS:
            kind = options[position]
            if kind in _SOURCE_ROUTES:
                self._counters["ip.source_route"] += 1
                return False
            length = 1 if kind == _NO_OPERATION else options[position + 1] if position + 1 < len(options) else 0
            if length < (1 if kind == _NO_OPERATION else 2) or position + length > len(options):
                self._counters["ip.bad_options"] += 1
                return False
            position += length
        return True

    def _for_us(self, packet: Packet) -> bool:
        """Whether a packet that is not to one of our addresses is to be delivered here all the same; else it is
        forwarded, or dropped."""
        destination = packet.destination
        if destination[0] == 127:
            if packet.interface.loopback:
                return True
            self._counters["ip.martian_destination"] += 1
        elif destination in self.broadcasts or destination in self.groups:
            return True
        elif not _UNICAST[destination[0]]:
            self._counters["ip.not_member" if destination[0] & 0xF0 == 0xE0 else "ip.martian_destination"] += 1
        elif self._internet.forwarding:
            self._forwarding.forward(packet)
        else:
            self._counters["ip.not_ours"] += 1
        return False

    # -- out

    def path(self, destination: Address, source: Address | None) -> Ipv4Path:
        """A new path; errors as `Internet.path` has them."""
        if source is not None and not self.is_local(source):
            raise OSError(errno.EADDRNOTAVAIL, f"{text(source)} is not an address of this host")
        if self.is_local(destination) or (destination[0] == 127 and destination in self.broadcasts):
            return self._local_path(destination, source)
        if destination[0] == 0 or (destination[0] >= 240 and destination != BROADCAST4):
            raise OSError(errno.EINVAL, f"{text(destination)} is no destination")
        if source is not None and source[0] == 127:
            raise OSError(errno.EINVAL, f"{text(source)} cannot be used beyond this host")
        route = self._route(destination, source)
        interface = route.interface
        next_hop = route.via or destination
        source = source or route.source or self.source_for(interface, next_hop) or self._any_source(destination)
        mtu = min(route.mtu or interface.mtu, interface.mtu, ipv4_header.MAX_SIZE)
        if destination in self.broadcasts:
            home = self._local_path(destination, source)
            return Ipv4BroadcastPath(home, interface, next_hop, mtu, self._identifications)
        return Ipv4Path(source, destination, interface, next_hop, mtu, False, self._identifications)

    def undeliverable(self, packet: Packet) -> None:
        """No neighbor answered for a packet (from its IPv4 header on): tell the transport or the host it is from."""
        header_size = (packet.buffers[0][0] & 15) * 4
        data = packet.tobytes()
        _, _, _, _, fragment, hop_limit, protocol, _, source, destination = IPV4.unpack_from(data)
        if fragment & OFFSET_MASK:
            return
        came_from = getattr(packet, "interface", None)
        if came_from is None:  # from nowhere: it is of our own making
            quote = data[header_size : header_size + _QUOTE]
            self._internet.fail(protocol, Failure(errno.EHOSTUNREACH, False, source, destination, quote))
            return
        received = Packet([data])
        received.network, received.offset, received.hop_limit = 0, header_size, hop_limit
        received.source, received.destination, received.interface = source, destination, came_from
        self._internet.icmp.unreachable(received, HOST_UNREACHABLE)

    def _route(self, destination: Address, source: Address | None) -> Route:
        """The route; to a broadcast or multicast address, out of the source's interface, else any with addresses."""
        everyone = Prefix(destination, 32)
        if destination == BROADCAST4 or destination[0] & 0xF0 == 0xE0:
            for interface in self._internet.interfaces:
                if source is not None and any(own.address == source for own in interface.addresses):
                    return Route(everyone, interface)
        route = self._internet.routes.lookup(destination)
        if route is not None:
            return route._replace(via=None) if destination == BROADCAST4 or destination[0] & 0xF0 == 0xE0 else route
        if destination == BROADCAST4 or destination[0] & 0xF0 == 0xE0:
            for interface in self._internet.interfaces:
                if interface.addresses and not interface.loopback:
                    return Route(everyone, interface)
        raise OSError(errno.ENETUNREACH, f"no route to {text(destination)}")

    def _local_path(self, destination: Address, source: Address | None) -> Ipv4Path:
        """To ourselves, through the loopback interface. The default source is the destination; to 127/8, 127.0.0.1."""
        interface = self._loopback() or self._internet.hidden_loopback()
        if source is None:
            source = (destination[0] == 127 and self.source_for(interface, destination)) or destination
        mtu = min(interface.mtu, ipv4_header.MAX_SIZE)
        broadcast = destination in self.broadcasts
        return Ipv4Path(source, destination, interface, destination, mtu, broadcast, self._identifications)

    def _any_source(self, destination: Address) -> Address:
        """Any address of this host, for an interface that has none."""
        for interface in self._internet.interfaces:
            source = None if interface.loopback else self.source_for(interface, destination)
            if source is not None:
                return source
        raise OSError(errno.EADDRNOTAVAIL, f"this host has no address to reach {text(destination)} from")


def _group(address: Address) -> bytes:
    """The Ethernet address of an IPv4 multicast group (RFC 1112 §6.4)."""
    return b"\x01\x00\x5e" + bytes([address[1] & 0x7F]) + address[2:]
