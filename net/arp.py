"""The Address Resolution Protocol (RFC 826) between IPv4 and Ethernet addresses, with gratuitous ARP (RFC 5227)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import construct

from ..link.ethernet import BROADCAST, ETHERNET, ETHERTYPE_ARP, ETHERTYPE_IPV4
from ..link.packet import Packet
from ..link.wireformat import fixed_part
from .address import ANY4, Address, text

if TYPE_CHECKING:
    from .interface import Interface
    from .internet import Internet

REQUEST: Final = 1
REPLY: Final = 2

#: ARP for IPv4 over Ethernet; anything else does not concern this host.
ArpPacket: Final = construct.Struct(
    "hardware_type" / construct.Int16ub,
    "protocol_type" / construct.Int16ub,
    "hardware_size" / construct.Int8ub,
    "protocol_size" / construct.Int8ub,
    "operation" / construct.Int16ub,
    "sender_hardware" / construct.Bytes(6),
    "sender_protocol" / construct.Bytes(4),
    "target_hardware" / construct.Bytes(6),
    "target_protocol" / construct.Bytes(4),
)
ARP: Final = fixed_part(ArpPacket)
_ETHERNET_IPV4: Final = (1, ETHERTYPE_IPV4, 6, 4)
_OPERATIONS: Final = (REQUEST, REPLY)

#: An address is defended at most once in this time, in seconds (RFC 5227 §2.4).
DEFEND_INTERVAL: Final = 10.0


class Arp:
    """ARP of one host: answers for its addresses, asks for its neighbors, announces and defends."""

    ethertype: Final = ETHERTYPE_ARP

    def __init__(self, internet: Internet) -> None:
        self._internet = internet
        self._defended: dict[Address, float] = {}

    def receive(self, packet: Packet) -> None:
        """Take an ARP packet, as RFC 826 "Packet Reception" has it."""
        counters = self._internet.counters
        interface: Interface = packet.interface
        try:
            kind, family, size, width, operation, hardware, sender, _, target = ARP.unpack_from(
                packet.buffers[0], packet.offset
            )
        except struct.error:
            counters["arp.short"] += 1
            return
        if (kind, family, size, width) != _ETHERNET_IPV4 or operation not in _OPERATIONS or hardware[0] & 1:
            counters["arp.malformed"] += 1
        elif hardware == interface.link_address:
            counters["arp.own"] += 1
        elif self._owns(interface, sender):
            self._defend(interface, sender)
        else:
            counters["arp.requests_in" if operation == REQUEST else "arp.replies_in"] += 1
            asks_us = operation == REQUEST and self._owns(interface, target)
            if asks_us or interface.neighbors.get(sender) is not None:  # most broadcasts are nothing to most hosts
                self._learn(packet, operation, hardware, sender, asks_us=asks_us)
            if asks_us:
                self._send(interface, hardware, REPLY, target, hardware, sender)

    def solicit(self, interface: Interface, target: Address, link_address: bytes | None) -> None:
        """Ask who has ``target``: everyone, or the one at ``link_address``."""
        source = self._internet.families[4].source_for(interface, target) or ANY4
        self._internet.counters["arp.requests_out"] += 1
        self._send(interface, link_address or BROADCAST, REQUEST, source, bytes(6), target)

    def announce(self, interface: Interface, address: Address) -> None:
        """Tell the subnet that ``address`` is here (gratuitous ARP, RFC 5227 §2.3)."""
        if interface.link_address is not None:
            self._send(interface, BROADCAST, REQUEST, address, bytes(6), address)

    def _learn(self, packet: Packet, operation: int, hardware: bytes, sender: Address, *, asks_us: bool) -> None:
        """Update a neighbor that is known; a new one is entered only if it asks for us, for we shall answer it.

        An answer that was sent to us alone confirms that the neighbor can be reached; anything else only tells where
        it is (as on Linux, and RFC 4861 §7.2.5 for unsolicited advertisements).
        """
        interface: Interface = packet.interface
        if sender == ANY4 or sender[0] >= 224 or sender[0] == 127:
            return
        neighbor = interface.neighbors.get(sender)
        if neighbor is None and asks_us and self._on_link(interface, sender):
            neighbor = interface.neighbors.find(sender)
        if neighbor is not None:
            to_us = packet.buffers[0][:6] == interface.link_address
            neighbor.answered(hardware, solicited=operation == REPLY and to_us and neighbor.asking)

    def _defend(self, interface: Interface, address: Address) -> None:
        """Someone else uses an address of ours: say once in a while whose it is (RFC 5227 §2.4 (b))."""
        self._internet.counters["arp.conflict"] += 1
        now = self._internet.scheduler.now
        if now - self._defended.get(address, float("-inf")) >= DEFEND_INTERVAL:
            self._defended[address] = now
            self.announce(interface, address)

    def _owns(self, interface: Interface, address: Address) -> bool:
        for own in interface.addresses:  # noqa: SIM110 - each broadcast of the subnet comes here, and any() takes twice as long
            if own.address == address:
                return True
        return False

    def _on_link(self, interface: Interface, address: Address) -> bool:
        return any(address in own.prefix for own in interface.addresses)

    def _send(
        self,
        interface: Interface,
        destination: bytes,
        operation: int,
        sender: Address,
        target_hardware: bytes,
        target: Address,
    ) -> None:
        own = interface.link_address
        assert own is not None, f"no ARP on a link without addresses, for {text(target)}"
        frame = ETHERNET.pack(destination, own, ETHERTYPE_ARP)
        frame += ARP.pack(*_ETHERNET_IPV4, operation, own, sender, target_hardware, target)
        interface.transmit(Packet([frame]))
