"""The routing table: which way a packet goes, by the longest prefix that its destination has."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from . import address as addresses
from .address import Address, Prefix
from .ipv4_header import MIN_MTU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .interface import Interface


class Route(NamedTuple):
    """One entry: destinations in ``prefix`` go out of ``interface``, to the gateway ``via`` if there is one."""

    prefix: Prefix
    interface: Interface
    via: Address | None = None
    #: Of two routes with one prefix, that with the smaller metric is taken.
    metric: int = 0
    #: The largest packet in bytes, if less than the interface's; 0: as the interface's.
    mtu: int = 0
    #: The source address this host prefers for packets of its own; None: chosen among the interface's.
    source: Address | None = None

    def __str__(self) -> str:
        parts = ["default" if not self.prefix.length else str(self.prefix)]
        if self.via is not None:
            parts.append(f"via {addresses.text(self.via)}")
        parts.append(f"dev {self.interface.name}")
        if self.metric:
            parts.append(f"metric {self.metric}")
        if self.mtu:
            parts.append(f"mtu {self.mtu}")
        return " ".join(parts)


class _Level:
    """The routes of one family whose prefixes have one length, by the prefix's bits, best metric first."""

    __slots__ = ("length", "routes", "shift")

    def __init__(self, length: int, bits: int) -> None:
        self.length = length
        self.shift = bits - length
        self.routes: dict[int, list[Route]] = {}


class RoutingTable:
    """Routes of all families. A lookup costs one dictionary access per prefix length in use, not per route."""

    def __init__(self, interfaces: Sequence[Interface], changed: Callable[[], object]) -> None:
        """``interfaces`` are those of the host, as they come and go; ``changed`` is called after every change."""
        self._interfaces = interfaces
        self._changed = changed
        self._levels: dict[int, list[_Level]] = {}

    def lookup(self, destination: Address) -> Route | None:
        """The best route to ``destination``, or None."""
        value = int.from_bytes(destination)
        for level in self._levels.get(len(destination), ()):
            routes = level.routes.get(value >> level.shift)
            if routes:
                return routes[0]
        return None

    def __iter__(self) -> Iterator[Route]:
        """All routes, the longest prefixes of each family first."""
        for levels in self._levels.values():
            for level in levels:
                for routes in level.routes.values():
                    yield from routes

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def add(
        self,
        destination: str,
        *,
        via: str | None = None,
        interface: Interface | str | None = None,
        metric: int = 0,
        mtu: int = 0,
    ) -> Route:
        """Add a route to ``destination`` ("10.2.0.0/16", a host's address, or "default").

        One of ``via`` and ``interface`` is needed; a gateway must be reachable without another gateway.
        Raises ValueError for what cannot be understood, OSError with ENETUNREACH for a gateway on no subnet of ours,
        ENODEV for an interface that the host does not have, EEXIST for a route that is there.
        """
        prefix, gateway, out = self._read(destination, via, interface)
        if metric < 0 or (mtu and mtu < MIN_MTU):
            raise ValueError(f"route to {destination}: metric {metric} or mtu {mtu} is out of range")
        if gateway is not None:
            out = self._towards(gateway, out)
        if out is None:
            raise ValueError(f"route to {destination}: needs a gateway or an interface")
        route = Route(prefix, out, gateway, metric, mtu)
        self.insert(route)
        return route

    def remove(self, destination: str, *, via: str | None = None, interface: Interface | str | None = None) -> Route:
        """Remove the best route to exactly ``destination`` (with that ``via``). OSError ESRCH if none."""
        prefix, gateway, out = self._read(destination, via, interface)
        for route in self:
            if (
                route.prefix == prefix
                and (gateway is None or route.via == gateway)
                and (out is None or route.interface is out)
            ):
                self.discard(route)
                return route
        raise OSError(errno.ESRCH, f"no route to {destination}")

    def insert(self, route: Route) -> None:
        """Add a ready-made route. OSError EEXIST if the table has its like."""
        level = self._level(route.prefix)
        routes = level.routes.setdefault(int.from_bytes(route.prefix.address) >> level.shift, [])
        for other in routes:
            if (other.metric, other.via, other.interface) == (route.metric, route.via, route.interface):
                raise OSError(errno.EEXIST, f"there is a route to {route.prefix} already: {other}")
        routes.append(route)
        routes.sort(key=lambda route: route.metric)
        self._changed()

    def discard(self, route: Route) -> None:
        """Remove ``route`` if it is there."""
        level = self._level(route.prefix)
        key = int.from_bytes(route.prefix.address) >> level.shift
        routes = [other for other in level.routes.get(key, ()) if other != route]
        if routes:
            level.routes[key] = routes
        else:
            level.routes.pop(key, None)
            if not level.routes:
                self._levels[len(route.prefix.address)].remove(level)
        self._changed()

    def discard_interface(self, interface: Interface) -> None:
        """Remove every route that goes out of ``interface``."""
        for route in [route for route in self if route.interface is interface]:
            self.discard(route)

    def _towards(self, gateway: Address, interface: Interface | None) -> Interface:
        """The interface on whose subnet ``gateway`` is: ``interface``, if that is given."""
        if any(own.address == gateway for interface in self._interfaces for own in interface.addresses):
            raise ValueError(f"gateway {addresses.text(gateway)} is this host itself")
        if interface is None:
            route = self.lookup(gateway)
            if route is not None and route.via is None:
                return route.interface
        elif interface.link_address is None or any(gateway in own.prefix for own in interface.addresses):
            return interface
        raise OSError(errno.ENETUNREACH, f"gateway {addresses.text(gateway)} is not on a connected subnet")

    def _level(self, prefix: Prefix) -> _Level:
        levels = self._levels.setdefault(len(prefix.address), [])
        for level in levels:
            if level.length == prefix.length:
                return level
        level = _Level(prefix.length, len(prefix.address) * 8)
        levels.append(level)
        levels.sort(key=lambda level: -level.length)
        return level

    def _read(
        self, destination: str, via: str | None, interface: Interface | str | None
    ) -> tuple[Prefix, Address | None, Interface | None]:
        gateway = addresses.parse(via) if via is not None else None
        if destination == "default":
            prefix = Prefix(bytes(len(gateway)) if gateway is not None else addresses.ANY4, 0)
        else:
            prefix = Prefix.parse(destination)
        if gateway is not None and len(gateway) != len(prefix.address):
            raise ValueError(f"route to {destination}: gateway {via} is of another family")
        if isinstance(interface, str):
            interface = self._named(interface)
        elif interface is not None and interface not in self._interfaces:
            raise OSError(errno.ENODEV, f"interface {interface.name} is not one of this host")
        return prefix, gateway, interface

    def _named(self, name: str) -> Interface:
        for interface in self._interfaces:
            if interface.name == name:
                return interface
        raise OSError(errno.ENODEV, f"no interface {name}")
