"""Network-layer addresses, of either family.

Inside the tower an address is its packed form, ``bytes`` of length 4 (IPv4) or 16 (IPv6), in network byte order: it
comes out of a header as a slice, goes into one as it is, hashes fast, and carries its family in its length.
``ipaddress`` serves at the edges, where people write and read.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final, NamedTuple

Address = bytes

ANY4: Final[Address] = bytes(4)
BROADCAST4: Final[Address] = b"\xff\xff\xff\xff"


@lru_cache(maxsize=4096)
def parse(text: str) -> Address:
    """The address that ``text`` writes. Raises ValueError naming it."""
    return ipaddress.ip_address(text).packed


@lru_cache(maxsize=4096)
def text(address: Address) -> str:
    """An address as people write it."""
    return str(ipaddress.ip_address(address))


def parse_interface(text: str) -> tuple[Address, Prefix]:
    """The address of a host, and the subnet it is on, from ``10.0.0.2/24``. Raises ValueError naming the text, also for
    an address that no host can have on that subnet."""
    parsed = ipaddress.ip_interface(text)
    network = parsed.network
    whole = network.num_addresses > 2 and parsed.ip in (network.network_address, network.broadcast_address)
    if whole or parsed.ip.is_multicast or parsed.ip.is_unspecified or parsed.ip.is_reserved:
        raise ValueError(f"{text} is not the address of a host")
    return parsed.ip.packed, Prefix(network.network_address.packed, network.prefixlen)


class Prefix(NamedTuple):
    """A subnet: all addresses that share the first ``length`` bits with ``address`` (whose other bits are zero)."""

    address: Address
    length: int

    @classmethod
    def parse(cls, text: str) -> Prefix:
        """``10.0.0.0/24``, or ``default`` written as ``0.0.0.0/0``. Raises ValueError naming the text."""
        network = ipaddress.ip_network(text, strict=False)
        return cls(network.network_address.packed, network.prefixlen)

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, bytes) or len(address) != len(self.address):
            return False
        shift = len(address) * 8 - self.length
        return int.from_bytes(address) >> shift == int.from_bytes(self.address) >> shift

    def __str__(self) -> str:
        return f"{text(self.address)}/{self.length}"
