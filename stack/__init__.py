"""The stack floor: composes the floors below into hosts, and gives processes their sockets.

The names are loaded when they are asked for: a program that imports `netower.stack.socket` does not pay for the tower.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .host import Host, HostSettings
    from .network import Ended, Network

__all__ = ["Ended", "Host", "HostSettings", "Network"]

_HOMES: Final = {"Ended": ".network", "Host": ".host", "HostSettings": ".host", "Network": ".network"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
