"""Where a new wire belongs: the subnet that it is or becomes part of, and the addresses of its ends there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .addressing import AddressPlan, Subnet
from .node import Node, SwitchNode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Interface

End = Node | SwitchNode


def join(first: End, second: End, name: str, switches: Iterable[SwitchNode]) -> Subnet:
    """The subnet of a wire called ``name`` between two nodes: that of the switch at one end, or a new one.

    A wire between two of all the ``switches`` makes their subnets one. Raises ValueError if that makes a loop, or if
    both have addresses already.
    """
    if isinstance(first, SwitchNode) and isinstance(second, SwitchNode):
        return _merge(first, second, switches)
    for end in (first, second):
        if isinstance(end, SwitchNode):
            return end.subnet
    return Subnet(name)


def _merge(first: SwitchNode, second: SwitchNode, switches: Iterable[SwitchNode]) -> Subnet:
    kept, gone = first.subnet, second.subnet
    if kept is gone:
        raise ValueError(f"another way from {first.name} to {second.name}: switches must not form a loop")
    if kept.network is None:
        kept, gone = gone, kept
    if gone.network is not None:
        raise ValueError(
            f"{first.name} is {first.subnet.network}, {second.name} is {second.subnet.network}: "
            "join switches before hosts, or with a router"
        )
    for switch in switches:
        if switch.subnet is gone:
            switch.subnet = kept
    return kept


def place_both(
    plan: AddressPlan, subnet: Subnet, ends: tuple[End, End], wanted: tuple[str | None, str | None]
) -> list[IPv4Interface | None]:
    """The addresses of both ends of a new wire on ``subnet``; None for a switch.

    Raises ValueError for one that cannot be; then neither end has any.
    """
    numbered = subnet.network is not None
    first = None
    try:
        first = _place(plan, subnet, ends[0], wanted[0])
        second = _place(plan, subnet, ends[1], wanted[1])
    except ValueError:
        if first is not None:
            del subnet.members[first.ip]
        if not numbered:
            plan.withdraw(subnet)
        raise
    for end, given in zip(ends, wanted, strict=True):
        if given is None and isinstance(end, Node):
            end.wanted_address = None
    return [first, second]


def _place(plan: AddressPlan, subnet: Subnet, end: End, wanted: str | None) -> IPv4Interface | None:
    if isinstance(end, SwitchNode):
        if wanted is not None:
            raise ValueError(f"{end.name} is a switch, and has no address {wanted}")
        return None
    place = plan.assign(subnet, wanted if wanted is not None else end.wanted_address, end.name)
    subnet.members[place.ip] = end
    return place
