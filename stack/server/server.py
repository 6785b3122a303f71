"""The stack's process: one host, its engine, and the programs that have sockets on it."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket as kernel
from collections import Counter, OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine import Engine
from .connection import ControlConnection
from .gate import IN
from .listener import RETRY

if TYPE_CHECKING:
    from types import FrameType

    from ..host import Host
    from .gate import Gate

#: How many dead connections are remembered with what they died of, for programs that ask later.
CAUSES_REMEMBERED = 4096


class StackServer:
    """Serves the sockets of ``host`` at ``path``, a socket file that only this user may open.

    Raises OSError(EADDRINUSE) when a stack serves there already; a file that a killed stack left is replaced.
    """

    def __init__(self, host: Host, path: str) -> None:
        self.host = host
        self.path = path
        self.calls = host.calls
        self.engine = Engine(host)
        #: What the gates drop, by reason.
        self.counters: Counter[str] = Counter()
        self.gates: dict[int, Gate[Any]] = {}
        self.connections: set[ControlConnection] = set()
        self.causes: OrderedDict[int, int] = OrderedDict()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.engine.register(self._wake_reader, IN, lambda _: self.engine.stop())
        self._listener = _listen_at(path)
        self.engine.register(self._listener.fileno(), IN, self._welcome)
        _take_all_descriptors()

    def run(self) -> None:
        """Serve until ``stop``, SIGINT or SIGTERM; then close everything and remove the socket file."""
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.engine.run()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            self.close()

    def stop(self) -> None:
        """End ``run``; safe from any thread and from signal handlers."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_writer, b"\0")

    def close(self) -> None:
        Path(self.path).unlink(missing_ok=True)
        for connection in list(self.connections):
            connection.close()
        for gate in list(self.gates.values()):
            gate.leave()
            gate.socket.linger = 0
            gate.socket.close()
        self.host.pump()  # the resets leave
        self.engine.unregister(self._listener.fileno())
        self._listener.close()
        self.engine.unregister(self._wake_reader)
        os.close(self._wake_reader)
        os.close(self._wake_writer)
        self.engine.close()

    def remember_cause(self, inode: int, error: int) -> None:
        """A connection has died of ``error``; its programs may ask for that."""
        self.causes[inode] = error
        self.causes.move_to_end(inode)
        if len(self.causes) > CAUSES_REMEMBERED:
            self.causes.popitem(last=False)

    def _welcome(self, _: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # out of descriptors: look again when some may have come free
            self.engine.modify(self._listener.fileno(), 0)
            self.host.scheduler.call_later(RETRY, lambda: self.engine.modify(self._listener.fileno(), IN))
            return
        ControlConnection(self, connection)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()


def _listen_at(path: str) -> kernel.socket:
    listener = kernel.socket(kernel.AF_UNIX, kernel.SOCK_SEQPACKET | kernel.SOCK_NONBLOCK)
    try:
        if _is_dead(path):
            Path(path).unlink()
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(128)
    except OSError as error:
        listener.close()
        # Python has a sentence, and no errno, of its own for a path that does not fit in a sockaddr_un.
        reason = error.strerror or str(error)
        raise OSError(error.errno or errno.ENAMETOOLONG, f"cannot serve at {path}: {reason}") from None
    return listener


def _is_dead(path: str) -> bool:
    """Whether ``path`` is a socket file that nobody serves any more."""
    if not Path(path).is_socket():
        return False
    with kernel.socket(kernel.AF_UNIX, kernel.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        return False


def _take_all_descriptors() -> None:
    """Each socket of each program takes one descriptor here: use as many as the system grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
