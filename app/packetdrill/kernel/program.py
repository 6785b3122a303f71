"""The program that a script plays on the kernel: its own descriptors behind the script's numbers."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ..errors import Mismatch
from ..program import Program
from ..values import number
from . import system
from .calls import CALLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..configuration import Configuration
    from ..flows import Flows
    from ..program import Waiting
    from ..syntax import Call, Expression
    from .machine import KernelMachine
    from .system import Opened

#: How long a call may take that is said not to wait, in seconds.
_AT_ONCE: Final = 0.5


class KernelProgram(Program):
    """Calls that may wait are made in a thread each."""

    def __init__(self, machine: KernelMachine, flows: Flows, configuration: Configuration) -> None:
        super().__init__(machine, flows, configuration, CALLS)
        self.machine = machine
        self.table: dict[int, int] = {}

    def descriptor(self, expression: Expression) -> int:
        """This process's number for the script's; -1 for one that is not open."""
        return self.table.get(number(expression), -1)

    def open(self, number: int, opened: Opened) -> None:
        self.table[number] = opened.descriptor

    def start(self, call: Call) -> Any:
        if call.until is not None:
            return self._in_thread(call)
        with _limited(call.name):
            return self.make(call)

    def _in_thread(self, call: Call) -> Waiting:
        answer: list[tuple[bool, Any]] = []

        def work() -> None:
            try:
                answer.append((True, self.make(call)))
            except Exception as failure:
                answer.append((False, failure))
            self.machine.wake()

        threading.Thread(target=work, daemon=True).start()
        while not answer:
            yield None
        ok, result = answer[0]
        if not ok:
            raise result
        return result

    def under_test(self) -> _Stream | None:
        flow = self.flows.current
        found = None
        for descriptor in self.table.values():
            stream = _Stream(descriptor)
            if stream.is_stream():
                found = stream
                if flow and stream.ports() == (flow.local_port, flow.remote_port):
                    return found
        return found


class _Stream:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def getsockopt(self, level: int, option: int, /) -> bytes:
        return system.getsockopt(self._descriptor, level, option, 1024)

    def is_stream(self) -> bool:
        try:
            kind = self.getsockopt(system.SOL_SOCKET, system.SO_TYPE)
        except OSError:
            return False
        return kind[0] == system.SOCK_STREAM

    def ports(self) -> tuple[int, int] | None:
        try:
            return system.getsockname(self._descriptor)[1], system.getpeername(self._descriptor)[1]
        except OSError:
            return None


@contextmanager
def _limited(name: str) -> Iterator[None]:
    """Raise Mismatch if the call within takes long."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise Mismatch("the call waits", f"{name} returns at once")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, _AT_ONCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
