"""Stream sockets over a host's own loopback, and between two hosts, in virtual time."""

from __future__ import annotations

import errno
import struct
from random import Random
from typing import cast

import pytest
from netower.link import Scheduler
from netower.link.wire import Wire
from netower.net.address import ANY4, parse
from netower.stack import Host, HostSettings
from netower.stack.calls import CallSettings, StreamSocket
from netower.stack.calls import numbers as n

LOCAL = parse("127.0.0.1")
ONE, TWO = parse("10.0.0.1"), parse("10.0.0.2")
INT = struct.Struct("=i")


class World:
    """Hosts that share a clock, which jumps."""

    def __init__(self, count: int = 1, settings: HostSettings | None = None) -> None:
        self.scheduler = Scheduler(1000.0)
        self.hosts = [
            Host(f"host{number}", scheduler=self.scheduler, random=Random(number), settings=settings)
            for number in range(count)
        ]
        if count == 2:
            for host, end, address in zip(self.hosts, Wire().ends, ("10.0.0.1/24", "10.0.0.2/24"), strict=True):
                host.attach(end, address)

    def settle(self) -> None:
        """Let everything happen that takes no time."""
        while True:
            before = [interface.rx_packets for host in self.hosts for interface in host.interfaces]
            for host in self.hosts:
                host.pump()
            if before == [interface.rx_packets for host in self.hosts for interface in host.interfaces]:
                return

    def run(self, seconds: float) -> None:
        """Let this much time pass."""
        end = self.scheduler.now + seconds
        self.settle()
        while (due := self.scheduler.next_event()) is not None and due <= end:
            self.scheduler.advance(due)
            self.settle()
        self.scheduler.advance(end)
        self.settle()

    def stream(self, number: int = 0) -> StreamSocket:
        return cast("StreamSocket", self.hosts[number].calls.socket(n.AF_INET, n.SOCK_STREAM))

    def listener(self, number: int = 0, address: bytes = ANY4, port: int = 80, backlog: int = 10) -> StreamSocket:
        listener = self.stream(number)
        listener.setsockopt(n.SOL_SOCKET, n.SO_REUSEADDR, INT.pack(1))
        listener.bind((address, port))
        listener.listen(backlog)
        return listener

    def begin(self, socket: StreamSocket, address: tuple[bytes, int]) -> None:
        with refused(errno.EINPROGRESS):
            socket.connect(address)

    def pair(self) -> tuple[StreamSocket, StreamSocket]:
        """A client, and the server's end: on two hosts if there are two."""
        listener = self.listener(len(self.hosts) - 1)
        client = self.stream()
        self.begin(client, (TWO if len(self.hosts) == 2 else LOCAL, 80))
        self.settle()
        client.connect((LOCAL, 80))
        server = listener.accept()
        listener.close()
        return client, server


@pytest.fixture(params=[1, 2], ids=["loopback", "wire"])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


def refused(number: int) -> pytest.RaisesExc[OSError]:
    return pytest.raises(OSError, check=lambda error: error.errno == number)


def test_an_exchange(world: World) -> None:
    client, server = world.pair()
    assert client.send(b"ques") + client.send(b"tion") == 8
    world.settle()
    assert server.readiness() == n.POLLIN | n.POLLOUT
    assert server.receive(5) == b"quest"
    assert server.receive(100, n.MSG_PEEK) == b"ion"
    assert server.receive(100) == b"ion"
    with refused(errno.EAGAIN):
        server.receive(100)
    server.send(b"answer")
    server.close()
    world.settle()
    assert client.readiness() == n.POLLIN | n.POLLOUT | n.POLLRDHUP
    assert client.receive(100) == b"answer"
    assert client.receive(100) == b""
    client.close()
    world.run(200)
    for host in world.hosts:
        assert not host.calls.sockets
        assert len(host.tcp.ports) == 0


def test_bulk_both_ways(world: World) -> None:
    client, server = world.pair()
    data = Random(1).randbytes(3_000_000)
    positions = {client: 0, server: 0}
    received = {client: bytearray(), server: bytearray()}
    for _ in range(100_000):
        for socket in client, server:
            bits = socket.readiness()
            if bits & n.POLLOUT and positions[socket] < len(data):
                positions[socket] += socket.send(data[positions[socket] :][:100_000])
            if bits & n.POLLIN:
                received[socket] += socket.receive(70_000)
        world.run(0.001)
        if all(len(got) == len(data) for got in received.values()):
            break
    assert received[client] == received[server] == data


def test_who_does_not_read_stops_the_writer(world: World) -> None:
    client, server = world.pair()
    sent = 0
    for _ in range(10_000):
        if client.room:
            sent += client.send(bytes(100_000))
        else:
            before = sent
            world.run(0.05)
            if not client.room:
                break
    assert before == sent
    assert not client.readiness() & n.POLLOUT
    with refused(errno.EAGAIN):
        client.send(b"x")
    told: list[int] = []
    client.observer = lambda: told.append(client.room)
    received = 0
    for _ in range(10_000):
        received += len(server.receive(1 << 20)) if server.readable else 0
        world.run(0.05)
        if received == sent:
            break
    assert received == sent
    assert told
    assert client.readiness() & n.POLLOUT


def test_a_gate_carries_bytes_without_copying(world: World) -> None:
    client, server = world.pair()
    client.write(b"one")
    world.settle()
    client.write(b"two")
    world.settle()
    assert all(isinstance(view, memoryview) for view in server.received)
    assert b"".join(server.received) == b"onetwo"
    assert server.readable == 6
    server.consume(4)
    assert b"".join(server.received) == b"wo"
    assert not server.at_end
    client.shutdown(n.SHUT_WR)
    world.settle()
    assert server.at_end
    assert client.write_ended
    assert not server.write_ended


def test_the_observer_hears_of_everything_that_comes(world: World) -> None:
    listener = world.listener(-1)
    client = world.stream()
    told: list[str] = []
    listener.observer = lambda: told.append("listener")
    client.observer = lambda: told.append("client")
    world.begin(client, (TWO if len(world.hosts) == 2 else LOCAL, 80))
    assert client.connecting
    assert not client.readiness() & n.POLLOUT
    world.settle()
    assert sorted(set(told)) == ["client", "listener"]
    assert client.connected
    server = listener.accept()
    server.observer = lambda: told.append("server")
    del told[:]
    client.send(b"x")
    world.settle()
    assert told == ["server"]
    server.close()
    world.settle()
    assert "client" in told


def test_a_refused_connect_leaves_a_socket_that_can_try_again(world: World) -> None:
    there = (TWO if len(world.hosts) == 2 else LOCAL, 81)
    client = world.stream()
    world.begin(client, there)
    with refused(errno.EALREADY):
        client.connect(there)
    world.settle()
    assert not client.connected
    assert client.readiness() & n.POLLERR
    assert client.getsockopt(n.SOL_SOCKET, n.SO_ERROR) == INT.pack(errno.ECONNREFUSED)
    assert client.getsockopt(n.SOL_SOCKET, n.SO_ERROR) == INT.pack(0)
    with refused(errno.ECONNABORTED):
        client.connect(there)
    world.listener(-1, port=81)
    world.begin(client, there)
    world.settle()
    client.connect(there)
    with refused(errno.EISCONN):
        client.connect(there)


def test_nobody_at_the_address() -> None:
    world = World(2)
    client = world.stream()
    world.begin(client, (parse("10.0.0.9"), 80))
    world.run(4)
    with refused(errno.EHOSTUNREACH):
        client.connect((parse("10.0.0.9"), 80))


def test_nobody_answers() -> None:
    world = World(2)
    client = world.stream()
    world.begin(client, (TWO, 80))
    world.hosts[1].detach(world.hosts[1].interfaces[1])
    assert client.connecting
    world.run(300)
    assert client.take_error() in (errno.ETIMEDOUT, errno.EHOSTUNREACH)


def test_no_route() -> None:
    client = World().stream()
    with refused(errno.ENETUNREACH):
        client.connect((parse("192.0.2.1"), 80))
    assert client.getsockname() == (ANY4, 0)
    assert client.readiness() == n.POLLOUT | n.POLLHUP


def test_a_reset_is_told_once(world: World) -> None:
    client, server = world.pair()
    server.setsockopt(n.SOL_SOCKET, n.SO_LINGER, struct.pack("=ii", 1, 0))
    server.close()
    world.settle()
    assert client.error == errno.ECONNRESET
    assert client.readiness() == n.POLLIN | n.POLLOUT | n.POLLERR | n.POLLHUP | n.POLLRDHUP
    with refused(errno.ECONNRESET):
        client.receive(10)
    assert client.receive(10) == b""
    with refused(errno.EPIPE):
        client.send(b"x")
    with refused(errno.ENOTCONN):
        client.getpeername()
    assert client.remote is not None


def test_closing_with_unread_data_resets(world: World) -> None:
    client, server = world.pair()
    client.send(b"never read")
    world.settle()
    server.close()
    world.settle()
    assert client.take_error() == errno.ECONNRESET


def test_accepted_sockets_inherit_options() -> None:
    world = World()
    listener = world.stream()
    for option in n.SO_KEEPALIVE, n.SO_REUSEADDR, n.SO_OOBINLINE:
        listener.setsockopt(n.SOL_SOCKET, option, INT.pack(1))
    listener.bind((LOCAL, 80))
    listener.listen(1)
    listener.setsockopt(n.IPPROTO_TCP, n.TCP_NODELAY, INT.pack(1))
    client = world.stream()
    world.begin(client, (LOCAL, 80))
    world.settle()
    server = listener.accept()
    for option in n.SO_KEEPALIVE, n.SO_REUSEADDR, n.SO_OOBINLINE:
        assert server.getsockopt(n.SOL_SOCKET, option) == INT.pack(1)
    assert server.getsockopt(n.IPPROTO_TCP, n.TCP_NODELAY) == INT.pack(1)
    server.setsockopt(n.IPPROTO_TCP, n.TCP_NODELAY, INT.pack(0))
    assert listener.getsockopt(n.IPPROTO_TCP, n.TCP_NODELAY) == INT.pack(1)


def test_keep_alive_finds_a_dead_peer() -> None:
    world = World(2)
    client, _ = world.pair()
    client.setsockopt(n.SOL_SOCKET, n.SO_KEEPALIVE, INT.pack(1))
    for option, value in (n.TCP_KEEPIDLE, 10), (n.TCP_KEEPINTVL, 2), (n.TCP_KEEPCNT, 3):
        client.setsockopt(n.IPPROTO_TCP, option, INT.pack(value))
    world.hosts[1].detach(world.hosts[1].interfaces[1])
    world.run(10)
    assert client.error == 0
    world.run(20)
    assert client.take_error() in (errno.ETIMEDOUT, errno.EHOSTUNREACH)


def test_tcp_info_says_what_is_known(world: World) -> None:
    client, server = world.pair()
    client.send(b"x")
    world.settle()
    info = client.getsockopt(n.IPPROTO_TCP, n.TCP_INFO)
    assert len(info) == 248
    assert info[0] == 1  # ESTABLISHED
    words = struct.unpack("=24I", info[8:104])
    assert words[2] == int.from_bytes(client.getsockopt(n.IPPROTO_TCP, n.TCP_MAXSEG), "little")
    assert words[13] == client.mtu()
    assert client.getsockopt(n.IPPROTO_TCP, n.TCP_INFO, 10) == info[:10]
    server.close()
    client.close()


def test_a_host_has_so_many_sockets_and_no_more() -> None:
    world = World(settings=HostSettings(calls=CallSettings(max_sockets=3)))
    listener, client = world.listener(), world.stream()
    world.begin(client, (LOCAL, 80))
    world.settle()
    last = world.stream()
    with refused(errno.ENFILE):
        world.stream()
    with refused(errno.ENFILE):
        listener.accept()
    last.close()
    listener.accept()


def test_closed_sockets_leave_nothing(world: World) -> None:
    for _ in range(20):
        client, server = world.pair()
        client.close()
        server.close()
        world.settle()
    assert all(not host.calls.sockets for host in world.hosts)
    world.run(200)
    for host in world.hosts:
        assert len(host.tcp.ports) == 0
        assert host.next_event() is None or host.next_event() > world.scheduler.now


def test_an_ephemeral_port_serves_many_connections() -> None:
    """More connections than ports, to different listeners."""
    world = World(settings=HostSettings(ephemeral_ports=(50000, 50004)))
    listeners = [world.listener(port=port) for port in (80, 81)]
    for port in 80, 81:
        for _ in range(5):
            client = world.stream()
            world.begin(client, (LOCAL, port))
    world.settle()
    assert [sum(1 for _ in iter(lambda x=x: x.acceptable and x.accept(), False)) for x in listeners] == [5, 5]
    with refused(errno.EADDRNOTAVAIL):
        world.stream().connect((LOCAL, 80))
