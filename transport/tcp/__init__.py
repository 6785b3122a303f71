"""TCP, after RFC 9293. Read `state` first: it opens with the theory of operation."""

from typing import TYPE_CHECKING

from ...link.lazy import loader

if TYPE_CHECKING:
    from .connection import Connection
    from .listener import Listener
    from .protocol import Tcp
    from .settings import TcpOptions, TcpSettings
    from .state import State

__all__ = ["Connection", "Listener", "State", "Tcp", "TcpOptions", "TcpSettings"]

__getattr__ = loader(
    __name__,
    {
        "Connection": ".connection",
        "Listener": ".listener",
        "State": ".state",
        "Tcp": ".protocol",
        "TcpOptions": ".settings",
        "TcpSettings": ".settings",
    },
)
