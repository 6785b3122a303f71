"""Socket addresses as Python programs write them, and as the stack takes them; errors as the standard module's."""

from __future__ import annotations

import socket as kernel
from typing import Any

from ..control import pack_sockaddr, unpack_sockaddr

Address = tuple[str, int]


def encode(address: Any, call: str) -> bytes:
    """A (host, port) pair as a sockaddr. Raises TypeError, OverflowError (port), or gaierror (no such name)."""
    if not isinstance(address, tuple):
        raise TypeError(f"{call}(): AF_INET address must be tuple, not {type(address).__name__}")
    if len(address) != 2:
        raise TypeError("AF_INET address must be a pair (host, port)")
    host, port = address
    if not hasattr(port, "__index__"):
        raise TypeError(f"{type(port).__name__!r} object cannot be interpreted as an integer")
    port = port.__index__()
    if not 0 <= port <= 0xFFFF:
        raise OverflowError(f"{call}(): port must be 0-65535.")
    return pack_sockaddr(_packed_host(host), port)


def _packed_host(host: Any) -> bytes:
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii")
    if not isinstance(host, str):
        raise TypeError(f"str, bytes or bytearray expected, not {type(host).__name__}")
    try:
        return kernel.inet_pton(kernel.AF_INET, host)
    except OSError:  # a name, "" or "<broadcast>"
        return kernel.inet_aton(kernel.gethostbyname(host))


def decode(sockaddr: bytes) -> Address:
    """A sockaddr as a (host, port) pair."""
    address, port = unpack_sockaddr(sockaddr) or (bytes(4), 0)
    return kernel.inet_ntop(kernel.AF_INET if len(address) == 4 else kernel.AF_INET6, address), port
