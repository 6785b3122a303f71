"""Routes on a simulated network: what a routing protocol would have told everyone, once it has converged."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .addressing import Subnet
    from .node import Attachment, Node

_Gateways = dict["Subnet", "tuple[Attachment, Attachment]"]


def settle(nodes: Iterable[Node], find: Callable[[str], Node | None]) -> None:
    """Give every node that is up its routes: over the fewest routers, among equals over the wire made first.

    A host goes by default to the first router that it is on a wire with; a router knows every subnet. What is down is
    avoided. ``find`` gives the node of a name.
    """
    for node in nodes:
        if node.up:
            _install(node, _gateways(node), find)


def _gateways(start: Node) -> _Gateways:
    """For each subnet that is reached over routers: where to leave ``start``, and the router to go to."""
    near = {attachment.subnet for attachment in start.attachments if attachment.up}
    seen, routers = set(near), {start}
    gateways: _Gateways = {}
    waiting: deque[tuple[Node, tuple[Attachment, Attachment]]] = deque()
    for attachment in start.attachments:
        if attachment.up:
            for router in _routers(attachment.subnet, routers):
                waiting.append((router.node, (attachment, router)))
    while waiting:
        node, way = waiting.popleft()
        for attachment in node.attachments:
            if attachment.up and attachment.subnet not in seen:
                seen.add(attachment.subnet)
                gateways[attachment.subnet] = way
                waiting.extend((router.node, way) for router in _routers(attachment.subnet, routers))
    return gateways


def _routers(subnet: Subnet, known: set[Node]) -> list[Attachment]:
    """The routers on a subnet that are not known yet; they are from now on."""
    found = []
    for attachment in subnet.attachments:
        if attachment.node.forwarding and attachment.up and attachment.node not in known:
            known.add(attachment.node)
            found.append(attachment)
    return found


def _install(node: Node, gateways: _Gateways, find: Callable[[str], Node | None]) -> None:
    routes = node.host.routes
    for route in node.installed_routes:
        routes.discard(route)
    node.installed_routes = []
    default = None if node.forwarding else next(iter(gateways.values()), None)
    wanted: dict[str, str] = {}
    if default is not None:
        wanted["default"] = str(default[1].address.ip)
    for subnet, way in gateways.items():
        if way != default:
            wanted[str(subnet.network)] = str(way[1].address.ip)
    for destination, via in node.wanted_routes:
        wanted[destination] = _address(node, via, find)
    for destination, via in wanted.items():
        node.installed_routes.append(routes.add(destination, via=via))


def _address(node: Node, via: str, find: Callable[[str], Node | None]) -> str:
    """The address of the gateway ``via``, which may be a name: the one on a subnet that ``node`` is on."""
    gateway = find(via)
    if gateway is None:
        return via
    near = {attachment.subnet for attachment in node.attachments}
    for attachment in gateway.attachments:
        if attachment.subnet in near:
            return str(attachment.address.ip)
    raise ValueError(f"{node.name} has no wire to {via}, so there can be no route over it")
