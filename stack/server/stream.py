"""The gate of a stream socket.

**The pledge.** An AF_UNIX end that is closed while unread data waits in it gives its peer ECONNRESET, after the data.
So that a reset can be delivered at any time, the gate always leaves one byte unread that it has dealt with already: the
pledge, planted when the pair is made. Each read takes the old pledge and all new data but the last byte, and peeks at
that one, the new pledge. (Reads are edge-triggered: the pledge would keep the descriptor readable.)

**Closing.** A hang-up says that the last program has closed: what it wrote is still sent, then the connection closes;
if it left data unread, the pair's error is ECONNRESET, and the connection is reset, as the kernel does. A half-close
says shutdown(SHUT_WR). The other way, a FIN shuts our end down for writing, once the program can have all data before
it.
"""

from __future__ import annotations

import contextlib
import errno
import socket as kernel
from itertools import islice
from typing import TYPE_CHECKING

from ...transport.tcp import send_memory
from ..calls import StreamSocket
from ..calls.numbers import MSG_OOB
from ..control import CONNECTED, ConnectMode
from .gate import HALF_CLOSED, HUNG_UP, IN, OUT, Gate, make_pair, waiting_bytes

if TYPE_CHECKING:
    from .server import StackServer

#: The most that is read from a program at once, in bytes.
READ_SIZE = 1 << 18
#: While the peer still owes acknowledgements, reading waits for room for this much, in bytes: few large reads.
WORTHWHILE = 1 << 16
#: After a program wrote less, nobody looks at once whether it has written more, in bytes.
FEW = 1 << 12
#: The most buffers that are written to a program at once (the kernel's IOV_MAX is 1024).
WRITE_BUFFERS = 64


class StreamGate(Gate[StreamSocket]):
    __slots__ = ("_eof_sent", "_filler", "_mode", "_program_eof", "_program_gone", "_stalled", "_target")

    def __init__(
        self, server: StackServer, socket: StreamSocket, end: kernel.SocketType, inode: int, owner: int
    ) -> None:
        self._mode: ConnectMode | None = None  # how the program waits for a connect under way
        self._target: tuple[bytes, int] | None = None
        self._filler = 0
        self._eof_sent = False
        self._program_eof = False
        self._program_gone = False
        self._stalled = False  # data waits in the descriptor for room in the socket
        super().__init__(server, socket, end, inode, owner)

    @classmethod
    def make_for(cls, listener: Gate[StreamSocket]) -> tuple[StreamGate, kernel.SocketType]:
        """A gate for the next connection of a listener, and the descriptor to give to the program."""
        ours, theirs, inode = make_pair(kernel.SOCK_STREAM)
        theirs.send(b"\0")  # the pledge
        return cls(listener.server, listener.socket.accept(), ours, inode, listener.owner), theirs

    @classmethod
    def make(cls, server: StackServer, socket: StreamSocket, owner: int) -> tuple[StreamGate, kernel.SocketType]:
        """A gate, and the descriptor to give to the program."""
        ours, theirs, inode = make_pair(kernel.SOCK_STREAM)
        theirs.send(b"\0")  # the pledge
        return cls(server, socket, ours, inode, owner), theirs

    # connecting

    def connect(self, address: tuple[bytes, int] | None, mode: int, filler: int) -> bytes:
        """A program's connect; raises OSError, EINPROGRESS among them, as connect(2) does."""
        if mode == ConnectMode.GIVEN_UP:
            told = self._mode is None
            self._mode = None
            return bytes([told])
        self._filler += filler
        self._target = address
        try:
            self.socket.connect(address)
        except OSError as error:
            if error.errno == errno.EINPROGRESS:
                self._mode = ConnectMode(mode)
            elif error.errno != errno.EALREADY:
                self._drain_filler()
            raise
        self._drain_filler()
        return b""

    def _connect_decided(self) -> None:
        mode, self._mode = self._mode, None
        self._drain_filler()
        if mode == ConnectMode.BLOCKING:
            with contextlib.suppress(OSError):  # the program is gone; the hang-up tells
                self.end.send(CONNECTED.pack(self._outcome()))

    def _outcome(self) -> int:
        """The errno of the connect under way, 0 when it has succeeded: what a second call says."""
        try:
            self.socket.connect(self._target)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def _drain_filler(self) -> None:
        """Read what only kept the descriptor from polling writable; its last byte is the new pledge."""
        filler, self._filler = self._filler, 0
        while filler:
            filler -= len(self.end.recv(filler))

    # events

    def on_event(self, events: int) -> None:
        if events & HUNG_UP:
            self._program_gone = self._program_eof = True
            if self.end.getsockopt(kernel.SOL_SOCKET, kernel.SO_ERROR) == errno.ECONNRESET:
                self.abandon()
                return
        elif events & HALF_CLOSED:
            self._program_eof = True
        if events & OUT:
            self.wait_for_room(False)
            self._to_program()
        if events & (IN | HALF_CLOSED | HUNG_UP) and self._mode is None:
            self._from_program()

    def on_socket(self) -> None:
        socket = self.socket
        if self._mode is not None or self._filler:
            if socket.connecting:
                return
            self._connect_decided()
        if not socket.connected and (socket.outcome_due or not socket.error):
            return  # the program asks how its connect went
        if socket.received or socket.at_end or socket.error:
            self._to_program()
        if (self._stalled or self._program_eof) and self.end.fileno() >= 0:
            self._from_program()

    def abandon(self) -> None:
        """The program left data unread: a reset tells the peer (RFC 1122 §4.2.2.13)."""
        self.leave()
        self.socket.abort()

    # from the program to the peer

    def _from_program(self) -> None:
        socket, end = self.socket, self.end
        while (waiting := waiting_bytes(end) - 1) > 0:
            connection = socket.connection
            if connection is not None and send_memory.takes(connection, waiting):
                self._stalled = False
                size = waiting
            else:
                room = socket.room
                worthwhile = min(waiting, WORTHWHILE, socket.options.notsent_low_water // 2 or WORTHWHILE)
                self._stalled = room < worthwhile and (room <= 0 or socket.unacknowledged > 0)
                if self._stalled:
                    return  # on_socket comes back when there is room
                size = min(waiting, room, READ_SIZE)
            data = memoryview(bytearray(size + 1))
            size = end.recv_into(data, size)  # less at an urgent mark
            end.recv_into(data[size:], 1, kernel.MSG_PEEK)
            socket.write(data[1 : size + 1])
            if size == waiting < FEW:
                break  # what comes later brings an event of its own
        if self._program_gone:
            self._part()
        elif self._program_eof:
            if not socket.write_ended:
                socket.shutdown(kernel.SHUT_WR)
            self._part_when_done()

    def send_urgent(self, data: bytes) -> int:
        """A program's MSG_OOB: after all that it wrote before; how many bytes were taken. Raises what send does."""
        if self._mode is None:
            self._from_program()
        if self._mode is not None or waiting_bytes(self.end) > 1:
            raise BlockingIOError(errno.EAGAIN, "earlier data wait")
        return self.socket.send(data, MSG_OOB)

    def _part_when_done(self) -> None:
        """Both directions have ended: the descriptor has nothing more to say. (It would say that it is hung up, too, so
        that the program's close could not be told from it.) A program that lingers in close waits for the hang-up."""
        socket = self.socket
        if socket.unacknowledged == 0 if socket.lingering else self._eof_sent:
            self._part()

    def _part(self) -> None:
        """Let go of the descriptor without a reset, and leave the rest of the connection to TCP."""
        self.end.recv(1)  # the pledge
        self.leave()
        self.socket.close()

    # from the peer to the program

    def _to_program(self) -> None:
        socket = self.socket
        if self.waiting_for_room:
            return
        queue = socket.received
        while queue:
            buffers = list(islice(queue, WRITE_BUFFERS))
            try:
                written = self.end.sendmsg(buffers)
            except BlockingIOError:
                self.wait_for_room(True)
                return
            except OSError:  # the program reads no more (SHUT_RD, or it is gone, which the hang-up tells)
                socket.consume(socket.readable)
                break
            socket.consume(written)
        if socket.error:
            self._deliver_reset()
        elif socket.at_end and not self._eof_sent:
            self._eof_sent = True
            if self._program_eof:
                self._from_program()
            else:
                self.end.shutdown(kernel.SHUT_WR)

    def _deliver_reset(self) -> None:
        """The connection has died: the pledge makes ECONNRESET of our closing; the cause is told on request."""
        self.server.remember_cause(self.inode, self.socket.take_error())
        self.leave()
        self.socket.close()
