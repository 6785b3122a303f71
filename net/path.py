"""Paths: resolved ways to one destination, which their users keep, and the host's memory of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..link.link import Offloads
    from ..link.packet import Packet
    from ..link.scheduler import Scheduler, Timer
    from .address import Address
    from .interface import Interface
    from .neighbor import Neighbor
    from .settings import NetSettings


class Path:
    """A way from this host to one destination: source address, interface, next hop. Each family has its own kind.

    A path is shared by all who go the same way and costs nothing to keep. Once routes or addresses have changed, it is
    no longer `valid`: whoever holds it asks `Internet.path` again. Until then it works as before.
    """

    __slots__ = ("_neighbor", "broadcast", "destination", "interface", "mtu", "next_hop", "offloads", "route_mtu",
                 "source", "valid")  # fmt: skip

    def __init__(
        self,
        source: Address,
        destination: Address,
        interface: Interface,
        next_hop: Address,
        mtu: int,
        broadcast: bool = False,
    ) -> None:
        self.source = source
        self.destination = destination
        self.interface = interface
        self.next_hop = next_hop
        #: The largest packet that passes, in bytes, network header included, as far as is known (RFC 1191).
        self.mtu = mtu
        #: The same as route and interface have it.
        self.route_mtu = mtu
        #: Whether the packet goes to all hosts of a subnet.
        self.broadcast = broadcast
        #: What the link does for packets handed down.
        self.offloads: Offloads = interface.offloads
        self.valid = True
        self._neighbor: Neighbor = interface.direct  # the first packet finds the right one

    def send(
        self,
        packet: Packet,
        protocol: int,
        *,
        hop_limit: int = 64,
        traffic_class: int = 0,
        dont_fragment: bool = True,
    ) -> None:
        """Send a packet that starts with its transport header.

        Never raises for what happens on the way; OSError EMSGSIZE if the packet is larger than `mtu` and must not be
        fragmented, or larger than any packet may be.
        """
        raise NotImplementedError

    def confirm(self) -> None:
        """There was forward progress on this path, so the next hop is alive (RFC 4861 §7.3.1)."""
        self._neighbor.confirm()

    def _resolve(self, packet: Packet) -> None:
        """Send a packet that starts with its network header when the next hop is not ready for the fast path."""
        self._neighbor = self.interface.neighbor(self.next_hop)
        self._neighbor.send(packet)


class Paths:
    """The paths of a host, by destination and asked-for source, and the path MTUs it has learned (RFC 1191 §6)."""

    def __init__(self, scheduler: Scheduler, settings: NetSettings) -> None:
        self._scheduler = scheduler
        self._settings = settings
        self._paths: dict[Address, dict[Address | None, Path]] = {}
        self._mtus: dict[Address, tuple[int, Timer]] = {}

    def get(self, destination: Address, source: Address | None, make: Callable[[], Path]) -> Path:
        """The path, made if there is none; the oldest destination may have to leave for it."""
        ways = self._paths.get(destination)
        if ways is None:
            if len(self._paths) >= self._settings.path_cache:
                _invalidate(self._paths.pop(next(iter(self._paths))))
            ways = {}
        path = ways.get(source)
        if path is None:
            path = make()
            if destination in self._mtus:
                path.mtu = min(path.mtu, self._mtus[destination][0])
            ways[source] = path
            self._paths[destination] = ways
        return path

    def invalidate(self) -> None:
        """Routes or addresses have changed."""
        for ways in self._paths.values():
            _invalidate(ways)
        self._paths.clear()

    def lower_mtu(self, destination: Address, mtu: int) -> int:
        """A router says that packets above ``mtu`` bytes do not pass. Returns the path MTU believed now, 0 if none is.

        Only a destination that this host has a path to is believed, so that forged errors cannot fill the memory.
        """
        ways = self._paths.get(destination)
        if not ways:
            return 0
        mtu = max(mtu, self._settings.path_mtu_minimum)
        known = min(path.mtu for path in ways.values())
        if mtu >= known:
            return known
        if destination in self._mtus:
            self._mtus.pop(destination)[1].cancel()
        elif len(self._mtus) >= self._settings.path_cache:
            self._forget_mtu(next(iter(self._mtus)))
        timer = self._scheduler.call_later(self._settings.path_mtu_expiry, lambda: self._forget_mtu(destination))
        self._mtus[destination] = mtu, timer
        for path in ways.values():
            path.mtu = min(path.mtu, mtu)
        return mtu

    def _forget_mtu(self, destination: Address) -> None:
        """Larger packets may pass again by now (RFC 1191 §6.3)."""
        self._mtus.pop(destination)[1].cancel()
        for path in self._paths.get(destination, {}).values():
            path.mtu = path.route_mtu


def _invalidate(ways: dict[Address | None, Path]) -> None:
    for path in ways.values():
        path.valid = False
