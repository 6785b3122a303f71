"""Each error comes to a program as on the kernel: every test runs on both."""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest

from .firewall import rule
from .sides import HERE, NOBODY, PATIENCE, THERE, Side, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.live

#: Outside of every network that the program's host knows.
ELSEWHERE = "192.0.2.1"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def failure(call: Callable[..., Any], *arguments: Any) -> str:
    """The name of the errno that a call ends with."""
    with pytest.raises(OSError) as caught:
        call(*arguments)
    return _name(caught.value)


def _name(error: OSError) -> str:
    return "EOPNOTSUPP" if error.errno == errno.EOPNOTSUPP else errno.errorcode.get(error.errno or 0, repr(error))


def closed_port(side: Side) -> tuple[str, int]:
    with side.peer.listen(THERE) as listener:
        address: tuple[str, int] = listener.getsockname()
    return address


@pytest.fixture
def pair(side: Side) -> Any:
    """A connection: the program's end, and the peer's."""
    with side.peer.listen(THERE) as listener, side.program.connect(listener.getsockname()) as program:
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(PATIENCE)
            yield program, peer


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_names_that_cannot_be_had(side: Side, kind: int) -> None:
    with side.program.socket(kind) as one, side.program.socket(kind) as other:
        assert failure(one.bind, (THERE, 0)) == "EADDRNOTAVAIL"
        one.bind((HERE, 0))
        assert failure(one.bind, (HERE, 0)) == "EINVAL"
        assert failure(other.bind, one.getsockname()) == "EADDRINUSE"
        assert failure(other.bind, ("0.0.0.0", one.getsockname()[1])) == "EADDRINUSE"


def test_no_route(side: Side) -> None:
    with side.program.socket() as stream, side.program.socket(socket.SOCK_DGRAM) as datagrams:
        assert failure(stream.connect, (ELSEWHERE, 80)) == "ENETUNREACH"
        assert failure(datagrams.sendto, b"x", (ELSEWHERE, 80)) == "ENETUNREACH"
        assert failure(datagrams.connect, (ELSEWHERE, 80)) == "ENETUNREACH"
        stream.setblocking(False)
        assert failure(stream.connect, (ELSEWHERE, 80)) == "ENETUNREACH"


def test_nobody_answers_for_the_address(side: Side) -> None:
    with side.program.socket() as stream, side.program.socket() as other:
        other.setblocking(False)
        assert failure(other.connect, (NOBODY, 80)) == "EINPROGRESS"
        start = time.monotonic()
        assert failure(stream.connect, (NOBODY, 80)) == "EHOSTUNREACH"
        assert time.monotonic() - start > 1
        poll = select.poll()
        poll.register(other, select.POLLOUT)
        assert poll.poll(PATIENCE * 1000)
        assert other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EHOSTUNREACH


def test_refused(side: Side) -> None:
    address = closed_port(side)
    with side.program.socket() as stream, side.program.socket(socket.SOCK_DGRAM) as datagrams:
        assert failure(stream.connect, address) == "ECONNREFUSED"
        datagrams.connect(address)
        datagrams.send(b"anybody?")
        assert failure(datagrams.recv, 10) == "ECONNREFUSED"
    with side.program.socket() as stream:
        stream.setblocking(False)
        assert failure(stream.connect, address) == "EINPROGRESS"
        told = {errno.EALREADY}
        eventually(lambda: told.add(stream.connect_ex(address)) or told - {errno.EALREADY})
        assert told - {errno.EALREADY} == {errno.ECONNREFUSED}


def test_refused_by_a_send(side: Side) -> None:
    with side.program.socket(socket.SOCK_DGRAM) as datagrams:
        datagrams.connect(closed_port(side))
        datagrams.send(b"anybody?")
        poll = select.poll()
        poll.register(datagrams, select.POLLIN)
        assert poll.poll(PATIENCE * 1000)
        assert failure(datagrams.send, b"anybody?") == "ECONNREFUSED"


def test_a_silent_port(side: Side) -> None:
    with (
        side.peer.listen(THERE) as listener,
        side.program.socket() as stream,
        side.program.socket() as impatient,
        rule(side.peer.namespace, "meta l4proto tcp"),
    ):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        impatient.settimeout(0.2)
        with pytest.raises(TimeoutError) as caught:
            impatient.connect(listener.getsockname())
        assert caught.value.errno is None
        assert failure(stream.connect, listener.getsockname()) == "ETIMEDOUT"


def test_a_peer_that_vanishes(side: Side, pair: Any) -> None:
    program, _ = pair
    program.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 800)
    with rule(side.peer.namespace, "meta l4proto tcp"):
        program.sendall(b"x")
        assert failure(program.recv, 1) == "ETIMEDOUT"
        assert program.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert failure(program.send, b"x") == "EPIPE"


def test_keepalive_notices_a_peer_that_vanished(side: Side, pair: Any) -> None:
    program, _ = pair
    program.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
        program.setsockopt(socket.IPPROTO_TCP, option, 1)
    with rule(side.peer.namespace, "meta l4proto tcp"):
        assert failure(program.recv, 1) == "ETIMEDOUT"


def test_reset_by_the_peer(pair: Any) -> None:
    program, peer = pair
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    peer.sendall(b"last words")
    assert program.recv(100, socket.MSG_PEEK) == b"last words"
    peer.close()
    poll = select.poll()
    poll.register(program, select.POLLIN)
    eventually(lambda: poll.poll(0) and poll.poll(0)[0][1] & select.POLLHUP)
    with pytest.raises(ConnectionResetError):
        while program.recv(100):
            pass
    assert failure(program.send, b"x") == "EPIPE"
    assert failure(program.getpeername) == "ENOTCONN"
    assert program.recv(1) == b""


def test_an_error_is_told_once(pair: Any) -> None:
    program, peer = pair
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    peer.close()
    poll = select.poll()
    poll.register(program, select.POLLIN)
    eventually(lambda: poll.poll(0) and poll.poll(0)[0][1] & select.POLLHUP)
    assert failure(program.send, b"x") == "ECONNRESET"
    assert program.recv(1) == b""
    assert program.recv_into(bytearray(1)) == 0
    assert program.recvmsg(1)[0] == b""
    assert failure(program.sendmsg, [b"x"]) == "EPIPE"
    assert program.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_reset_of_the_peer(pair: Any) -> None:
    program, peer = pair
    program.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    program.close()
    assert failure(peer.recv, 1) == "ECONNRESET"


def test_closing_with_unread_data_resets(pair: Any) -> None:
    program, peer = pair
    peer.sendall(b"never read")
    assert program.recv(5) == b"never"
    program.close()
    assert failure(peer.recv, 1) == "ECONNRESET"


def test_writing_to_a_peer_that_is_gone(pair: Any) -> None:
    program, peer = pair
    peer.close()
    assert program.recv(1) == b""
    program.send(b"x")  # is answered by a reset
    assert eventually(lambda: _fails_to_send(program)) == "EPIPE"


def _fails_to_send(one: Any) -> str:
    try:
        one.send(b"x")
    except OSError as error:
        return _name(error)
    return ""


def test_writing_after_shutdown(pair: Any) -> None:
    program, peer = pair
    program.shutdown(socket.SHUT_WR)
    assert failure(program.send, b"x") == "EPIPE"
    assert peer.recv(1) == b""
    peer.sendall(b"still here")
    assert program.recv(100) == b"still here"


def test_not_connected(side: Side) -> None:
    with side.program.socket() as stream:
        assert failure(stream.recv, 1) == "ENOTCONN"
        assert failure(stream.send, b"x") == "EPIPE"
        assert failure(stream.getpeername) == "ENOTCONN"
        assert failure(stream.shutdown, socket.SHUT_RDWR) == "ENOTCONN"
        assert failure(stream.accept) == "EINVAL"
    with side.program.socket(socket.SOCK_DGRAM) as datagrams:
        assert failure(datagrams.send, b"x") == "EDESTADDRREQ"
        assert failure(datagrams.getpeername) == "ENOTCONN"
        assert failure(datagrams.listen) == "EOPNOTSUPP"
        assert failure(datagrams.sendto, bytes(65508), (THERE, 9)) == "EMSGSIZE"
        assert failure(datagrams.sendto, b"x", ("10.77.0.255", 9)) == "EACCES"


def test_connected_already(pair: Any) -> None:
    program, peer = pair
    program.connect_ex(peer.getsockname())  # Linux: a connect with a time-out is over only when it is asked about
    assert failure(program.connect, peer.getsockname()) == "EISCONN"
    assert failure(program.listen) == "EINVAL"


def test_a_connect_under_way(side: Side) -> None:
    with side.peer.listen(THERE) as listener, side.program.socket() as stream:
        stream.setblocking(False)
        with rule(side.peer.namespace, "meta l4proto tcp"):
            assert failure(stream.connect, listener.getsockname()) == "EINPROGRESS"
            assert failure(stream.connect, listener.getsockname()) == "EALREADY"
            assert failure(stream.recv, 1) == "EAGAIN"
            assert failure(stream.send, b"x") == "EAGAIN"
            assert failure(stream.getpeername) == "ENOTCONN"
            poll = select.poll()
            poll.register(stream)
            assert poll.poll(0) == []
        assert poll.poll(PATIENCE * 1000) == [(stream.fileno(), select.POLLOUT)]
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert stream.connect_ex(listener.getsockname()) in (0, errno.EISCONN)
        assert failure(stream.connect, listener.getsockname()) == "EISCONN"


EXHAUST = """
import errno, os, resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
listener = socket.create_server(("10.77.0.2", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.readline()
listener.settimeout(20)
held = []
try:
    while True:
        held.append(socket.socket())
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
try:
    listener.accept()
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
while held:
    held.pop().close()
connection, _ = listener.accept()  # it waited
print(connection.recv(10).decode(), flush=True)
"""


def test_a_program_without_descriptors(side: Side) -> None:
    with side.program.start("-c", EXHAUST) as process:
        assert process.stdout
        assert process.stdin
        port = int(process.stdout.readline())
        with side.peer.connect((HERE, port)) as connection:
            connection.sendall(b"patience")
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.read().split() == ["EMFILE", "EMFILE", "patience"]
