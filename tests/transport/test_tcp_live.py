"""The kernel as the peer, over a TAP: streams with and without offloads, with and without losses; resets."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from contextlib import closing
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from netower.link.tap import Tap
from netower.net.address import parse
from netower.stack.host import Host
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netower.link import Packet

pytestmark = pytest.mark.live

OURS, KERNEL = "10.98.0.2", "10.98.0.1"


class Lossy:
    """A link that loses packets, in thousandths, each way."""

    def __init__(self, link: Tap, loss: int) -> None:
        self.link = link
        self.loss = loss
        self.random = Random(loss)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.link, name)

    def send_packet(self, packet: Packet) -> None:
        if self.random.randrange(1000) >= self.loss:
            self.link.send_packet(packet)

    def receive_packet(self) -> Packet | None:
        packet = self.link.receive_packet()
        while packet is not None and self.random.randrange(1000) < self.loss:
            packet = self.link.receive_packet()
        return packet


class Tower:
    """A host on a TAP, run by the test itself, beside non-blocking kernel sockets."""

    def __init__(self, offload: bool, loss: int) -> None:
        self.tap = Tap("live", mtu=1500, host_address=f"{KERNEL}/24", offload=offload)
        link: Any = Lossy(self.tap, loss) if loss else self.tap
        self.host = Host()
        self.host.advance(time.monotonic())
        self.interface = self.host.attach(link, f"{OURS}/24")

    def run(self, done: Callable[[], object], work: Callable[[], object] = lambda: None, seconds: float = 60) -> None:
        limit = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < limit
            work()
            self.host.pump()
            due = self.host.next_event()
            wait = 0.01 if due is None else min(max(due - time.monotonic(), 0), 0.01)
            select.select([self.tap.fileno()], [], [], wait)
            self.host.advance(time.monotonic())
            self.host.receive(self.interface)
            self.host.pump()


@pytest.fixture(params=["offloads", "frames", "losses"])
def tower(request: Any, namespace: int) -> Iterator[Tower]:
    tower = Tower(request.param != "frames", 30 if request.param == "losses" else 0)
    yield tower
    tower.tap.close()


def kernel_socket() -> socket.socket:
    end = socket.socket()
    end.setblocking(False)
    return end


def accepted(tower: Tower) -> tuple[Connection, socket.socket]:
    """A connection that the kernel opened: our end, its end."""
    tcp = tower.host.tcp
    tcp.ports.bind(parse(OURS), 8000, tower)
    listener = tcp.listen((parse(OURS), 8000), 5)
    end = kernel_socket()
    assert end.connect_ex((OURS, 8000)) == errno.EINPROGRESS
    tower.run(lambda: listener.waiting)
    connection = listener.accept()
    assert connection is not None
    listener.close()
    return connection, end


def connected(tower: Tower) -> tuple[Connection, socket.socket]:
    """A connection that we opened."""
    with closing(kernel_socket()) as listener:
        listener.bind((KERNEL, 0))
        listener.listen()
        connection = tower.host.tcp.connect(None, (parse(KERNEL), listener.getsockname()[1]))
        tower.run(lambda: connection.state is State.ESTABLISHED and select.select([listener], [], [], 0)[0])
        end, _ = listener.accept()
    end.setblocking(False)
    return connection, end


@pytest.mark.parametrize("opened", [accepted, connected])
def test_streams_both_ways(tower: Tower, opened: Any) -> None:
    connection, end = opened(tower)
    there, back = os.urandom(400_000), os.urandom(500_000)
    sent, got_here, got_there = 0, bytearray(), bytearray()
    at_end = False
    connection.write(there)
    connection.shutdown()

    def work() -> None:
        nonlocal sent, at_end
        while connection.readable:
            piece = bytes(connection.received[0])
            connection.consume(len(piece))
            got_here.extend(piece)
        try:
            while sent < len(back):
                sent += end.send(back[sent : sent + 65536])
                if sent == len(back):
                    end.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        try:
            while not at_end:
                piece = end.recv(1 << 16)
                got_there.extend(piece)
                at_end = not piece
        except BlockingIOError:
            pass

    with end:
        tower.run(lambda: at_end and connection.at_end and not connection.readable, work)
    assert bytes(got_here) == back
    assert bytes(got_there) == there
    assert connection.error == 0
    connection.close()
    tower.run(lambda: connection.state in (State.CLOSED, State.TIME_WAIT))


@pytest.mark.parametrize("tower", ["offloads"], indirect=True)
class TestResets:
    def test_the_kernel_resets(self, tower: Tower) -> None:
        connection, end = accepted(tower)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()
        tower.run(lambda: connection.error == errno.ECONNRESET)

    def test_we_reset(self, tower: Tower) -> None:
        connection, end = connected(tower)
        with end:
            connection.abort()
            tower.run(lambda: end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET)

    def test_the_kernel_refuses(self, tower: Tower) -> None:
        connection = tower.host.tcp.connect(None, (parse(KERNEL), 1))
        tower.run(lambda: connection.error == errno.ECONNREFUSED)

    def test_we_refuse(self, tower: Tower) -> None:
        with kernel_socket() as end:
            end.connect_ex((OURS, 1))
            tower.run(lambda: end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED)

    def test_nobody_is_there(self, tower: Tower) -> None:
        start = time.monotonic()
        connection = tower.host.tcp.connect(None, (parse("10.98.0.77"), 1))
        tower.run(lambda: connection.error)
        assert connection.error == errno.EHOSTUNREACH
        assert 2 < time.monotonic() - start < 5

    def test_the_kernel_closes_its_window(self, tower: Tower) -> None:
        connection, end = connected(tower)
        with end:
            connection.write(bytes(10 << 20))
            tower.run(lambda: connection.snd_wnd < connection.mss)
            got = 0

            def drain() -> None:
                nonlocal got
                try:
                    while True:
                        got += len(end.recv(1 << 18))
                except BlockingIOError:
                    pass

            tower.run(lambda: got == 10 << 20 and not connection.unacknowledged, drain)
