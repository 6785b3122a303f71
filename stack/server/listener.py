"""The gate of a listening socket: it carries each accepted connection as one record with its descriptor.

So accepting, waiting for a connection, and several processes that accept from one listener are the kernel's own work.

**Room.** At most a backlog of records waits in the descriptor; further connections wait in the socket's queue. Linux
tells that a record was taken as long as what is left fills no more than a quarter of the buffer, so the buffer is made
four times as large as is needed. Where that is more than the system grants, the buffer is the limit.
"""

from __future__ import annotations

import array
import errno
import socket as kernel
from typing import TYPE_CHECKING

from ..calls import StreamSocket
from ..control import ACCEPTED, pack_sockaddr
from .gate import HUNG_UP, OUT, Gate, unread_memory
from .stream import StreamGate

if TYPE_CHECKING:
    from .server import StackServer

#: How long to wait for descriptors when the stack or the system is out of them, in seconds.
RETRY = 0.05
#: What a record takes, at most, of the descriptor's buffer, in bytes.
_RECORD_MEMORY = 1024
_SO_SNDBUFFORCE = 32  # linux/asm-generic/socket.h
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ETOOMANYREFS)


class ListenerGate(Gate[StreamSocket]):
    __slots__ = ("_buffer", "_record_memory", "_retrying")

    def __init__(
        self, server: StackServer, socket: StreamSocket, end: kernel.SocketType, inode: int, owner: int
    ) -> None:
        self._buffer = 0  # how much memory records may take
        self._record_memory = 0  # of one record that waits, as SIOCOUTQ counts
        self._retrying = False
        super().__init__(server, socket, end, inode, owner)
        self.backlog_changed()

    @classmethod
    def take_over(cls, gate: StreamGate) -> ListenerGate:
        """The gate of a stream socket that has become a listener: same descriptor, same socket."""
        gate.end.recv(1)  # the pledge: a listener ends without a reset
        gate.server.engine.unregister(gate.end.fileno())
        return cls(gate.server, gate.socket, gate.end, gate.inode, gate.owner)

    def backlog_changed(self) -> None:
        """A program has called listen: have room for as many records."""
        size = 2 * (self.socket.backlog + 2) * _RECORD_MEMORY  # which Linux doubles
        try:
            self.end.setsockopt(kernel.SOL_SOCKET, _SO_SNDBUFFORCE, size)
        except PermissionError:
            self.end.setsockopt(kernel.SOL_SOCKET, kernel.SO_SNDBUF, size)
        self._buffer = self.end.getsockopt(kernel.SOL_SOCKET, kernel.SO_SNDBUF)

    def on_event(self, events: int) -> None:
        if events & HUNG_UP:
            self.leave()
            self.socket.close()
        elif events & OUT:
            self.on_socket()

    def on_socket(self) -> None:
        """Hand over what the socket has accepted; the records that no program has taken count for the backlog."""
        while not self._retrying and self.socket.acceptable:
            if self._is_full():
                self.wait_for_room(True)
                if self._is_full():  # else one was taken meanwhile, and no event would come
                    return
            if not self._hand_over():
                self._retrying = True
                self.server.engine.host.scheduler.call_later(RETRY, self._retry)
                return
        self.wait_for_room(False)

    def _hand_over(self) -> bool:
        """Accept one connection. False when there are no descriptors left for it; it stays in the socket's queue."""
        try:
            gate, descriptor = StreamGate.make_for(self)
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                return False
            raise
        remote = gate.socket.remote
        assert remote is not None
        record = ACCEPTED.pack(pack_sockaddr(*remote), pack_sockaddr(*gate.socket.getsockname()))
        rights = (kernel.SOL_SOCKET, kernel.SCM_RIGHTS, array.array("i", [descriptor.fileno()]))
        try:
            self.end.sendmsg([record], [rights])
        except OSError:  # the listening program is gone, or cannot be given more: this connection ends
            gate.abandon()
            return True
        finally:
            descriptor.close()
        if not self._record_memory:
            self._record_memory = unread_memory(self.end)
        gate.on_socket()
        return True

    def _is_full(self) -> bool:
        record = self._record_memory
        if not record:
            return False
        memory = unread_memory(self.end)
        return memory // record > self.socket.backlog or memory + record > self._buffer

    def _retry(self) -> None:
        self._retrying = False
        if self.end.fileno() >= 0:
            self.on_socket()
