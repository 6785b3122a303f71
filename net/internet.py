"""The net floor of one host: its interfaces, addresses and routes, and what goes between links and transports."""

from __future__ import annotations

import errno
import ipaddress
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from ..link.loopback import Loopback
from .address import Address, Prefix, parse_interface, text
from .icmp import Icmp
from .interface import Interface
from .ipv4 import Ipv4
from .ipv4_header import MIN_MTU
from .path import Path, Paths
from .routing import RoutingTable
from .settings import NetSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from ..link.link import Link
    from ..link.packet import Packet
    from ..link.scheduler import Scheduler
    from .failure import Failure
    from .neighbor import Neighbor
    from .ping import EchoReply, Ping


class Transport(Protocol):
    """What IP calls: a protocol above it."""

    def receive(self, packet: Packet) -> None:
        """Take a packet for this host; ``packet.offset`` is at the transport header."""

    def receive_failure(self, failure: Failure) -> None:
        """Learn that a packet of this protocol could not be delivered."""

    def vouches(self, source: Address, destination: Address, quote: bytes) -> bool:
        """Whether the packet that an ICMP error quotes, from its transport header on, may be on its way: an error about
        another one is not believed (RFC 5927 §4.1)."""


class Family(Protocol):
    """One version of the Internet Protocol, as interfaces and `Internet` see it."""

    @property
    def ethertype(self) -> int: ...

    def receive(self, packet: Packet) -> None: ...
    def attach(self, interface: Interface, address: Address, prefix: Prefix) -> None: ...
    def detach(self) -> None: ...
    def is_local(self, address: Address) -> bool: ...
    def is_broadcast(self, address: Address) -> bool: ...
    def source_for(self, interface: Interface, next_hop: Address) -> Address | None: ...
    def group_address(self, interface: Interface, address: Address) -> bytes | None: ...
    def solicit(self, interface: Interface, neighbor: Neighbor) -> None: ...
    def undeliverable(self, packet: Packet) -> None: ...
    def path(self, destination: Address, source: Address | None) -> Path: ...


class Internet:
    """The net floor of one host."""

    def __init__(self, scheduler: Scheduler, random: Random, settings: NetSettings | None = None) -> None:
        self.scheduler = scheduler
        self.random = random
        self.settings = settings or NetSettings()
        #: What happened, by reason: ``counters["ip.bad_checksum"]``.
        self.counters: Counter[str] = Counter()
        self.interfaces: list[Interface] = []
        #: Whether packets for others are passed on.
        self.forwarding = False
        self.transports: dict[int, Transport] = {}
        self._paths = Paths(scheduler, self.settings)
        self.routes = RoutingTable(self.interfaces, self._paths.invalidate)
        self._hidden: Interface | None = None
        self.icmp = Icmp(self)
        self.transports[Icmp.protocol] = self.icmp
        ipv4 = Ipv4(self)
        #: By the size of their addresses in bytes.
        self.families: dict[int, Family] = {4: ipv4}
        #: Who takes a received frame: by ethertype, or, on links without addresses, by a bare packet's first byte.
        self.handlers: dict[bytes | bytearray | memoryview, Callable[[Packet], None]] = {
            ipv4.ethertype.to_bytes(2): ipv4.receive,
            ipv4.arp.ethertype.to_bytes(2): ipv4.arp.receive,
            **{bytes([0x40 | length]): ipv4.receive for length in range(16)},
        }

    # -- interfaces

    def attach(self, link: Link, *addresses: str, name: str | None = None) -> Interface:
        """Put a link to use under ``name`` (else eth0, tun0, lo, …), with ``addresses`` like "10.0.0.2/24".

        Connected routes are added, and the addresses announced to the neighbors. Raises ValueError for what is
        not the address of a host, or a link whose MTU is too small for IP; OSError EADDRINUSE for an address that the
        host has, EEXIST for a name that is taken.
        """
        parsed = [self._read_address(written) for written in dict.fromkeys(addresses)]
        if link.mtu < MIN_MTU:
            raise ValueError(f"an MTU of {link.mtu} is too small for packets, which need {MIN_MTU}")
        loopback = any(ipaddress.ip_address(address).is_loopback for address, _ in parsed)
        if name is None:
            name = self._free_name("lo" if loopback else "tun" if link.address is None else "eth")
        elif any(interface.name == name for interface in self.interfaces):
            raise OSError(errno.EEXIST, f"there is an interface {name} already")
        interface = Interface(self, link, name, loopback=loopback)
        self.interfaces.append(interface)
        for address, prefix in parsed:
            self.families[len(address)].attach(interface, address, prefix)
        self._paths.invalidate()
        return interface

    def detach(self, interface: Interface) -> None:
        """Take an interface out, with its routes and addresses; its link is not closed."""
        self.interfaces.remove(interface)
        self.routes.discard_interface(interface)
        for family in self.families.values():
            family.detach()
        self._paths.invalidate()
        interface.down()

    def hidden_loopback(self) -> Interface:
        """The way of packets from this host to itself when none of its interfaces is a loopback.

        They come back at the end of the batch: local delivery never recurses.
        """
        if self._hidden is None:
            link = Loopback()
            interface = self._hidden = Interface(self, link, "loopback", loopback=True)

            def drain() -> None:
                while (packet := link.receive_packet()) is not None:
                    interface.receive(packet)

            link.observer = lambda: self.scheduler.call_soon(drain)
        return self._hidden

    def _read_address(self, written: str) -> tuple[Address, Prefix]:
        address, prefix = parse_interface(written)
        if len(address) not in self.families:
            raise ValueError(f"{written}: this host does not speak that version of IP")
        if any(own.address == address for interface in self.interfaces for own in interface.addresses):
            raise OSError(errno.EADDRINUSE, f"{text(address)} is an address of this host already")
        return address, prefix

    def _free_name(self, kind: str) -> str:
        taken = {interface.name for interface in self.interfaces}
        names = (f"{kind}{number}" for number in range(len(taken) + 1))
        return kind if kind == "lo" and kind not in taken else next(name for name in names if name not in taken)

    # -- what transports ask for

    def register(self, protocol: int, transport: Transport) -> None:
        """Hand packets of an IP protocol number to ``transport``."""
        self.transports[protocol] = transport

    def path(self, destination: Address, source: Address | None = None) -> Path:
        """The way to ``destination``, from ``source`` if that is given (and not the unspecified address).

        OSError: ENETUNREACH no route; EADDRNOTAVAIL ``source`` is not ours; EINVAL no destination for packets;
        EAFNOSUPPORT a family that this host does not speak.
        """
        family = self.families.get(len(destination))
        if family is None or (source is not None and len(source) != len(destination)):
            raise OSError(errno.EAFNOSUPPORT, "address family not supported")
        if source is not None and not any(source):
            source = None
        return self._paths.get(destination, source, lambda: family.path(destination, source))

    def is_local(self, address: Address) -> bool:
        """Whether ``address`` is one of this host's (all of 127/8, if it has a loopback interface)."""
        family = self.families.get(len(address))
        return family is not None and family.is_local(address)

    def is_broadcast(self, address: Address) -> bool:
        """Whether ``address`` is the limited broadcast address or that of a subnet this host is on."""
        family = self.families.get(len(address))
        return family is not None and family.is_broadcast(address)

    def ping(
        self,
        destination: Address,
        callback: Callable[[EchoReply | Failure], object],
        *,
        source: Address | None = None,
        size: int = 56,
        timeout: float = 4.0,
        hop_limit: int = 64,
        dont_fragment: bool = False,
    ) -> Ping:
        """Send one echo request; ``callback`` gets the reply or a `Failure`, once. See `Pings.ping`."""
        return self.icmp.pings.ping(
            destination,
            callback,
            source=source,
            size=size,
            timeout=timeout,
            hop_limit=hop_limit,
            dont_fragment=dont_fragment,
        )

    def reply_unreachable(self, packet: Packet, code: int) -> None:
        """Tell the source of a received packet that it cannot be delivered (RFC 792 codes: protocol 2, port 3)."""
        self.icmp.unreachable(packet, code)

    def lower_mtu(self, destination: Address, mtu: int) -> int:
        """Believe that packets to ``destination`` above ``mtu`` bytes get lost; what `Paths.lower_mtu` returns."""
        return self._paths.lower_mtu(destination, mtu)

    def vouches(self, protocol: int, source: Address, destination: Address, quote: bytes) -> bool:
        """What the transport of ``protocol`` says, see `Transport.vouches`; False without one."""
        transport = self.transports.get(protocol)
        return transport is not None and transport.vouches(source, destination, quote)

    def fail(self, protocol: int, failure: Failure) -> None:
        """Tell the transport of ``protocol`` that a packet of its failed."""
        transport = self.transports.get(protocol)
        if transport is not None:
            transport.receive_failure(failure)

    def undeliverable(self, packet: Packet) -> None:
        """A packet (from its network header on) has waited for a neighbor in vain."""
        self.families[4 if packet.buffers[0][0] >> 4 == 4 else 16].undeliverable(packet)
