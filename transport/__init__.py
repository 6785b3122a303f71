"""The transport floor: bytes between processes. Ports, UDP, TCP."""

from typing import TYPE_CHECKING

from ..link.lazy import loader

if TYPE_CHECKING:
    from .ports import PortRegistry
    from .tcp import Connection, Listener, Tcp
    from .udp import Udp, UdpEndpoint

__all__ = ["Connection", "Listener", "PortRegistry", "Tcp", "Udp", "UdpEndpoint"]

__getattr__ = loader(
    __name__,
    {
        "Connection": ".tcp.connection",
        "Listener": ".tcp.listener",
        "PortRegistry": ".ports",
        "Tcp": ".tcp.protocol",
        "Udp": ".udp",
        "UdpEndpoint": ".udp",
    },
)
