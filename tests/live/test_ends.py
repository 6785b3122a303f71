"""How connections end, and what happens to those that a killed process leaves behind."""

from __future__ import annotations

import socket
import struct
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from .sides import HERE, Side, eventually, read_all

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.live

RESET_ON_CLOSE = struct.pack("ii", 1, 0)

#: Accepts a connection, does what it is told in the words of its standard input, and never closes of its own accord.
PUPPET = """
import socket, sys, time
listener = socket.create_server(("10.77.0.2", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
listener.close()
print("accepted", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
time.sleep(60)
"""


class Puppet:
    """A program on a side, and the peer's end of its connection."""

    def __init__(self, side: Side, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self.process = process
        self._orders, self._answers = process.stdin, process.stdout
        self.peer = side.peer.connect((HERE, int(self._answers.readline())))
        assert self._answers.readline() == "accepted\n"

    def begin(self, order: str) -> None:
        self._orders.write(order + "\n")
        self._orders.flush()

    def finish(self) -> None:
        assert self._answers.readline() == "done\n"

    def do(self, order: str) -> None:
        self.begin(order)
        self.finish()


@pytest.fixture
def puppet(side: Side) -> Any:
    with side.program.start("-c", PUPPET) as process:
        puppet = Puppet(side, process)
        with puppet.peer:
            yield puppet


def test_half_close_by_the_program(puppet: Puppet) -> None:
    puppet.begin("connection.sendall(b'x' * 500000); connection.shutdown(socket.SHUT_WR)")
    assert read_all(puppet.peer) == b"x" * 500000
    puppet.finish()
    puppet.peer.sendall(b"still heard")
    puppet.do("assert connection.recv(100) == b'still heard'")
    puppet.peer.close()
    puppet.do("assert connection.recv(100) == b''")


def test_half_close_by_the_peer(puppet: Puppet) -> None:
    puppet.peer.sendall(b"y" * 100000)
    puppet.peer.shutdown(socket.SHUT_WR)
    puppet.do("assert b''.join(iter(lambda: connection.recv(65536), b'')) == b'y' * 100000")
    puppet.begin("connection.sendall(b'z' * 500000); connection.close()")
    assert read_all(puppet.peer) == b"z" * 500000
    puppet.finish()


def test_a_killed_program_closes(puppet: Puppet) -> None:
    puppet.do("connection.sendall(b'last words')")
    puppet.process.kill()
    assert read_all(puppet.peer) == b"last words"
    eventually(lambda: _sends_no_more(puppet.peer))


def test_a_killed_program_that_had_unread_data_resets(puppet: Puppet) -> None:
    puppet.peer.sendall(b"for nobody")
    puppet.do("connection.recv(1, socket.MSG_PEEK)")
    puppet.process.kill()
    with pytest.raises(ConnectionResetError):
        puppet.peer.recv(1)


def test_a_killed_program_delivers_what_it_wrote(puppet: Puppet) -> None:
    puppet.do("connection.setblocking(False); sent = connection.send(bytes(3000000)); assert sent > 50000")
    puppet.process.kill()
    puppet.process.wait()
    assert len(read_all(puppet.peer)) > 50000


def test_a_fork_keeps_the_connection_of_a_killed_program(puppet: Puppet) -> None:
    child = "connection.recv(1), connection.sendall(b'child'), os._exit(0)"
    puppet.do(f"import os; os.fork() or ({child})")
    puppet.process.kill()
    puppet.process.wait()
    puppet.peer.sendall(b"?")
    assert read_all(puppet.peer) == b"child"


def _sends_no_more(connection: Any) -> bool:
    try:
        connection.send(b"x")
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False
