"""The stack floor: composes the floors below into hosts, and gives processes their sockets.

The names are loaded when they are asked for: a program that imports `netower.stack.socket` does not pay for the tower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..link.lazy import loader

if TYPE_CHECKING:
    from .aio.embedded import EmbeddedHost
    from .host import Host, HostSettings
    from .inline import InlineHost
    from .network import Ended, Network

__all__ = ["EmbeddedHost", "Ended", "Host", "HostSettings", "InlineHost", "Network"]

__getattr__ = loader(
    __name__,
    {
        "EmbeddedHost": ".aio.embedded",
        "Ended": ".network",
        "Host": ".host",
        "HostSettings": ".host",
        "InlineHost": ".inline",
        "Network": ".network",
    },
)
