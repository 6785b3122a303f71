"""Putting our socket module in the place of the standard one, for a program that knows nothing of it."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_REPLACED = (
    "create_connection",
    "create_server",
    "fromfd",
    "getaddrinfo",
    "has_dualstack_ipv6",
    "socket",
    "socketpair",
)
_TOWER = "netower."


def replace(standard: ModuleType, ours: dict[str, Any]) -> None:
    """Make every module see ours: those to come through ``sys.modules``, those imported already in their globals."""
    module = sys.modules[ours["__name__"]]
    swaps = {id(vars(standard)[name]): ours[name] for name in _REPLACED if name in vars(standard)}
    swaps[id(standard)] = module
    sys.modules["socket"] = module
    for name, loaded in list(sys.modules.items()):
        if loaded in (standard, module) or name.startswith(_TOWER) or not isinstance(loaded, ModuleType):
            continue
        for key, value in list(vars(loaded).items()):
            if id(value) in swaps:
                setattr(loaded, key, swaps[id(value)])
    if "ssl" in sys.modules:
        importlib.reload(sys.modules["ssl"])  # its socket class has derived from the standard one
