"""A stack that ends, or is killed: no program hangs, and each is told what has happened."""

from __future__ import annotations

import errno
import select
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from netower.app.run import environment

from .sides import HERE, NOBODY, PATIENCE, THERE, Part, Side, cpu, eventually, running, tower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


pytestmark = pytest.mark.live

#: What a call may end with when the stack is gone.
GONE = {"ENETDOWN", "ECONNRESET", "EPIPE", b""}


@pytest.fixture(params=["SIGKILL", "SIGTERM"])
def mortal(request: pytest.FixtureRequest, namespace: int, tmp_path: Path) -> Iterator[tuple[Side, Callable[[], None]]]:
    """A side whose stack ends when told to."""
    with tower(namespace, tmp_path / "stack.sock") as side:
        assert side.stack
        process = side.stack.process

        def end() -> None:
            process.send_signal(getattr(signal, request.param))
            process.wait(PATIENCE)

        yield side, end


class Call(threading.Thread):
    """A call in a thread of its own, and what it ends with: its result or its errno's name."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        super().__init__(daemon=True)
        self._call = function, arguments
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        self.outcome = outcome(*self._call)


def outcome(function: Callable[..., Any], arguments: Any = ()) -> Any:
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))


def fill(connection: Any) -> None:
    while True:
        connection.send(bytes(1 << 16))


def wait_readable(endpoint: Any) -> None:
    poll = select.poll()
    poll.register(endpoint, select.POLLIN)
    poll.poll()


def test_no_call_hangs(mortal: tuple[Side, Callable[[], None]]) -> None:
    side, end = mortal
    with (
        side.peer.listen(THERE) as listener,
        side.program.connect(listener.getsockname()) as reading,
        side.program.connect(listener.getsockname()) as writing,
        side.program.listen(HERE) as accepting,
        side.program.socket() as connecting,
        side.program.datagrams(HERE) as datagrams,
        side.program.datagrams(HERE) as polled,
    ):
        accepted = [listener.accept()[0] for _ in range(2)]
        for one in reading, writing, accepting, connecting, datagrams:
            one.settimeout(None)
        calls = [
            Call(reading.recv, 1),
            Call(fill, writing),
            Call(accepting.accept),
            Call(connecting.connect, (NOBODY, 1)),
            Call(datagrams.recvfrom, 1),
            Call(wait_readable, polled),
        ]
        stack = side.stack
        assert stack
        eventually(lambda: any(row["state"] == "SYN-SENT" for row in stack.query("sockets")))
        end()
        for call in calls:
            call.join(PATIENCE)
            assert not call.is_alive()
        assert [call.outcome for call in calls[:-1] if call.outcome not in GONE] == []
        later = [
            outcome(reading.recv, (1,)),
            outcome(writing.send, (b"x",)),
            outcome(accepting.accept),
            outcome(connecting.connect, ((THERE, 1),)),
            outcome(datagrams.sendto, (b"x", (THERE, 1))),
            outcome(datagrams.getsockname),
            outcome(reading.setsockopt, (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)),
            outcome(side.program.socket),
        ]
        assert [told for told in later if told not in GONE] == []
        for one in accepted:
            one.close()


SERVE = """
import os, socketserver, sys
with socketserver.{kind}(("10.77.0.2", 0), socketserver.BaseRequestHandler) as server:
    print("serving", flush=True)
    server.serve_forever()
"""


@pytest.mark.parametrize("kind", ["TCPServer", "UDPServer"])
def test_a_server_that_goes_on_does_not_spin(namespace: int, tmp_path: Path, kind: str) -> None:
    with (
        running(tmp_path / "stack.sock") as stack,
        Part(None, namespace, environment(stack.path)).start("-c", SERVE.format(kind=kind)) as server,
    ):
        assert server.stdout
        assert server.stdout.readline() == "serving\n"
        stack.process.kill()
        stack.process.wait()
        before = cpu(server.pid)
        time.sleep(1)
        assert server.poll() is None
        assert cpu(server.pid) - before < 0.5


PREFORK = """
import errno, os, socket, sys
with socket.create_server(("10.77.0.2", 0)) as listener:
    child = os.fork()
    if child == 0:
        try:
            listener.accept()
        except OSError as error:
            os.write(1, errno.errorcode[error.errno].encode() + b"\\n")
        os._exit(0)
    print("serving", flush=True)
    os.waitpid(child, 0)
"""


def test_a_forked_child_that_never_spoke_to_the_stack_is_told(namespace: int, tmp_path: Path) -> None:
    with (
        running(tmp_path / "stack.sock") as stack,
        Part(None, namespace, environment(stack.path)).start("-c", PREFORK) as server,
    ):
        assert server.stdout
        assert server.stdout.readline() == "serving\n"
        stack.process.kill()
        assert server.communicate(timeout=PATIENCE)[0].split() == ["ENETDOWN"]
