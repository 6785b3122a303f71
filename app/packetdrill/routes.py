"""What a line ``ip route …`` of a script says: a destination, and attributes that its connections take notice of."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final

from .errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Attributes that say where a route leads: a script's machine has one way.
_WAYS: Final = frozenset({"via", "dev", "src", "proto", "protocol", "scope", "metric", "preference", "table", "pref"})
_KINDS: Final = frozenset({"unicast", "local", "onlink"})


@dataclass(frozen=True, slots=True)
class Metrics:
    """Attributes of a route (ip-route(8)): sizes in bytes, windows in segments, times in seconds; nothing stands for
    what the host does anyway."""

    mtu: int = 0
    #: No ICMP error makes it less.
    mtu_locked: bool = False
    advmss: int = 0
    initcwnd: int = 0
    initrwnd: int = 0
    rto_min: float = 0.0
    hoplimit: int = 0
    reordering: int = 0
    congctl: str = ""
    quickack: bool = False
    fastopen_no_cookie: bool = False
    #: Connections ask for ECN.
    ecn: bool = False


def read_route(words: Sequence[str]) -> tuple[str, Metrics]:
    """A prefix, ``default`` as 0.0.0.0/0, and the metrics. Raises Unsupported for an attribute that is not known."""
    left = [word for word in words if word not in _KINDS]
    if not left:
        raise Unsupported("a route to nowhere")
    destination = left.pop(0)
    found: dict[str, Any] = {}
    while left:
        name = left.pop(0)
        if left and left[0] == "lock":
            left.pop(0)
            found["mtu_locked"] = name == "mtu" or found.get("mtu_locked", False)
        value = left.pop(0) if left else ""
        if name == "features" and value in ("ecn", "0"):
            found["ecn"] = value == "ecn"
        elif name in _READERS:
            found[name] = _READERS[name](value)
        elif name not in _WAYS:
            raise Unsupported(f"the route attribute {name} {value}".rstrip())
    return "0.0.0.0/0" if destination == "default" else str(ip_network(destination, strict=False)), Metrics(**found)


def _time(text: str) -> float:
    """``200ms``, ``0.2s``, or a number of milliseconds."""
    if text.endswith("ms"):
        return float(text[:-2]) / 1000
    return float(text[:-1]) if text.endswith("s") else float(text) / 1000


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "mtu": int,
    "advmss": int,
    "initcwnd": int,
    "initrwnd": int,
    "rto_min": _time,
    "hoplimit": int,
    "reordering": int,
    "congctl": str,
    "quickack": lambda text: bool(int(text)),
    "fastopen_no_cookie": lambda text: bool(int(text)),
}
