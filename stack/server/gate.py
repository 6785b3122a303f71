"""A gate: the place where one socket of the stack meets the descriptor that programs hold.

The descriptor is one end of an AF_UNIX pair; the gate keeps the other end, and the socket. It carries data between the
two, turns what happens to the descriptor (shut down, closed, its process killed) into calls on the socket, and what
happens to the socket into what the descriptor then says.
"""

from __future__ import annotations

import array
import errno
import os
import select
import socket as kernel
from _socket import socketpair
from fcntl import ioctl
from termios import FIONREAD
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from ..calls import Socket

if TYPE_CHECKING:
    from .server import StackServer

S = TypeVar("S", bound=Socket)

IN = select.EPOLLIN
OUT = select.EPOLLOUT
HUNG_UP = select.EPOLLHUP | select.EPOLLERR
HALF_CLOSED = select.EPOLLRDHUP
_EDGE = select.EPOLLET

_SIZE = array.array("i", [0])


class Gate(Generic[S]):
    """What all gates have: the stack's end of a pair, known by the inode of the programs' end."""

    __slots__ = ("end", "inode", "owner", "server", "socket", "waiting_for_room")

    #: Whether events are told once when they come (a gate that drains fully), or as long as they last.
    edge_triggered: ClassVar[bool] = True

    def __init__(self, server: StackServer, socket: S, end: kernel.SocketType, inode: int, owner: int) -> None:
        self.server = server
        self.socket = socket
        self.end = end
        self.inode = inode
        #: The process that made the socket.
        self.owner = owner
        self.waiting_for_room = False
        server.gates[inode] = self
        server.causes.pop(inode, None)  # of an earlier socket that the system had given the same number
        server.engine.register(end.fileno(), self._events(), self.on_event)
        socket.observer = self.on_socket

    def on_event(self, events: int) -> None:
        """Something happened to the descriptor."""
        raise NotImplementedError

    def on_socket(self) -> None:
        """Something may have happened to the socket."""
        raise NotImplementedError

    def connect(self, address: tuple[bytes, int] | None, mode: int, filler: int) -> bytes:
        """A program's connect; raises OSError as connect(2) does."""
        self.socket.connect(address)
        return b""

    def option_changed(self, level: int, option: int) -> None:
        """A program has set an option of the socket."""

    def wait_for_room(self, waiting: bool) -> None:
        """Whether to be told when the program has read, and the descriptor takes more."""
        if waiting != self.waiting_for_room:
            self.waiting_for_room = waiting
            self.server.engine.modify(self.end.fileno(), self._events())

    def leave(self) -> None:
        """Let go of the descriptor: programs that still hold their end find it hung up."""
        self.socket.observer = None
        self.server.gates.pop(self.inode, None)
        self.server.engine.unregister(self.end.fileno())
        self.end.close()

    def _events(self) -> int:
        events = IN | HALF_CLOSED | (_EDGE if self.edge_triggered else 0)
        return events | OUT if self.waiting_for_room else events


def waiting_bytes(end: kernel.SocketType) -> int:
    """How many bytes wait to be read from ``end``."""
    ioctl(end, FIONREAD, _SIZE)
    return _SIZE[0]


def unread_memory(end: kernel.SocketType) -> int:
    """The memory of what was written to ``end`` and has not been read (SIOCOUTQ)."""
    ioctl(end, _SIOCOUTQ, _SIZE)
    return _SIZE[0]


_SIOCOUTQ = 0x5411


def make_pair(kind: int) -> tuple[kernel.SocketType, kernel.SocketType, int]:
    """The stack's end, the program's, and the inode that the program's is known by.

    The ends are bare socket objects: those of the standard library would cost as much again as the pair.
    Raises OSError(ENFILE) when the stack has no descriptors left.
    """
    try:
        ours, theirs = socketpair(kernel.AF_UNIX, kind)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE)) from None
    ours.setblocking(False)
    if kind == kernel.SOCK_STREAM:
        # A program in another language may send with MSG_OOB: nothing is to be taken out of the stream.
        ours.setsockopt(kernel.SOL_SOCKET, kernel.SO_OOBINLINE, 1)
    return ours, theirs, os.fstat(theirs.fileno()).st_ino
