"""What tools ask a running stack, and the answers, as JSON can hold them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from ...link.ethernet import address_text
from ...net.address import parse, text
from ...net.ping import EchoReply
from .. import sysctl
from .sockets import sockets

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...net.failure import Failure
    from .server import StackServer


def answer(server: StackServer, name: str, arguments: dict[str, Any], reply: Callable[[Any], None]) -> None:
    """Answer the question ``name``: call ``reply`` with the answer, now or (for what takes time) later.

    Raises ValueError for a question that nobody knows, and whatever malformed arguments raise.
    """
    if name == "ping":
        ping(server, reply, **arguments)
        return
    if name == "settings":
        reply(settings(server, **arguments))
        return
    ask = _QUESTIONS.get(name)
    if ask is None:
        raise ValueError(f"no such question: {name}")
    reply(ask(server))


def ping(server: StackServer, reply: Callable[[Any], None], address: str, timeout: float, size: int) -> None:
    """Send one echo request; the answer is its round trip in seconds and the hop limit it came with, or an error."""

    def told(outcome: EchoReply | Failure) -> None:
        if isinstance(outcome, EchoReply):
            reply({"rtt": outcome.rtt, "ttl": outcome.hop_limit})
        else:
            reply({"error": os.strerror(outcome.errno)})

    try:
        server.host.internet.icmp.pings.ping(parse(address), told, size=size, timeout=timeout)
    except OSError as error:  # no route, for one
        reply({"error": os.strerror(error.errno or 0)})


def settings(server: StackServer, names: list[str], changes: list[list[str]]) -> dict[str, str]:
    """Change settings, then read them and those named (with none of either: all), under Linux's names.

    A name that is not known, or a value that cannot be, is the one answer, as ``error``; nothing after it is changed.
    """
    host = server.host
    try:
        for name, value in changes:
            sysctl.write(host, name, value)
        wanted = [*names, *(name for name, _ in changes)] or sysctl.names()
        return {name: sysctl.read(host, name) for name in wanted}
    except (KeyError, ValueError) as error:
        return {"error": str(error.args[0])}


def interfaces(server: StackServer) -> list[dict[str, Any]]:
    """The interfaces of the host, with what has passed through them."""
    return [
        {
            "name": interface.name,
            "mtu": interface.mtu,
            "link_address": address_text(interface.link_address) if interface.link_address else None,
            "addresses": list(map(str, interface.addresses)),
            "offloads": interface.offloads.name or "NONE",
            "rx_packets": interface.rx_packets,
            "rx_bytes": interface.rx_bytes,
            "tx_packets": interface.tx_packets,
            "tx_bytes": interface.tx_bytes,
        }
        for interface in server.host.interfaces
    ]


def routes(server: StackServer) -> list[dict[str, Any]]:
    """The routing table, the longest prefixes first."""
    return [
        {
            "destination": str(route.prefix) if route.prefix.length else "default",
            "via": text(route.via) if route.via is not None else None,
            "interface": route.interface.name,
            "source": text(route.source) if route.source is not None else None,
            "metric": route.metric,
            "mtu": route.mtu or None,
        }
        for route in server.host.routes
    ]


def neighbors(server: StackServer) -> list[dict[str, Any]]:
    """The neighbors on every interface, and how sure the host is of them."""
    return [
        {
            "address": text(neighbor.address),
            "interface": interface.name,
            "link_address": address_text(neighbor.link_address) if neighbor.link_address else None,
            "state": neighbor.state.name,
        }
        for interface in server.host.interfaces
        for neighbor in interface.neighbors
    ]


def counters(server: StackServer) -> dict[str, int]:
    """What was dropped, refused or noted by every floor, by reason."""
    found = dict(server.host.internet.counters)
    found |= {f"program.{reason}": count for reason, count in server.counters.items()}
    for interface in server.host.interfaces:
        for reason, count in getattr(interface.link, "counters", {}).items():
            found[f"link.{interface.name}.{reason}"] = count
    return dict(sorted(found.items()))


_QUESTIONS: Final[dict[str, Callable[[StackServer], Any]]] = {
    question.__name__: question for question in (sockets, interfaces, routes, neighbors, counters)
}
