"""The program that a script plays on this stack: its descriptors, and what it means for a call to wait."""

from __future__ import annotations

import errno
import sys
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from ...stack.calls import DatagramSocket, Socket, StreamSocket
from ...stack.calls import numbers as n
from ...transport.errors import error
from ...transport.tcp.state import OPENING, State
from .errors import Unsupported
from .program import Program
from .values import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .configuration import Configuration
    from .flows import Flows
    from .stack_machine import StackMachine
    from .syntax import Expression


class Descriptor:
    """An open socket."""

    __slots__ = ("changed_at", "changes", "nonblocking", "references", "socket")

    def __init__(self, socket: Socket, *, nonblocking: bool = False) -> None:
        self.socket = socket
        self.nonblocking = nonblocking
        #: How many of the program's descriptors stand for it.
        self.references = 1
        #: How often the network has changed what may be done with it: the edges of edge-triggered epoll.
        self.changes = 0
        #: When it last did, on `_moments`.
        self.changed_at = next(_moments)
        socket.observer = self._changed

    def _changed(self) -> None:
        self.changes += 1
        self.changed_at = next(_moments)

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


#: What happens first has a lower number.
_moments: Final = count()


class Epoll:
    """An epoll instance: by descriptor, the events asked for, the data, and what was reported before."""

    __slots__ = ("interests",)

    def __init__(self) -> None:
        self.interests: dict[int, Interest] = {}


class Interest:
    __slots__ = ("data", "events", "queued", "reported")

    def __init__(self, events: int, data: int) -> None:
        self.events = events
        self.data = data
        #: For an edge-triggered one: `Descriptor.changes` when it was last reported; -1 before.
        self.reported = -1
        #: Its place among what is ready, on `_moments`; -1: it is not among that.
        self.queued = -1

    def queue(self, changed_at: int | None = None) -> None:
        """It is ready since then; by default it is put behind all others."""
        self.queued = next(_moments) if changed_at is None else changed_at


class File:
    """A file that is open for reading."""

    __slots__ = ("content", "position")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0

    def read(self, size: int) -> bytes:
        found = self.content[self.position : self.position + size]
        self.position += len(found)
        return found

    def write(self, data: bytes) -> int:
        raise error(errno.EBADF)


class PipeEnd:
    """One end of a pipe: ``content`` is what waits in it. A call that would have to wait fails with EAGAIN."""

    __slots__ = ("content", "nonblocking", "writes")

    def __init__(self, content: bytearray, *, writes: bool, nonblocking: bool = False) -> None:
        self.content = content
        self.writes = writes
        self.nonblocking = nonblocking

    @property
    def room(self) -> int:
        return _PIPE_SIZE - len(self.content)

    def read(self, size: int) -> bytes:
        if self.writes:
            raise error(errno.EBADF)
        if not self.content and size:
            raise error(errno.EAGAIN)
        found = bytes(self.content[:size])
        del self.content[:size]
        return found

    def write(self, data: bytes) -> int:
        if not self.writes:
            raise error(errno.EBADF)
        if data and not self.room:
            raise error(errno.EAGAIN)
        taken = data[: self.room]
        self.content += taken
        return len(taken)


#: What a pipe holds, in bytes (pipe(7)).
_PIPE_SIZE: Final = 65536

Opened = Descriptor | Epoll | File | PipeEnd
Result = int | Opened


class Process(Program):
    """The script's process."""

    def __init__(
        self,
        machine: StackMachine,
        flows: Flows,
        configuration: Configuration,
        calls: Mapping[str, Callable[..., Any]],
    ) -> None:
        super().__init__(machine, flows, configuration, calls)
        self.machine = machine
        self.table: dict[int, Opened] = {}
        #: The descriptors that it would not leave to another program (FD_CLOEXEC).
        self.closing_on_exec: frozenset[int] = frozenset()
        #: The capabilities that it has given up.
        self.lacking: frozenset[int] = frozenset()

    def descriptor(self, expression: Expression) -> Descriptor:
        """Raises OSError EBADF, ENOTSOCK."""
        found = self.table.get(number(expression))
        if found is None:
            raise error(errno.EBADF)
        if not isinstance(found, Descriptor):
            raise error(errno.ENOTSOCK)
        return found

    def epoll(self, expression: Expression) -> Epoll:
        """Raises OSError EBADF, EINVAL."""
        found = self.table.get(number(expression))
        if found is None:
            raise error(errno.EBADF)
        if not isinstance(found, Epoll):
            raise error(errno.EINVAL)
        return found

    def open(self, number: int, opened: Opened) -> None:
        self.table[number] = opened

    def under_test(self) -> StreamSocket | None:
        flow = self.flows.current
        found = None
        for opened in self.table.values():
            if isinstance(opened, Descriptor) and isinstance(opened.socket, StreamSocket):
                found = opened.socket
                remote = found.remote
                if flow and remote and (found.getsockname()[1], remote[1]) == (flow.local_port, flow.remote_port):
                    return found
        return found


def is_datagram(descriptor: Descriptor) -> bool:
    return isinstance(descriptor.socket, DatagramSocket)


_UNFINISHED: Final = OPENING | {State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK}


def is_finishing(stream: StreamSocket) -> bool:
    """Whether the connection still has something to tell the peer (for SO_LINGER)."""
    return stream.connection is not None and stream.connection.state in _UNFINISHED
