"""Datagram sockets: what a program sees is the same on the kernel and on the stack."""

from __future__ import annotations

import errno
import select
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def two(sockets: Any) -> Iterator[tuple[Any, Any]]:
    """Two bound datagram sockets."""
    with (
        sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as a,
        sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as b,
    ):
        for end in (a, b):
            end.bind(("127.0.0.1", 0))
            end.settimeout(5)
        yield a, b


def raised(call: Any, *arguments: Any) -> int:
    try:
        call(*arguments)
    except OSError as error:
        return error.errno or -1
    return 0


def test_datagrams_keep_their_borders_and_sources(two: Any) -> None:
    a, b = two
    for payload in (b"one", b"", b"three" * 1000):
        assert a.sendto(payload, b.getsockname()) == len(payload)
    assert [b.recvfrom(10000) for _ in range(3)] == [
        (b"one", a.getsockname()),
        (b"", a.getsockname()),
        (b"three" * 1000, a.getsockname()),
    ]


def test_truncation(two: Any) -> None:
    a, b = two
    a.sendto(b"truncated", b.getsockname())
    a.sendto(b"next", b.getsockname())
    assert b.recv(5) == b"trunc"
    assert b.recv(5) == b"next"


def test_into_buffers(two: Any) -> None:
    a, b = two
    for _ in range(3):
        a.sendto(b"abcdef", b.getsockname())
    buffer, rest = bytearray(4), bytearray(8)
    assert b.recvfrom_into(buffer) == (4, a.getsockname())
    assert buffer == b"abcd"
    assert b.recv_into(rest) == 6
    size, _, _, source = b.recvmsg_into([buffer, rest])
    assert (size, source, bytes(rest[:2])) == (6, a.getsockname(), b"ef")


def test_sendmsg(two: Any) -> None:
    a, b = two
    assert a.sendmsg([b"ga", b"ther"], [], 0, b.getsockname()) == 6
    assert b.recvmsg(100)[0] == b"gather"


def test_connected(two: Any) -> None:
    a, b = two
    a.connect(b.getsockname())
    assert a.getpeername() == b.getsockname()
    a.send(b"x")
    payload, source = b.recvfrom(10)
    b.sendto(payload * 2, source)
    assert a.recv(10) == b"xx"


def test_a_connected_socket_hears_only_its_peer(sockets: Any, two: Any) -> None:
    a, b = two
    a.connect(b.getsockname())
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as stranger:
        stranger.sendto(b"psst", a.getsockname())
    b.sendto(b"hello", a.getsockname())
    assert a.recv(10) == b"hello"


def test_refusal_comes_to_the_connected(sockets: Any, two: Any) -> None:
    a, b = two
    a.connect(b.getsockname())
    b.close()
    a.send(b"anyone?")
    assert select.select([a], [], [], 5)[0] == [a]
    assert raised(a.recv, 10) == errno.ECONNREFUSED
    a.send(b"anyone?")
    assert select.select([a], [], [], 5)[0] == [a]
    assert raised(a.send, b"again") == errno.ECONNREFUSED


def test_no_destination(sockets: Any) -> None:
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as a:
        assert raised(a.send, b"x") == errno.EDESTADDRREQ
        assert raised(a.getpeername) == errno.ENOTCONN


def test_too_long(two: Any) -> None:
    a, b = two
    assert raised(a.sendto, bytes(65508), b.getsockname()) == errno.EMSGSIZE
    assert a.sendto(bytes(65507), b.getsockname()) == 65507
    assert len(b.recv(70000)) == 65507


def test_broadcast_needs_permission(sockets: Any) -> None:
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as a:
        assert raised(a.sendto, b"x", ("255.255.255.255", 9)) in (errno.EACCES, errno.ENETUNREACH)


def test_address_in_use(sockets: Any, two: Any) -> None:
    a, _ = two
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as c:
        assert raised(c.bind, a.getsockname()) == errno.EADDRINUSE


def test_waiting(sockets: Any, two: Any) -> None:
    a, b = two
    b.settimeout(0.05)
    with pytest.raises(TimeoutError):
        b.recvfrom(1)
    b.setblocking(False)
    assert raised(b.recvfrom, 1) == errno.EAGAIN
    a.sendto(b"x", b.getsockname())
    assert select.select([b], [], [], 5)[0] == [b]
    assert b.recv(10, sockets.MSG_PEEK) == b"x"
    assert b.recv(10) == b"x"


def test_a_reader_that_sleeps_loses_datagrams_and_nothing_else(two: Any) -> None:
    a, b = two
    for _ in range(2000):
        a.sendto(bytes(1000), b.getsockname())
    time.sleep(0.2)
    b.settimeout(0.2)
    received = 0
    with pytest.raises(TimeoutError):
        while True:
            received += len(b.recv(2000)) // 1000
    assert 50 < received < 2000
    b.settimeout(5)
    a.sendto(b"fresh", b.getsockname())
    assert b.recv(100) == b"fresh"


def test_a_timeout_does_not_delay_what_is_sent(sockets: Any) -> None:
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as client:
            client.connect(server.getsockname())
            client.settimeout(30)
            start = time.monotonic()
            client.send(b"at once")
            assert time.monotonic() - start < 15
            assert server.recv(100) == b"at once"
