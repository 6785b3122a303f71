"""The words that programs and the stack's process exchange.

A program holds one *control connection* to the stack, an AF_UNIX SOCK_SEQPACKET socket at ``NETOWER_PATH``. Each call
that changes a socket itself (socket, bind, connect, options, names) is one request and one reply:

    request   ``<HHI``  operation, unused, serial     followed by the operation's argument
    reply     ``<iI``   errno (0: done), serial       followed by the operation's result

The serial comes back in the reply, so that a program whose wait was broken off by a signal handler can tell a late
reply. A request about a socket carries that socket's descriptor along (SCM_RIGHTS): who holds the descriptor may use
it, and no one else. Addresses are ``struct sockaddr_in`` (or ``_in6``) as the C library lays it out, option values the
C structs of setsockopt(2). Nothing here is particular to Python.

What a socket's descriptor itself carries:

- a stream: the bytes; a program's shutdown and close are seen by the stack as EOF and hang-up.
- a listener: for each accepted connection one ``ACCEPTED`` record with its descriptor (SCM_RIGHTS).
- datagrams (SOCK_SEQPACKET): each behind a ``DATAGRAM`` header; in it the peer's address, or an errno and no payload.
- a stream whose blocking connect is under way: one ``CONNECTED`` record, the errno of the outcome.
"""

from __future__ import annotations

import os
import socket as kernel
import sys
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Final

REQUEST: Final = Struct("<HHI")
REPLY: Final = Struct("<iI")

SOCKET_ARGUMENT: Final = Struct("<iii")  # family, type, protocol
LISTEN_ARGUMENT: Final = Struct("<i")  # backlog
CONNECT_ARGUMENT: Final = Struct("<ii")  # ConnectMode, bytes of filler; then the address
OPTION_ARGUMENT: Final = Struct("<iii")  # level, option, size to get; or then the value to set

SOCKADDR_SIZE: Final = 28
#: One accepted connection: the peer's address, and the local one.
ACCEPTED: Final = Struct(f"{SOCKADDR_SIZE}s{SOCKADDR_SIZE}s")
#: In front of each datagram: errno, and the peer's address (family 0: none given).
DATAGRAM: Final = Struct(f"<i{SOCKADDR_SIZE}s")
CONNECTED: Final = Struct("<i")

#: A request or a reply is never longer; longer results come as a descriptor of a file in memory.
MESSAGE_LIMIT: Final = 8192

_SOCKADDR_IN: Final = Struct("=H2s4s20x")
_SOCKADDR_IN6: Final = Struct("=H2sI16sI")
NO_ADDRESS: Final = bytes(SOCKADDR_SIZE)


class Operation(IntEnum):
    SOCKET = 1
    BIND = 2
    LISTEN = 3
    CONNECT = 4
    GETSOCKNAME = 5
    GETPEERNAME = 6
    GETSOCKOPT = 7
    SETSOCKOPT = 8
    #: May a datagram go to this address? (A route, a permission; binds the socket.) Then the program sends on its own.
    ROUTE = 9
    #: A tool's question, in JSON; the answer comes as a file in memory.
    QUERY = 10
    #: Send the argument as urgent data, after everything that the descriptor carries; the result is how many bytes.
    URGENT = 11


class ConnectMode(IntEnum):
    #: The program waits in connect: tell it with a CONNECTED record.
    BLOCKING = 0
    #: The program has filled its send buffer with filler, so that it does not poll writable: drain that when decided.
    NON_BLOCKING = 1
    #: The program has stopped waiting: no CONNECTED record any more. The result says whether there was one (one byte).
    GIVEN_UP = 2


def pack_sockaddr(address: bytes, port: int) -> bytes:
    """``struct sockaddr_in`` or ``sockaddr_in6``, padded to the size of the larger."""
    if len(address) == 4:
        return _SOCKADDR_IN.pack(kernel.AF_INET, port.to_bytes(2), address)
    return _SOCKADDR_IN6.pack(kernel.AF_INET6, port.to_bytes(2), 0, address, 0)


def unpack_sockaddr(sockaddr: bytes) -> tuple[bytes, int] | None:
    """The packed address and the port; None for family 0 (AF_UNSPEC). Raises ValueError for another family."""
    family = int.from_bytes(sockaddr[:2], sys.byteorder)
    if family == kernel.AF_INET:
        return sockaddr[4:8], int.from_bytes(sockaddr[2:4])
    if family == kernel.AF_INET6:
        return sockaddr[8:24], int.from_bytes(sockaddr[2:4])
    if family == kernel.AF_UNSPEC:
        return None
    raise ValueError(f"address family {family}")


def default_path() -> str:
    """Where the stack of this user listens: NETOWER_PATH, else in the user's runtime directory, else in /tmp."""
    if path := os.environ.get("NETOWER_PATH"):
        return path
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return str(Path(runtime) / "netower.sock")
    return f"/tmp/netower-{os.getuid()}/stack.sock"
