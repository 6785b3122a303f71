"""The gate of a listening socket: it carries each accepted connection as one record with its descriptor.

So accepting, waiting for a connection, and several processes that accept from one listener are the kernel's own work.
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
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ETOOMANYREFS)


class ListenerGate(Gate[StreamSocket]):
    __slots__ = ("_record_memory", "_retrying")

    def __init__(self, server: StackServer, socket: StreamSocket, end: kernel.socket, inode: int, owner: int) -> None:
        self._record_memory = 0  # of one record that waits, as SIOCOUTQ counts
        self._retrying = False
        super().__init__(server, socket, end, inode, owner)

    @classmethod
    def take_over(cls, gate: StreamGate) -> ListenerGate:
        """The gate of a stream socket that has become a listener: same descriptor, same socket."""
        gate.end.recv(1)  # the pledge: a listener ends without a reset
        gate.server.engine.unregister(gate.end.fileno())
        return cls(gate.server, gate.socket, gate.end, gate.inode, gate.owner)

    def on_event(self, events: int) -> None:
        if events & HUNG_UP:
            self.leave()
            self.socket.close()
        elif events & OUT:
            self.wait_for_room(False)
            self.on_socket()

    def on_socket(self) -> None:
        """Hand over what the socket has accepted; the records that no program has taken count for the backlog."""
        while not self._retrying and self.socket.acceptable:
            if self._untaken() > self.socket.backlog:
                self.wait_for_room(True)
                if self._untaken() > self.socket.backlog:  # taken meanwhile: no event would come
                    return
            if not self._hand_over():
                self._retrying = True
                self.server.engine.host.scheduler.call_later(RETRY, self._retry)
                return

    def _hand_over(self) -> bool:
        """Accept one connection. False when there are no descriptors left for it; it stays in the socket's queue."""
        try:
            gate, descriptor = StreamGate.make_for(self)
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                return False
            raise
        record = ACCEPTED.pack(pack_sockaddr(*gate.socket.remote), pack_sockaddr(*gate.socket.getsockname()))
        with descriptor:
            rights = (kernel.SOL_SOCKET, kernel.SCM_RIGHTS, array.array("i", [descriptor.fileno()]))
            try:
                self.end.sendmsg([record], [rights])
            except OSError:  # the listening program is gone, or cannot be given more: this connection ends
                gate.abandon()
                return True
        if not self._record_memory:
            self._record_memory = unread_memory(self.end)
        gate.on_socket()
        return True

    def _untaken(self) -> int:
        return unread_memory(self.end) // self._record_memory if self._record_memory else 0

    def _retry(self) -> None:
        self._retrying = False
        if self.end.fileno() >= 0:
            self.on_socket()
