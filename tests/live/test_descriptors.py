"""Sockets are descriptors: they can be duplicated, inherited, handed on, waited for, and read by those who know no
sockets at all. Every test runs on both kernels."""

from __future__ import annotations

import array
import os
import select
import selectors
import socket
from typing import TYPE_CHECKING, Any

import pytest

from .sides import HERE, PATIENCE, THERE, read_all

if TYPE_CHECKING:
    from pathlib import Path

    from .sides import Side

pytestmark = pytest.mark.live


@pytest.fixture
def pair(side: Side) -> Any:
    """A connection: the program's end, and the peer's."""
    with side.peer.listen(THERE) as listener, side.program.connect(listener.getsockname()) as program:
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(PATIENCE)
            yield program, peer


INHERITED = """
import os, socket, sys
connection = socket.socket(fileno=int(sys.argv[1]))
assert connection.family == socket.AF_INET and connection.type == socket.SOCK_STREAM, connection
assert connection.getpeername()[0] == "10.77.0.1" and connection.getsockname()[0] == "10.77.0.2"
connection.sendall(connection.recv(100)[::-1])
"""


def test_inherited_by_another_program(side: Side, pair: Any) -> None:
    program, peer = pair
    with side.program.start("-c", INHERITED, str(program.fileno()), pass_fds=[program.fileno()]) as process:
        program.close()
        peer.sendall(b"straw")
        assert read_all(peer) == b"warts"
        assert process.wait(PATIENCE) == 0


LISTENER = """
import socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
connection, address = listener.accept()
assert address == connection.getpeername()
connection.sendall(b"from a child")
"""


def test_an_inherited_listener(side: Side) -> None:
    with (
        side.program.listen(HERE) as listener,
        side.program.start("-c", LISTENER, str(listener.fileno()), pass_fds=[listener.fileno()]) as process,
        side.peer.connect(listener.getsockname()) as client,
    ):
        assert read_all(client) == b"from a child"
        assert process.wait(PATIENCE) == 0


HANDED_ON = """
import socket, sys
with socket.socket(socket.AF_UNIX) as way:
    way.connect(sys.argv[1])
    _, descriptors, _, _ = socket.recv_fds(way, 10, 1)
with socket.socket(fileno=descriptors[0]) as connection:
    connection.sendall(b"%d" % connection.getpeername()[1])
"""


def test_handed_on_to_a_stranger(side: Side, pair: Any, tmp_path: Path) -> None:
    program, peer = pair
    with socket.socket(socket.AF_UNIX) as way:
        way.bind(str(tmp_path / "way"))
        way.listen()
        with side.program.start("-c", HANDED_ON, tmp_path / "way") as process:
            stranger, _ = way.accept()
            with stranger:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [program.fileno()]))
                stranger.sendmsg([b"x"], [rights])
            program.close()
            assert read_all(peer) == b"%d" % peer.getsockname()[1]
            assert process.wait(PATIENCE) == 0


WORKERS = """
import multiprocessing, socket, sys

def work(connection):
    with connection:
        connection.sendall(connection.recv(100).upper())

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    with socket.create_server(("10.77.0.2", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
    worker = multiprocessing.Process(target=work, args=(connection,))
    worker.start()
    connection.close()
    worker.join()
    assert worker.exitcode == 0
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_takes_sockets_as_arguments(side: Side, method: str, tmp_path: Path) -> None:
    (tmp_path / "workers.py").write_text(WORKERS)
    with side.program.start(tmp_path / "workers.py", method) as process:
        assert process.stdout
        with side.peer.connect((HERE, int(process.stdout.readline()))) as client:
            client.sendall(b"quiet")
            assert read_all(client) == b"QUIET"
        assert process.wait(PATIENCE) == 0


def test_duplicates_share_the_connection(pair: Any) -> None:
    program, peer = pair
    other = program.dup()
    assert other.getsockname() == program.getsockname()
    program.close()
    other.settimeout(PATIENCE)
    peer.sendall(b"hello")
    assert other.recv(10) == b"hello"
    descriptor = other.detach()
    os.write(descriptor, b"written")
    assert peer.recv(10) == b"written"
    os.close(descriptor)
    assert peer.recv(10) == b""


def test_sendfile(pair: Any, tmp_path: Path) -> None:
    program, peer = pair
    (tmp_path / "file").write_bytes(os.urandom(20_000))
    with open(tmp_path / "file", "rb") as file:
        assert program.sendfile(file) == 20_000
        assert os.sendfile(program.fileno(), file.fileno(), 10, 100) == 100
    program.shutdown(socket.SHUT_WR)
    content = (tmp_path / "file").read_bytes()
    assert read_all(peer) == content + content[10:110]


def test_files_of_lines(pair: Any) -> None:
    program, peer = pair
    with program.makefile("rw", newline="\n") as ours, peer.makefile("rw", newline="\n") as theirs:
        for number in range(100):
            ours.write(f"line {number}\n")
            ours.flush()
            assert theirs.readline() == f"line {number}\n"
            theirs.write(f"{number} read\n")
            theirs.flush()
            assert ours.readline() == f"{number} read\n"


def test_select_poll_and_epoll(pair: Any) -> None:
    program, peer = pair
    poll, epoll = select.poll(), select.epoll()
    poll.register(program, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
    epoll.register(program, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP)
    with epoll:

        def ready(bits: int) -> None:
            reads = bool(bits & select.POLLIN)
            assert select.select([program], [], [], PATIENCE if reads else 0)[0] == [program] * reads
            assert epoll.poll(0) == [(program.fileno(), bits)]
            assert poll.poll(0) == [(program.fileno(), bits)]

        ready(select.POLLOUT)
        peer.sendall(b"x")
        ready(select.POLLIN | select.POLLOUT)
        program.recv(1)
        ready(select.POLLOUT)
        peer.shutdown(socket.SHUT_WR)
        ready(select.POLLIN | select.POLLOUT | select.POLLRDHUP)
        program.shutdown(socket.SHUT_WR)
        assert program.recv(1) == b""


def test_selectors_tell_of_a_connection_to_accept(side: Side) -> None:
    with side.program.listen(HERE) as listener, selectors.DefaultSelector() as selector:
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ)
        assert selector.select(0) == []
        with pytest.raises(BlockingIOError):
            listener.accept()
        with side.peer.connect(listener.getsockname()) as client:
            assert selector.select(PATIENCE)
            connection, address = listener.accept()
            with connection:
                assert address == client.getsockname()
                assert selector.select(0) == []
