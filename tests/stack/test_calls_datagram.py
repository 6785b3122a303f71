"""Datagram sockets over a host's own loopback."""

from __future__ import annotations

import errno
import struct
from random import Random
from typing import cast

import pytest
from netower.net.address import parse
from netower.stack import Host
from netower.stack.calls import DatagramSocket
from netower.stack.calls import numbers as n

LOCAL = parse("127.0.0.1")
INT = struct.Struct("=i")


@pytest.fixture
def host() -> Host:
    return Host(random=Random(1))


def refused(number: int) -> pytest.RaisesExc[OSError]:
    return pytest.raises(OSError, check=lambda error: error.errno == number)


def opened(host: Host, port: int = 0) -> DatagramSocket:
    socket = cast("DatagramSocket", host.calls.socket(n.AF_INET, n.SOCK_DGRAM))
    if port:
        socket.bind((LOCAL, port))
    return socket


def test_an_exchange(host: Host) -> None:
    server, client = opened(host, 53), opened(host)
    told: list[int] = []
    server.observer = lambda: told.append(server.readiness())
    client.send([b"ques", b"tion"], (LOCAL, 53))
    host.pump()
    assert told == [n.POLLIN | n.POLLOUT]
    peeked = server.receive_message(100, n.MSG_PEEK)
    datagram = server.receive()
    assert datagram is not None
    assert peeked is not None
    assert datagram == (peeked.data, peeked.source)
    assert bytes(datagram[0]) == b"question"
    server.send([b"answer"], datagram[1])
    host.pump()
    answer = client.receive()
    assert answer == (b"answer", (LOCAL, 53))
    assert client.receive() is client.receive_message(1, n.MSG_PEEK) is None


def test_a_refusal_is_told_once_by_whatever_asks_first(host: Host) -> None:
    client = opened(host)
    client.connect((LOCAL, 53))
    for ask in (
        lambda: client.receive(),
        lambda: client.send([b"x"]),
    ):
        client.send([b"x"])
        host.pump()
        assert client.readiness() == n.POLLOUT | n.POLLERR
        with refused(errno.ECONNREFUSED):
            ask()
        assert client.readiness() == n.POLLOUT
    client.send([b"x"])
    host.pump()
    assert client.getsockopt(n.SOL_SOCKET, n.SO_ERROR) == INT.pack(errno.ECONNREFUSED)


def test_routes_can_be_asked_for_before_sending(host: Host) -> None:
    client = opened(host)
    with refused(errno.ENETUNREACH):
        client.check_route((parse("192.0.2.1"), 53))
    with refused(errno.EACCES):
        client.check_route((parse("127.255.255.255"), 53))
    client.check_route((LOCAL, 53))
    assert client.getsockname()[1] >= 32768


def test_options_reach_the_endpoint(host: Host) -> None:
    socket = opened(host)
    socket.setsockopt(n.SOL_SOCKET, n.SO_RCVBUF, INT.pack(10_000))
    socket.setsockopt(n.IPPROTO_IP, n.IP_TTL, INT.pack(3))
    socket.setsockopt(n.IPPROTO_IP, n.IP_RECVERR, INT.pack(1))
    assert socket.endpoint.receive_buffer == 20_000
    assert socket.endpoint.hop_limit == 3
    assert socket.endpoint.all_errors


def test_reuse_may_be_allowed_after_binding(host: Host) -> None:
    first, second = opened(host, 53), opened(host)
    second.setsockopt(n.SOL_SOCKET, n.SO_REUSEADDR, INT.pack(1))
    with refused(errno.EADDRINUSE):
        second.bind((LOCAL, 53))
    first.setsockopt(n.SOL_SOCKET, n.SO_REUSEADDR, INT.pack(1))
    second.bind((LOCAL, 53))


def test_close_gives_everything_back(host: Host) -> None:
    socket = opened(host, 53)
    socket.close()
    socket.close()
    assert not host.calls.sockets
    assert not host.udp.endpoints
    assert len(host.udp.ports) == 0
