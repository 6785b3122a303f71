"""The program that a script plays on this stack: its descriptors, and what it means for a call to wait."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from ...stack.calls import StreamSocket
from ...transport.errors import error
from ...transport.tcp.state import OPENING, State
from .epoll import Epoll
from .opened import Descriptor, Opened
from .program import Program
from .values import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .configuration import Configuration
    from .flows import Flows
    from .stack_machine import StackMachine
    from .syntax import Expression

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
        #: What it has opened by name.
        self.files: dict[str, bytearray] = {}
        #: The descriptors that it would not leave to another program (FD_CLOEXEC).
        self.closing_on_exec: frozenset[int] = frozenset()
        #: The capabilities that it has given up.
        self.lacking: frozenset[int] = frozenset()

    def opened(self, expression: Expression) -> Opened:
        """Raises OSError EBADF."""
        found = self.table.get(number(expression))
        if found is None:
            raise error(errno.EBADF)
        return found

    def descriptor(self, expression: Expression) -> Descriptor:
        """Raises OSError EBADF, ENOTSOCK."""
        found = self.opened(expression)
        if not isinstance(found, Descriptor):
            raise error(errno.ENOTSOCK)
        return found

    def epoll(self, expression: Expression) -> Epoll:
        """Raises OSError EBADF, EINVAL."""
        found = self.opened(expression)
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


_UNFINISHED: Final = OPENING | {State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK}


def is_finishing(stream: StreamSocket) -> bool:
    """Whether the connection still has something to tell the peer (for SO_LINGER)."""
    return stream.connection is not None and stream.connection.state in _UNFINISHED
