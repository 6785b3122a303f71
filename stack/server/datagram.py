"""The gate of a datagram socket: each datagram crosses as one message, behind a header that names its peer."""

from __future__ import annotations

import socket as kernel
import sys
from typing import TYPE_CHECKING

from ..calls import DatagramSocket
from ..control import DATAGRAM, NO_ADDRESS, pack_sockaddr, unpack_sockaddr
from .gate import HUNG_UP, IN, Gate, make_pair

if TYPE_CHECKING:
    from .server import StackServer

#: Datagrams taken from one program before the other descriptors have their turn.
BATCH = 64
#: How many peers are remembered with what is written for them.
_REMEMBERED = 1024
_LARGEST = DATAGRAM.size + 65536
_HEADER_SIZE = DATAGRAM.size


class DatagramGate(Gate[DatagramSocket]):
    __slots__ = ("_headers", "_targets")

    edge_triggered = False

    def __init__(
        self, server: StackServer, socket: DatagramSocket, end: kernel.SocketType, inode: int, owner: int
    ) -> None:
        #: Of the last peers: what goes before a datagram from them; and whom a program means by a sockaddr.
        self._headers: dict[tuple[bytes, int], bytes] = {}
        self._targets: dict[bytes, tuple[bytes, int] | None] = {}
        super().__init__(server, socket, end, inode, owner)

    @classmethod
    def make(cls, server: StackServer, socket: DatagramSocket, owner: int) -> tuple[DatagramGate, kernel.SocketType]:
        """A gate, and the descriptor to give to the program."""
        ours, theirs, inode = make_pair(kernel.SOCK_SEQPACKET)
        return cls(server, socket, ours, inode, owner), theirs

    def on_event(self, events: int) -> None:
        drained = self._from_program() if events & IN else True
        if drained and events & HUNG_UP:
            self.leave()
            self.socket.close()

    def _from_program(self) -> bool:
        """Send what the program has written; whether that was all."""
        receive, send, targets = self.end.recv, self.socket.send, self._targets
        for _ in range(BATCH):
            try:
                message = receive(_LARGEST)
            except OSError:
                return True
            if len(message) < _HEADER_SIZE:
                return True  # the end
            sockaddr = message[4:_HEADER_SIZE]
            try:
                target = targets[sockaddr] if sockaddr in targets else self._target(sockaddr)
                send((memoryview(message)[_HEADER_SIZE:],), target)
            except (OSError, ValueError):
                self.server.counters["gate.datagram_refused"] += 1
        return False

    def option_changed(self, level: int, option: int) -> None:
        if (level, option) == (kernel.SOL_SOCKET, kernel.SO_RCVBUF):  # what waits for the program waits in the pair
            size = int.from_bytes(self.socket.getsockopt(level, option), sys.byteorder)
            self.end.setsockopt(kernel.SOL_SOCKET, kernel.SO_SNDBUF, size // 2)

    def on_socket(self) -> None:
        """Hand over what has arrived. A program that does not read loses datagrams, as with a full receive buffer."""
        endpoint, headers, sendmsg = self.socket.endpoint, self._headers, self.end.sendmsg
        if error := endpoint.take_error():
            self._tell(error)
        while (datagram := endpoint.receive()) is not None:
            payload, source = datagram
            try:
                sendmsg((headers.get(source) or self._header(source), payload))
            except OSError:
                self.server.counters["gate.datagram_dropped"] += 1

    def _header(self, source: tuple[bytes, int]) -> bytes:
        if len(self._headers) >= _REMEMBERED:
            self._headers.clear()
        header = self._headers[source] = DATAGRAM.pack(0, pack_sockaddr(*source))
        return header

    def _target(self, sockaddr: bytes) -> tuple[bytes, int] | None:
        """Raises ValueError for an address of no family we know."""
        if len(self._targets) >= _REMEMBERED:
            self._targets.clear()
        target = self._targets[sockaddr] = unpack_sockaddr(sockaddr)
        return target

    def _tell(self, error: int) -> None:
        try:
            self.end.send(DATAGRAM.pack(error, NO_ADDRESS))
        except OSError:
            self.server.counters["gate.error_not_told"] += 1
