"""The congestion controllers there are, by the names of TCP_CONGESTION."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .congestion import CongestionControl, Reno
from .cubic import Cubic

if TYPE_CHECKING:
    from collections.abc import Callable

CONTROLLERS: Final[dict[str, Callable[[int], CongestionControl]]] = {"cubic": Cubic, "reno": Reno}
