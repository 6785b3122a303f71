"""Stream sockets: what a program sees is the same on the kernel and on the stack."""

from __future__ import annotations

import errno
import os
import select
import struct
import threading
import time
from typing import Any

import pytest


def raised(call: Any, *arguments: Any) -> int:
    """The errno that a call raises, 0 if none."""
    try:
        call(*arguments)
    except OSError as error:
        return error.errno or -1
    return 0


def receive_all(end: Any) -> bytes:
    parts = []
    while part := end.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def test_names(sockets: Any, listener: Any) -> None:
    with sockets.create_connection(listener.getsockname()) as client:
        accepted, address = listener.accept()
        with accepted:
            assert address == client.getsockname() == accepted.getpeername()
            assert client.getpeername() == accepted.getsockname() == listener.getsockname()
            assert (accepted.family, accepted.type) == (sockets.AF_INET, sockets.SOCK_STREAM)


def test_bytes_both_ways(pair: Any) -> None:
    client, server = pair
    client.sendall(b"question")
    assert server.recv(100) == b"question"
    server.sendall(b"answer")
    assert client.recv(3, 0) == b"ans"
    buffer = bytearray(10)
    assert client.recv_into(buffer) == 3
    assert buffer[:3] == b"wer"


def test_large_transfer_with_half_close(pair: Any) -> None:
    client, server = pair
    data = os.urandom(3 << 20)
    echoed = []

    def echo() -> None:
        server.sendall(receive_all(server))
        server.shutdown(1)

    thread = threading.Thread(target=echo)
    thread.start()
    client.sendall(data)
    client.shutdown(1)
    echoed = receive_all(client)
    thread.join()
    assert echoed == data


def test_makefile(pair: Any) -> None:
    client, server = pair
    with server.makefile("rw", newline="\n") as file, client.makefile("rb") as reader:
        client.sendall(b"GET\n")
        assert file.readline() == "GET\n"
        file.write("ok\n")
        file.flush()
        assert reader.readline() == b"ok\n"


def test_peek_and_waitall(sockets: Any, pair: Any) -> None:
    client, server = pair
    client.sendall(b"abc")
    assert server.recv(10, sockets.MSG_PEEK) == b"abc"
    server.settimeout(None)
    timer = threading.Timer(0.05, client.sendall, [b"def"])
    timer.start()
    assert server.recv(6, sockets.MSG_WAITALL) == b"abcdef"
    timer.join()


def test_sendfile(pair: Any, tmp_path: Any) -> None:
    client, server = pair
    (tmp_path / "file").write_bytes(b"x" * 10000)
    with open(tmp_path / "file", "rb") as file:
        assert client.sendfile(file) == 10000
    client.shutdown(1)
    assert receive_all(server) == b"x" * 10000


def test_refused(sockets: Any, listener: Any) -> None:
    address = listener.getsockname()
    listener.close()
    with sockets.socket() as client:
        assert raised(client.connect, address) == errno.ECONNREFUSED
    with sockets.socket() as client:
        assert client.connect_ex(address) == errno.ECONNREFUSED


def test_unconnected(sockets: Any) -> None:
    with sockets.socket() as fresh:
        assert raised(fresh.recv, 1) == errno.ENOTCONN
        assert raised(fresh.send, b"x") == errno.EPIPE
        assert raised(fresh.getpeername) == errno.ENOTCONN
        assert raised(fresh.shutdown, 1) == errno.ENOTCONN
        assert raised(fresh.accept) == errno.EINVAL
        assert fresh.getsockname() == ("0.0.0.0", 0)


def test_connect_twice(sockets: Any, listener: Any) -> None:
    with sockets.socket() as client:
        client.connect(listener.getsockname())
        assert raised(client.connect, listener.getsockname()) == errno.EISCONN


def test_bind_errors(sockets: Any, listener: Any) -> None:
    with sockets.socket() as other:
        assert raised(other.bind, listener.getsockname()) == errno.EADDRINUSE
        assert raised(other.bind, ("192.0.2.1", 0)) == errno.EADDRNOTAVAIL
        other.bind(("127.0.0.1", 0))
        assert raised(other.bind, ("127.0.0.1", 0)) == errno.EINVAL
    with pytest.raises(OverflowError), sockets.socket() as other:
        other.bind(("127.0.0.1", 70000))
    with pytest.raises(TypeError), sockets.socket() as other:
        other.bind("127.0.0.1")
    with sockets.socket() as closed:
        pass
    assert raised(closed.bind, ("127.0.0.1", 0)) == errno.EBADF


def test_timeout(pair: Any, listener: Any) -> None:
    client, _ = pair
    client.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.recv(1)
    listener.settimeout(0.05)
    with pytest.raises(TimeoutError):
        listener.accept()


def test_non_blocking(sockets: Any, listener: Any) -> None:
    with sockets.socket() as client:
        client.setblocking(False)
        assert client.connect_ex(listener.getsockname()) in (errno.EINPROGRESS, 0)
        assert select.select([], [client], [], 5)[1] == [client]
        assert client.getsockopt(sockets.SOL_SOCKET, sockets.SO_ERROR) == 0
        assert client.connect_ex(listener.getsockname()) in (0, errno.EISCONN)
        assert raised(client.recv, 1) == errno.EAGAIN
        accepted, _ = listener.accept()
        with accepted:
            sent = 0
            with pytest.raises(BlockingIOError):
                while True:
                    sent += client.send(bytes(1 << 16))
            assert sent > 100_000
            assert select.select([], [client], [], 0)[1] == []
            received = 0
            while received < sent:
                received += len(accepted.recv(1 << 20))
            assert select.select([], [client], [], 5)[1] == [client]


def test_non_blocking_refusal(sockets: Any, listener: Any) -> None:
    address = listener.getsockname()
    listener.close()
    with sockets.socket() as client:
        client.setblocking(False)
        if client.connect_ex(address) == errno.EINPROGRESS:
            assert select.select([], [client], [], 5)[1] == [client]
            assert client.getsockopt(sockets.SOL_SOCKET, sockets.SO_ERROR) == errno.ECONNREFUSED
            assert client.getsockopt(sockets.SOL_SOCKET, sockets.SO_ERROR) == 0


def test_poll_of_a_listener_and_a_connection(sockets: Any, listener: Any) -> None:
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    assert poll.poll(0) == []
    with sockets.create_connection(listener.getsockname()) as client:
        assert poll.poll(5) == [(listener.fileno(), select.EPOLLIN)]
        accepted, _ = listener.accept()
        poll.register(accepted, select.EPOLLIN | select.EPOLLRDHUP)
        client.shutdown(1)
        assert poll.poll(5) == [(accepted.fileno(), select.EPOLLIN | select.EPOLLRDHUP)]
        accepted.close()
    poll.close()


def test_reset_by_closing_with_unread_data(pair: Any) -> None:
    client, server = pair
    client.sendall(b"never read")
    select.select([server], [], [], 5)
    server.close()
    with pytest.raises(ConnectionResetError):
        client.recv(10)


def test_reset_by_linger_zero_comes_after_the_data(sockets: Any, pair: Any) -> None:
    client, server = pair
    server.sendall(b"last words")
    select.select([client], [], [], 5)
    server.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
    time.sleep(0.05)  # the reset has no other sign than what recv says
    first = raised(client.recv, 100)
    assert first in (0, errno.ECONNRESET)
    if first == 0:
        assert raised(client.recv, 100) == errno.ECONNRESET


def test_broken_pipe(pair: Any) -> None:
    client, server = pair
    server.close()
    assert client.recv(1) == b""
    with pytest.raises(ConnectionError):
        for _ in range(100):
            client.sendall(b"is anyone there?")
            time.sleep(0.01)


def test_linger_returns_when_all_is_acknowledged(sockets: Any, pair: Any) -> None:
    client, server = pair
    client.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 5))
    client.sendall(b"x" * 1000)
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 4
    assert receive_all(server) == b"x" * 1000


def test_close_sends_what_was_written(pair: Any) -> None:
    client, server = pair
    data = os.urandom(1 << 18)
    thread = threading.Thread(target=lambda: (client.sendall(data), client.close()))
    thread.start()
    assert receive_all(server) == data
    thread.join()


def test_duplicates_and_detached_descriptors(sockets: Any, pair: Any) -> None:
    client, server = pair
    twin = client.dup()
    client.close()
    twin.sendall(b"still open")
    assert server.recv(100) == b"still open"
    rebuilt = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM, fileno=twin.detach())
    assert rebuilt.getpeername() == server.getsockname()
    unnamed = sockets.socket(fileno=os.dup(rebuilt.fileno()))
    assert (unnamed.family, unnamed.type) == (sockets.AF_INET, sockets.SOCK_STREAM)
    assert unnamed.getpeername() == server.getsockname()
    unnamed.close()
    rebuilt.close()
    assert server.recv(1) == b""


def test_backlog_of_waiting_connections_is_kept(sockets: Any, listener: Any) -> None:
    clients = [sockets.create_connection(listener.getsockname(), timeout=10) for _ in range(5)]
    for number, client in enumerate(clients):
        client.sendall(b"%d" % number)
    accepted = [listener.accept()[0] for _ in clients]
    assert [end.recv(1) for end in accepted] == [b"0", b"1", b"2", b"3", b"4"]
    for end in clients + accepted:
        end.close()


def test_shutdown_wakes_accept(sockets: Any, listener: Any) -> None:
    threading.Timer(0.05, listener.shutdown, [sockets.SHUT_RDWR]).start()
    assert raised(listener.accept) == errno.EINVAL


def test_closing_the_listener_refuses_newcomers(sockets: Any, listener: Any) -> None:
    with sockets.create_connection(listener.getsockname()) as client:
        accepted, _ = listener.accept()
        address = listener.getsockname()
        listener.close()
        with sockets.socket() as late:
            assert raised(late.connect, address) == errno.ECONNREFUSED
        client.sendall(b"the old one lives")
        assert accepted.recv(100) == b"the old one lives"
        accepted.close()


OPTIONS = ["SO_KEEPALIVE", "SO_REUSEADDR", "SO_BROADCAST", "SO_OOBINLINE", "SO_REUSEPORT"]


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_sockets(sockets: Any, name: str) -> None:
    option = getattr(sockets, name)
    with sockets.socket() as fresh:
        assert fresh.getsockopt(sockets.SOL_SOCKET, option) == 0
        fresh.setsockopt(sockets.SOL_SOCKET, option, 1)
        assert fresh.getsockopt(sockets.SOL_SOCKET, option) == 1


def test_options_of_tcp(sockets: Any) -> None:
    with sockets.socket() as fresh:
        for option, value in [("TCP_NODELAY", 1), ("TCP_KEEPIDLE", 77), ("TCP_KEEPINTVL", 7), ("TCP_KEEPCNT", 3)]:
            fresh.setsockopt(sockets.IPPROTO_TCP, getattr(sockets, option), value)
            assert fresh.getsockopt(sockets.IPPROTO_TCP, getattr(sockets, option)) == value
        assert fresh.getsockopt(sockets.SOL_SOCKET, sockets.SO_TYPE) == sockets.SOCK_STREAM
        assert fresh.getsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, 8) == bytes(8)
        assert fresh.getsockopt(sockets.SOL_SOCKET, sockets.SO_ACCEPTCONN) == 0
        assert raised(fresh.getsockopt, sockets.SOL_SOCKET, 9999) == errno.ENOPROTOOPT
        assert raised(fresh.setsockopt, sockets.IPPROTO_TCP, 9999, 1) == errno.ENOPROTOOPT


def test_buffer_sizes_are_doubled(sockets: Any) -> None:
    with sockets.socket() as fresh:
        fresh.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 20000)
        assert fresh.getsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF) == 40000


def test_a_peer_that_does_not_read_stops_the_sender(pair: Any) -> None:
    client, server = pair
    client.settimeout(0.3)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 1 << 28:
            sent += client.send(bytes(1 << 16))
    assert sent < 1 << 26
    received = 0
    while received < sent:
        received += len(server.recv(1 << 20))
    client.settimeout(10)
    client.sendall(b"x")
    assert server.recv(1) == b"x"


def test_unknown_families_and_types(sockets: Any) -> None:
    assert raised(sockets.socket, sockets.AF_INET, 77) == errno.EINVAL
    assert raised(sockets.socket, sockets.AF_INET, sockets.SOCK_STREAM, 99) == errno.EPROTONOSUPPORT


def test_inheritance(sockets: Any) -> None:
    with sockets.socket() as fresh:
        assert not fresh.get_inheritable()


def test_a_class_of_the_programs_own(sockets: Any, listener: Any) -> None:
    class Mine(sockets.socket):  # type: ignore[misc,name-defined]
        def greet(self) -> None:
            self.sendall(b"hello")

    with Mine() as mine:
        mine.connect(listener.getsockname())
        mine.greet()
        accepted, _ = listener.accept()
        assert accepted.recv(5) == b"hello"
        accepted.close()
