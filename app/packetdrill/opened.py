"""What a descriptor of a script's process may stand for: a socket, a file; see `pipes` and `epoll`, too."""

from __future__ import annotations

import errno
import os
import sys
from abc import ABC, abstractmethod
from itertools import count
from typing import Final

from ...stack.calls import DatagramSocket, Socket, StreamSocket
from ...stack.calls import numbers as n
from ...transport.errors import error
from .errors import Unsupported

#: What happens first has a lower number.
moments: Final = count()


class Opened(ABC):
    """``references``: how many of the program's descriptors stand for it."""

    __slots__ = ("changed_at", "changes", "flags", "left", "references")

    def __init__(self, *, nonblocking: bool = False) -> None:
        #: Those that fcntl(2) sets.
        self.flags = os.O_NONBLOCK if nonblocking else 0
        self.references = 1
        #: How often something else has changed what may be done with it: the edges of edge-triggered epoll.
        self.changes = 0
        #: How often something has left it: edges for whom waits for room alone.
        self.left = 0
        #: When it last did, on `moments`.
        self.changed_at = next(moments)

    @property
    def nonblocking(self) -> bool:
        return bool(self.flags & os.O_NONBLOCK)

    @nonblocking.setter
    def nonblocking(self, on: bool) -> None:
        self.flags = self.flags | os.O_NONBLOCK if on else self.flags & ~os.O_NONBLOCK

    def changed(self) -> None:
        self.changes += 1
        self.changed_at = next(moments)

    def release(self) -> bool:
        """A descriptor stands for something else now, or for nothing. Whether it was the last one."""
        self.references -= 1
        return not self.references

    @abstractmethod
    def readiness(self) -> int:
        """What poll(2) would say now."""

    @abstractmethod
    def let_go(self) -> None:
        """No descriptor stands for it any more."""


class Descriptor(Opened):
    """An open socket."""

    __slots__ = ("socket",)

    def __init__(self, socket: Socket, *, nonblocking: bool = False) -> None:
        super().__init__(nonblocking=nonblocking)
        self.socket = socket
        socket.observer = self.changed

    def readiness(self) -> int:
        return self.socket.readiness()

    def let_go(self) -> None:
        self.socket.close()

    @property
    def stream(self) -> StreamSocket:
        if not isinstance(self.socket, StreamSocket):
            raise Unsupported("this call on a datagram socket")
        return self.socket

    def time_limit(self, option: int, now: float) -> float | None:
        """When a wait that begins now ends, by SO_RCVTIMEO or SO_SNDTIMEO."""
        value = self.socket.values.get((n.SOL_SOCKET, option))
        if not isinstance(value, bytes) or not any(value):
            return None
        seconds, rest = (int.from_bytes(value[at : at + 8], sys.byteorder, signed=True) for at in (0, 8))
        return now + max(seconds + rest / 1e6, 0.0)


def is_datagram(descriptor: Descriptor) -> bool:
    return isinstance(descriptor.socket, DatagramSocket)


class File(Opened):
    """A file, in memory: what is written stays there."""

    __slots__ = ("content", "position", "readable", "writable")

    def __init__(self, content: bytearray, *, readable: bool = True, writable: bool = False) -> None:
        super().__init__()
        self.content = content
        self.position = 0
        self.readable = readable
        self.writable = writable

    def readiness(self) -> int:
        return n.POLLIN | n.POLLOUT

    def let_go(self) -> None:
        """The file stays."""

    def read(self, size: int) -> bytes:
        if not self.readable:
            raise error(errno.EBADF)
        found = bytes(self.content[self.position : self.position + size])
        self.position += len(found)
        return found

    def write(self, data: bytes) -> int:
        if not self.writable:
            raise error(errno.EBADF)
        self.content[self.position : self.position + len(data)] = data
        self.position += len(data)
        return len(data)
