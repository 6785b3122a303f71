"""Names to addresses, for programs on a host: what getaddrinfo(3) and getnameinfo(3) do, without asking anybody.

A host that is simulated or embedded has no resolver of its own; it knows the names that it was given, as from a hosts
file: simulated hosts know each other's.
"""

from __future__ import annotations

import socket as kernel
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ..net.address import Address, parse, text

#: Gives the addresses of a name, none for one that it does not know.
Lookup = Callable[[str], Sequence[Address]]
#: As getaddrinfo returns it: family, type, protocol, canonical name, socket address.
AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]

_FAMILIES: Final = {4: int(kernel.AF_INET), 16: int(kernel.AF_INET6)}
_LOOPBACK: Final = {4: b"\x7f\0\0\1", 16: bytes(15) + b"\1"}
_TRANSPORTS: Final = (
    (int(kernel.SOCK_STREAM), int(kernel.IPPROTO_TCP)),
    (int(kernel.SOCK_DGRAM), int(kernel.IPPROTO_UDP)),
)


def names_lookup(names: Mapping[str, str | Sequence[str]]) -> Lookup:
    """Look names up in a mapping like ``{"server": "10.0.0.1"}``, which may change; upper and lower case are one."""

    def lookup(name: str) -> list[Address]:
        found = names.get(name) or names.get(name.lower()) or ()
        return [parse(address) for address in ([found] if isinstance(found, str) else found)]

    return lookup


def socket_address(address: Address, port: int) -> tuple[Any, ...]:
    """An address and port as Python programs see them."""
    return (text(address), port) if len(address) == 4 else (text(address), port, 0, 0)


def family_of(address: Address) -> int:
    """The AF_ number of an address."""
    return _FAMILIES[len(address)]


class Names:
    """What a host knows: numbers, ``localhost``, and what ``lookup`` finds."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def addresses(self, name: str | bytes | None, *, passive: bool = False) -> list[Address]:
        """All addresses of a host name. None or empty is every address of this host if ``passive``, else loopback.

        Raises gaierror (EAI_NONAME).
        """
        if isinstance(name, bytes | bytearray):
            name = name.decode("ascii")
        if not name:
            return [bytes(4)] if passive else [_LOOPBACK[4]]
        if numeric := _numeric(name):
            return [numeric]
        if name == "<broadcast>":
            return [b"\xff" * 4]
        found = list(self._lookup(name))
        if not found and name.lower() in ("localhost", "localhost.localdomain"):
            return [_LOOPBACK[4]]
        if not found:
            raise kernel.gaierror(kernel.EAI_NONAME, f"this host knows no address of {name!r}")
        return found

    def getaddrinfo(
        self, host: str | bytes | None, port: str | bytes | int | None, family: int = 0, type: int = 0, proto: int = 0,
        flags: int = 0,
    ) -> list[AddressInfo]:  # fmt: skip
        """As socket.getaddrinfo; raises gaierror EAI_NONAME, EAI_FAMILY, EAI_SERVICE, EAI_SOCKTYPE."""
        if family not in (0, *_FAMILIES.values()):
            raise kernel.gaierror(kernel.EAI_FAMILY, "ai_family not supported")
        if flags & kernel.AI_NUMERICHOST and host and not _numeric(_as_text(host)):
            raise kernel.gaierror(kernel.EAI_NONAME, "Name or service not known")
        number = _port_number(port)
        transports = [
            pair for pair in _TRANSPORTS if (not type or type & 0xF == pair[0]) and (not proto or proto == pair[1])
        ]
        if not transports:
            raise kernel.gaierror(kernel.EAI_SOCKTYPE, "ai_socktype not supported")
        canonical = _as_text(host) if host and flags & kernel.AI_CANONNAME else ""
        addresses = self.addresses(host, passive=bool(flags & kernel.AI_PASSIVE))
        found = [
            (family_of(address), kind, protocol, canonical, socket_address(address, number))
            for address in addresses
            if family in (0, family_of(address))
            for kind, protocol in transports
        ]
        if not found:
            raise kernel.gaierror(kernel.EAI_NONAME, f"{_as_text(host or '')} has no address of that family")
        return found

    def getnameinfo(self, address: tuple[Any, ...], flags: int = 0) -> tuple[str, str]:
        """As socket.getnameinfo, in numbers. Raises gaierror (EAI_NONAME) if a name is demanded."""
        if flags & kernel.NI_NAMEREQD:
            raise kernel.gaierror(kernel.EAI_NONAME, "this host does not look up names of addresses")
        return str(address[0]), str(address[1])


def _as_text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("ascii")


def _numeric(name: str) -> Address | None:
    try:
        return kernel.inet_aton(name) if name[0].isdigit() and ":" not in name else parse(name)
    except (OSError, ValueError):
        return None


def _port_number(port: str | bytes | int | None) -> int:
    if port is None or isinstance(port, int):
        return port or 0
    name = _as_text(port)
    if name.isdecimal():
        return int(name)
    try:
        return kernel.getservbyname(name)
    except OSError:
        raise kernel.gaierror(kernel.EAI_SERVICE, "Servname not supported for ai_socktype") from None
