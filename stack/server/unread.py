"""How much each AF_UNIX socket has not read yet, as the kernel tells it (sock_diag(7)).

It is how the stack, which has the one end of each pair, sees what waits at the program's end.
"""

from __future__ import annotations

import socket as kernel
from collections.abc import Iterator
from struct import Struct
from typing import Final

# linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h
_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST_DUMP: Final = 0x301
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_UDIAG_SHOW_RQLEN: Final = 0x10
_UNIX_DIAG_RQLEN: Final = 4
_EVERY_STATE: Final = 0xFFFFFFFF

_HEADER: Final = Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST: Final = Struct("=BBHIII8x")  # family, protocol, pad, states, inode, what to show; cookie
_MESSAGE: Final = Struct("=BBBxI8x")  # family, type, state, inode; cookie
_ATTRIBUTE: Final = Struct("=HH")  # length, type
_WORD: Final = Struct("=I")


def unread_bytes() -> dict[int, int]:
    """Bytes that wait at each AF_UNIX socket of this network namespace, by inode; {} where the kernel does not say."""
    request = _HEADER.pack(_HEADER.size + _REQUEST.size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 1, 0)
    request += _REQUEST.pack(kernel.AF_UNIX, 0, 0, _EVERY_STATE, 0, _UDIAG_SHOW_RQLEN)
    found: dict[int, int] = {}
    try:
        with kernel.socket(kernel.AF_NETLINK, kernel.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
            netlink.send(request)
            while True:
                for kind, body in _messages(netlink.recv(1 << 16)):
                    if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                        return found
                    found[_MESSAGE.unpack_from(body)[3]] = _queue_length(body)
    except OSError:
        return found


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        yield kind, data[at + _HEADER.size : at + length]
        at += max(length + 3 & ~3, _HEADER.size)


def _queue_length(body: bytes) -> int:
    at = _MESSAGE.size
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if kind == _UNIX_DIAG_RQLEN:
            return int(_WORD.unpack_from(body, at + _ATTRIBUTE.size)[0])
        at += max(length + 3 & ~3, _ATTRIBUTE.size)
    return 0
