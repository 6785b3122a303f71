"""The net floor: packets between machines. IPv4, ARP, ICMP, routes, forwarding, fragments."""

from typing import TYPE_CHECKING

from ..link.lazy import loader

if TYPE_CHECKING:
    from .failure import Failure
    from .interface import Interface
    from .internet import Internet
    from .path import Path
    from .routing import RoutingTable

__all__ = ["Failure", "Interface", "Internet", "Path", "RoutingTable"]

__getattr__ = loader(
    __name__,
    {
        "Failure": ".failure",
        "Interface": ".interface",
        "Internet": ".internet",
        "Path": ".path",
        "RoutingTable": ".routing",
    },
)
