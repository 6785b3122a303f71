"""Strategies for the small things: addresses, ports, payloads."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Final

from hypothesis import strategies as st

from ...link.ethernet import local_address

#: First and last of what can be a host's (RFC 6890 has the rest): a private network first, since it is the simplest.
_UNICAST: Final = tuple(
    (int(IPv4Address(first)), int(IPv4Address(last)))
    for first, last in (
        ("10.0.0.1", "10.255.255.254"),
        ("1.0.0.0", "126.255.255.255"),
        ("128.0.0.0", "169.253.255.255"),
        ("169.255.0.0", "223.255.255.255"),
    )
)


def addresses(subnet: str = "0.0.0.0/0") -> st.SearchStrategy[str]:
    """IPv4 addresses that a host can have, as text; on ``subnet``, whose own and broadcast address are left out.
    Raises ValueError for a subnet that has none."""
    network = IPv4Network(subnet)
    edge = 1 if network.prefixlen < 31 else 0
    lowest, highest = int(network[0]) + edge, int(network[-1]) - edge
    ranges = [(max(first, lowest), min(last, highest)) for first, last in _UNICAST]
    if not (ranges := [(first, last) for first, last in ranges if first <= last]):
        raise ValueError(f"addresses: no host can have an address on {subnet}")
    return st.one_of(*(st.integers(*each) for each in ranges)).map(lambda number: str(IPv4Address(number)))


def link_addresses() -> st.SearchStrategy[bytes]:
    """Ethernet addresses of stations: unicast, locally administered."""
    return st.integers(0, 2**40 - 1).map(local_address)


def ports() -> st.SearchStrategy[int]:
    """Port numbers, from 1 up."""
    return st.integers(1, 65535)


def payloads(max_size: int = 64) -> st.SearchStrategy[bytes]:
    """What a packet carries."""
    return st.binary(max_size=max_size)
