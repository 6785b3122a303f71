"""Options and flags of stream sockets, by their effect, in virtual time."""

from __future__ import annotations

import errno
import struct

import pytest
from netower.net.address import ANY4
from netower.stack import HostSettings
from netower.stack.calls import StreamSocket
from netower.stack.calls import numbers as n
from netower.stack.calls.info import read_tcp_info
from netower.transport.tcp.settings import TcpSettings
from netower.transport.tcp.state import State

from .test_calls_stream import INT, TWO, World, refused

FAST = HostSettings(tcp=TcpSettings(fast_open=3))


def set_option(socket: StreamSocket, name: int, value: int, level: int = n.IPPROTO_TCP) -> None:
    socket.setsockopt(level, name, INT.pack(value))


def get_option(socket: StreamSocket, name: int) -> int:
    return int(INT.unpack(socket.getsockopt(n.IPPROTO_TCP, name))[0])


def test_sockets_share_a_port() -> None:
    world = World(2)
    group = []
    for _ in range(3):
        listener = world.stream(1)
        set_option(listener, n.SO_REUSEPORT, 1, n.SOL_SOCKET)
        listener.bind((ANY4, 80))
        listener.listen(100)
        group.append(listener)
    for _ in range(60):
        world.begin(world.stream(), (TWO, 80))
    world.run(1)
    counts = []
    for listener in group:
        counts.append(0)
        while listener.acceptable:
            listener.accept()
            counts[-1] += 1
    assert sum(counts) == 60
    assert min(counts) > 5


def fast_listener(world: World) -> StreamSocket:
    listener = world.listener(1)
    set_option(listener, n.TCP_FASTOPEN, 5)
    return listener


def learn_cookie(world: World, listener: StreamSocket) -> None:
    """The first connection of two hosts, which just asks for the cookie."""
    client = world.stream()
    with refused(errno.EINPROGRESS):
        client.send(b"not yet", n.MSG_FASTOPEN, (TWO, 80))
    world.settle()
    client.send(b"request")
    world.settle()
    assert listener.accept().receive(100) == b"request"
    client.close()


def test_sending_opens_a_connection() -> None:
    world = World(2, FAST)
    listener = fast_listener(world)
    learn_cookie(world, listener)
    client = world.stream()
    assert client.send(b"request", n.MSG_FASTOPEN, (TWO, 80)) == 7
    with refused(errno.EAGAIN):
        for host in world.hosts:
            host.pump()
            client.send(b"no room before the handshake is over")
    world.settle()
    server = listener.accept()
    assert server.receive(100) == b"request"
    server.send(b"answer")
    world.settle()
    assert client.receive(100) == b"answer"


def test_connect_may_wait_for_the_first_data() -> None:
    world = World(2, FAST)
    listener = fast_listener(world)
    learn_cookie(world, listener)
    client = world.stream()
    set_option(client, n.TCP_FASTOPEN_CONNECT, 1)
    client.connect((TWO, 80))
    with refused(errno.EISCONN):
        client.connect((TWO, 80))
    world.run(1)
    assert not listener.acceptable
    assert client.readiness() == n.POLLOUT
    client.send(b"request")
    world.settle()
    assert listener.accept().receive(100) == b"request"
    assert client.connected


def test_fast_open_can_be_off() -> None:
    world = World(2, HostSettings(tcp=TcpSettings(fast_open=0)))
    with refused(errno.EOPNOTSUPP):
        world.stream().send(b"x", n.MSG_FASTOPEN, (TWO, 80))


def test_the_urgent_byte_is_read_apart() -> None:
    world = World(2)
    client, server = world.pair()
    with refused(errno.EINVAL):
        server.receive(1, n.MSG_OOB)
    for data, flags in (b"calm", 0), (b"!", n.MSG_OOB), (b"rest", 0):
        client.send(data, flags)
    world.settle()
    assert server.readiness() & n.POLLPRI
    assert server.receive(1, n.MSG_OOB | n.MSG_PEEK) == b"!"
    assert server.receive(1, n.MSG_OOB) == b"!"
    assert not server.readiness() & n.POLLPRI
    with refused(errno.EINVAL):
        server.receive(1, n.MSG_OOB)  # it is read once
    assert server.ioctl(n.SIOCINQ) == 4
    assert server.receive(100) == b"calm"
    assert server.ioctl(n.SIOCATMARK)
    assert server.receive(100) == b"rest"


def test_an_urgent_byte_that_nobody_asked_for_is_passed() -> None:
    world = World(2)
    client, server = world.pair()
    client.send(b"!", n.MSG_OOB)
    world.settle()
    assert not server.readiness() & n.POLLIN
    with refused(errno.EAGAIN):
        server.receive(100)
    client.send(b"more")
    world.settle()
    assert server.receive(100) == b"more"


def test_urgent_data_stay_in_line_where_they_should_and_poll_says_so() -> None:
    world = World(2)
    client, server = world.pair()
    set_option(server, n.SO_OOBINLINE, 1, level=n.SOL_SOCKET)
    client.send(b"calm")
    client.send(b"!", n.MSG_OOB)
    world.settle()
    assert server.readiness() & n.POLLPRI
    assert not server.ioctl(n.SIOCATMARK)
    assert server.receive(4) == b"calm"
    assert server.ioctl(n.SIOCATMARK)
    assert server.receive(4) == b"!"
    assert not server.readiness() & n.POLLPRI
    with refused(errno.EINVAL):
        server.receive(1, n.MSG_OOB)


@pytest.mark.parametrize(("asked", "kept"), [(0, 0), (1, 1), (2, 3), (5, 7), (100, 127)])
def test_defer_accept_is_counted_in_handshakes(asked: int, kept: int) -> None:
    listener = World().listener()
    set_option(listener, n.TCP_DEFER_ACCEPT, asked)
    assert get_option(listener, n.TCP_DEFER_ACCEPT) == kept


def test_a_deferred_connection_is_accepted_with_its_data() -> None:
    world = World(2)
    listener = world.listener(1)
    set_option(listener, n.TCP_DEFER_ACCEPT, 5)
    client = world.stream()
    world.begin(client, (TWO, 80))
    world.run(1)
    assert client.connected
    assert not listener.acceptable
    client.send(b"request")
    world.settle()
    assert listener.accept().receive(10) == b"request"


def test_unsent_data_hold_the_writer_back() -> None:
    world = World(2)
    client, server = world.pair()
    set_option(client, n.TCP_NOTSENT_LOWAT, 10_000)
    set_option(server, n.SO_RCVBUF, 3000, n.SOL_SOCKET)
    while client.readiness() & n.POLLOUT:
        client.send(bytes(5000))
        world.run(0.1)
    assert client.connection is not None
    assert 5_000 <= client.connection.unsent <= 10_000
    for _ in range(10):  # what the smaller buffer had no room for comes again
        if server.readable:
            server.receive(1 << 20)
        world.run(1)
    assert client.readiness() & n.POLLOUT


def test_the_window_clamp_has_a_least_value() -> None:
    world = World()
    client, _ = world.pair()
    set_option(client, n.TCP_WINDOW_CLAMP, 10)
    assert get_option(client, n.TCP_WINDOW_CLAMP) == 1152
    with refused(errno.EINVAL):
        set_option(client, n.TCP_WINDOW_CLAMP, 0)
    set_option(world.stream(), n.TCP_WINDOW_CLAMP, 0)


def test_quick_acknowledgments_can_be_asked_for() -> None:
    world = World(2)
    client, server = world.pair()
    set_option(client, n.TCP_QUICKACK, 0)
    assert get_option(client, n.TCP_QUICKACK) == 0
    server.send(b"x")
    world.settle()
    assert server.unacknowledged == 1
    set_option(client, n.TCP_QUICKACK, 1)
    world.settle()
    assert server.unacknowledged == 1  # it waits to be read
    assert client.receive(1) == b"x"
    set_option(client, n.TCP_QUICKACK, 1)
    world.settle()
    assert server.unacknowledged == 0


def test_linger2_ends_fin_wait_2_at_once() -> None:
    world = World(2)
    client, server = world.pair()
    set_option(client, n.TCP_LINGER2, -1)
    connection = client.connection
    assert connection is not None
    client.close()
    world.run(0.1)
    assert connection.state is State.CLOSED
    assert server.take_error() == errno.EPIPE  # a RST has followed the FIN, as on Linux


def test_a_pacing_rate_caps_what_leaves() -> None:
    """SO_MAX_PACING_RATE, as an unsigned int or long; all ones are no limit, as on Linux."""
    world = World(2)
    client, server = world.pair()
    unlimited = b"\xff" * 8
    assert client.getsockopt(n.SOL_SOCKET, n.SO_MAX_PACING_RATE, 8) == unlimited
    client.setsockopt(n.SOL_SOCKET, n.SO_MAX_PACING_RATE, (5_000_000_000).to_bytes(8, "little"))
    assert client.getsockopt(n.SOL_SOCKET, n.SO_MAX_PACING_RATE, 4) == b"\xff" * 4
    client.setsockopt(n.SOL_SOCKET, n.SO_MAX_PACING_RATE, b"\xff" * 4)
    assert client.getsockopt(n.SOL_SOCKET, n.SO_MAX_PACING_RATE, 8) == unlimited
    set_option(client, n.SO_MAX_PACING_RATE, 10_000, n.SOL_SOCKET)
    assert client.getsockopt(n.SOL_SOCKET, n.SO_MAX_PACING_RATE, 4) == INT.pack(10_000)
    client.send(bytes(60_000))
    world.run(2)
    assert 25_000 < server.readable <= 40_000
    info = read_tcp_info(client.getsockopt(n.IPPROTO_TCP, n.TCP_INFO))
    assert info["pacing_rate"] == info["max_pacing_rate"] == 10_000


def test_bbr_tells_of_itself() -> None:
    """TCP_CC_INFO: struct tcp_bbr_info; of a controller without anything to tell nothing, as on Linux."""
    world = World(2)
    client, server = world.pair()
    assert client.getsockopt(n.IPPROTO_TCP, n.TCP_CC_INFO, 100) == b""
    client.setsockopt(n.IPPROTO_TCP, n.TCP_CONGESTION, b"bbr")
    assert client.getsockopt(n.IPPROTO_TCP, n.TCP_CONGESTION, 16) == b"bbr".ljust(16, b"\0")
    for _ in range(20):
        client.send(bytes(20_000))
        world.run(0.01)
        server.receive(1 << 20)
    told = client.getsockopt(n.IPPROTO_TCP, n.TCP_CC_INFO, 100)
    assert len(told) == 20
    pacing_gain, cwnd_gain = struct.unpack_from("=II", told, 12)
    assert (pacing_gain, cwnd_gain) == (738, 738)  # STARTUP: 2/ln 2 in 256ths
