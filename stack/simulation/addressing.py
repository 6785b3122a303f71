"""Addresses on a simulated network: which subnet a wire or a group of switches is, and who has which address there."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .node import Attachment, Node, SwitchNode

#: Subnets that nobody chose are taken from here, /24 after /24.
_POOL: Final = IPv4Network("10.0.0.0/8")
_POOL_LENGTH: Final = 24


class Subnet:
    """One subnet: all that frames reach without a router. ``members`` says whose the addresses are,
    ``attachments`` where."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.network: IPv4Network | None = None
        self.members: dict[IPv4Address, Node | SwitchNode] = {}
        self.attachments: list[Attachment] = []
        self._free: Iterator[IPv4Address] | None = None

    def choose(self) -> IPv4Address:
        """The lowest address that nobody has. Raises ValueError when there is none left."""
        assert self.network is not None
        if self._free is None:
            self._free = self.network.hosts()
        for address in self._free:
            if address not in self.members:
                return address
        raise ValueError(f"the subnet {self.network} of {self.name} has no address left")


class AddressPlan:
    """Gives out subnets and addresses."""

    def __init__(self) -> None:
        self._networks: dict[IPv4Network, Subnet | None] = {}
        self._pool = _POOL.subnets(new_prefix=_POOL_LENGTH)

    def reserve(self, network: IPv4Network) -> None:
        """Someone will ask for this one: do not give it out."""
        self._networks.setdefault(network, None)

    def number(self, subnet: Subnet, network: IPv4Network | None = None) -> None:
        """Give a subnet its addresses: those of ``network``, or any. Raises ValueError for another subnet's."""
        if network is None:
            network = next(each for each in self._pool if not any(map(each.overlaps, self._networks)))
        for other, owner in self._networks.items():
            if owner not in (None, subnet) and other.overlaps(network):
                raise ValueError(f"the subnet {network} of {subnet.name} overlaps {other} of {owner.name}")
        self._networks[network] = subnet
        subnet.network = network

    def withdraw(self, subnet: Subnet) -> None:
        """Take back the addresses of a subnet that nobody is on; harmless if it has none."""
        if subnet.network is not None:
            self._networks[subnet.network] = None
            subnet.network = None

    def assign(self, subnet: Subnet, wanted: str | None, who: str) -> IPv4Interface:
        """An address on ``subnet`` for ``who``. Raises ValueError for one that is taken, or belongs elsewhere."""
        if wanted is None:
            if subnet.network is None:
                self.number(subnet)
            address = subnet.choose()
        else:
            interface = read_address(wanted)
            if subnet.network is None:
                self.number(subnet, interface.network if "/" in wanted else None)
            address = interface.ip
            self._check(subnet, interface, "/" in wanted, who)
        assert subnet.network is not None
        return IPv4Interface((address, subnet.network.prefixlen))

    def _check(self, subnet: Subnet, interface: IPv4Interface, whole: bool, who: str) -> None:
        address, network = interface.ip, subnet.network
        assert network is not None
        if address not in network or (whole and interface.network != network):
            raise ValueError(f"{who}: {interface} is not on the subnet {network} of {subnet.name}")
        if network.prefixlen < 31 and address in (network.network_address, network.broadcast_address):
            raise ValueError(f"{who}: {address} is not the address of a host on {network}")
        if address in subnet.members:
            raise ValueError(f"{who} and {subnet.members[address].name} both have {address} on {subnet.name}")


def read_address(written: str) -> IPv4Interface:
    """An address as people write it. Raises ValueError naming it."""
    try:
        return IPv4Interface(written)
    except ValueError:
        raise ValueError(f"{written!r} is not an IPv4 address, such as '10.0.0.1' or '10.0.0.1/24'") from None


def read_network(written: str) -> IPv4Network:
    """A subnet as people write it. Raises ValueError naming it."""
    try:
        return IPv4Network(written)
    except ValueError:
        raise ValueError(f"{written!r} is not an IPv4 subnet, such as '10.0.0.0/24'") from None
