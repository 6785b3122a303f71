"""Blocking sockets of a host that runs in their calls: against another such host, and against the kernel."""

from __future__ import annotations

import errno
import socket as kernel
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from netower.app.namespace import inside
from netower.link.datagram import DatagramLink
from netower.link.tap import Tap
from netower.stack.calls import numbers as n
from netower.stack.inline import InlineHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netower.stack.direct import HostSocket


TCP_INQ = n.TCP_INQ
TTL_OF_9 = (kernel.IPPROTO_IP, n.IP_TTL, (9).to_bytes(4, "little"))


@pytest.fixture
def ends() -> Iterator[tuple[InlineHost, InlineHost]]:
    """Two hosts, 10.0.0.1 and 10.0.0.2, joined by a socket pair."""
    near, far = kernel.socketpair(kernel.AF_UNIX, kernel.SOCK_DGRAM)
    with InlineHost(names={"there": "10.0.0.2"}, grace=0.5) as here, InlineHost(grace=0.5) as there:
        here.attach(DatagramLink(near, mtu=9000), "10.0.0.1/24")
        there.attach(DatagramLink(far, mtu=9000), "10.0.0.2/24")
        yield here, there


def together(host: InlineHost, program: Callable[[InlineHost], None]) -> threading.Thread:
    """Run a program on one host while the test goes on with the other."""
    thread = threading.Thread(target=program, args=(host,))
    thread.start()
    return thread


@contextmanager
def connected(ends: tuple[InlineHost, InlineHost], seconds: float) -> Iterator[HostSocket]:
    """A connection from one host to the other, which works for so long and accepts nothing."""
    here, there = ends
    with there.create_server(("10.0.0.2", 80)):
        thread = together(there, lambda host: host.run(seconds))
        with here.create_connection(("10.0.0.2", 80), timeout=5) as client:
            yield client
        thread.join()


def test_streams(ends: tuple[InlineHost, InlineHost]) -> None:
    here, there = ends
    data = bytes(range(256)) * 4000

    def serve(host: InlineHost) -> None:
        with host.create_server(("10.0.0.2", 7)) as listener:
            connection, peer = listener.accept()
            with connection:
                assert peer[0] == "10.0.0.1"
                received = bytearray(len(data))
                view = memoryview(received)
                while view:
                    view = view[connection.recv_into(view) :]
                connection.sendall(received)
                assert connection.recv(1) == b""

    thread = together(there, serve)
    here.run(0.1)
    with here.create_connection(("there", 7), timeout=10) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as file:
            assert file.read(len(data)) == data
    here.run(0.1)
    thread.join(10)
    assert not thread.is_alive()


def test_messages_with_control(ends: tuple[InlineHost, InlineHost]) -> None:
    """Stamps of what was sent come with the error queue, those of what arrived, and other news, with the data."""
    here, there = ends

    def serve(host: InlineHost) -> None:
        with host.create_server(("10.0.0.2", 80)) as listener:
            accepted, _ = listener.accept()
            with accepted:
                accepted.setsockopt(kernel.IPPROTO_TCP, TCP_INQ, 1)
                while len(accepted.recv(100, kernel.MSG_PEEK)) < 10:
                    host.run(0.01)
                data, control, flags, _ = accepted.recvmsg(4, 100)
                assert (data, control, flags) == (
                    b"0123",
                    [(kernel.IPPROTO_TCP, TCP_INQ, (6).to_bytes(4, "little"))],
                    0,
                )
                assert accepted.recvmsg(4)[2] == kernel.MSG_CTRUNC  # nowhere to put it
                accepted.sendall(b"done")

    thread = together(there, serve)
    with here.create_connection(("10.0.0.2", 80), timeout=5) as client:
        client.setsockopt(kernel.SOL_SOCKET, n.SO_TIMESTAMPING, n.SOF_TIMESTAMPING_SOFTWARE)
        stamped = [(kernel.SOL_SOCKET, n.SO_TIMESTAMPING, n.SOF_TIMESTAMPING_TX_ACK.to_bytes(4, "little"))]
        before = time.time()
        assert client.sendmsg([b"01234", b"56789"], stamped) == 10
        assert client.recv(100) == b"done"
        data, control, flags, _ = client.recvmsg(100, 1000, n.MSG_ERRQUEUE)
        assert (data, flags) == (b"0123456789", n.MSG_ERRQUEUE)
        assert [(level, kind) for level, kind, _ in control] == [
            (kernel.SOL_SOCKET, n.SCM_TIMESTAMPING),
            (0, n.IP_RECVERR),
        ]
        assert before - 1 < int.from_bytes(control[0][2][:8], "little") < before + 5
        with pytest.raises(BlockingIOError):
            client.recvmsg(0, 1000, n.MSG_ERRQUEUE)
    thread.join()


def test_an_error_queue_that_nobody_reads_keeps_no_call_from_waiting(ends: tuple[InlineHost, InlineHost]) -> None:
    with connected(ends, 0.3) as client:
        client.setsockopt(kernel.SOL_SOCKET, n.SO_TIMESTAMPING, n.SOF_TIMESTAMPING_SOFTWARE)
        stamped = [(kernel.SOL_SOCKET, n.SO_TIMESTAMPING, n.SOF_TIMESTAMPING_TX_ACK.to_bytes(4, "little"))]
        client.sendmsg([b"data"], stamped)
        assert ends[0].select([client], timeout=5) == ([client], [])
        client.settimeout(0.01)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert client.recvmsg(100, 1000, n.MSG_ERRQUEUE)[2] == n.MSG_ERRQUEUE


def test_reports_that_nobody_reads_have_the_room_of_the_receive_buffer(ends: tuple[InlineHost, InlineHost]) -> None:
    with connected(ends, 0.5) as client:
        client.setsockopt(kernel.SOL_SOCKET, kernel.SO_RCVBUF, 4000)
        client.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, 1)
        bits = n.SOF_TIMESTAMPING_SOFTWARE | n.SOF_TIMESTAMPING_TX_SOFTWARE
        client.setsockopt(kernel.SOL_SOCKET, n.SO_TIMESTAMPING, bits)
        for _ in range(20):
            client.sendall(bytes(1000))
        found = 0
        with pytest.raises(BlockingIOError):
            while client.recvmsg(1000, 1000, n.MSG_ERRQUEUE)[0]:
                found += 1
        assert 1 < found < 8


def test_datagrams_with_control(ends: tuple[InlineHost, InlineHost]) -> None:
    here, there = ends
    with here.socket(type=kernel.SOCK_DGRAM) as sender, there.socket(type=kernel.SOCK_DGRAM) as receiver:
        receiver.bind(("10.0.0.2", 99))
        for option in n.IP_RECVTTL, n.IP_RECVTOS, n.IP_PKTINFO:
            receiver.setsockopt(kernel.IPPROTO_IP, option, 1)
        thread = together(here, lambda _: sender.sendmsg([b"hello"], [TTL_OF_9], 0, ("10.0.0.2", 99)) and here.run(0.2))
        receiver.settimeout(5)
        data, control, flags, source = receiver.recvmsg(3, 1000)
        assert (data, flags, source[0]) == (b"hel", kernel.MSG_TRUNC, "10.0.0.1")
        assert [kind for _, kind, _ in control] == [n.IP_PKTINFO, n.IP_TTL, n.IP_TOS]
        assert control[1] == TTL_OF_9
        thread.join()


def test_datagrams(ends: tuple[InlineHost, InlineHost]) -> None:
    here, there = ends

    def reflect(host: InlineHost) -> None:
        with host.socket(type=kernel.SOCK_DGRAM) as sock:
            sock.bind(("", 53))
            data, source = sock.recvfrom(100)
            sock.sendto(data[::-1], source)

    thread = together(there, reflect)
    with here.socket(type=kernel.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        here.run(0.1)
        sock.sendto(b"abc", ("there", 53))
        assert sock.recvfrom(100) == (b"cba", ("10.0.0.2", 53))
    thread.join(10)


def test_looking_at_datagrams(ends: tuple[InlineHost, InlineHost]) -> None:
    here, _ = ends
    with here.socket(type=kernel.SOCK_DGRAM) as sock:
        sock.bind(("10.0.0.1", 53))
        sock.setsockopt(kernel.SOL_SOCKET, n.SO_PEEK_OFF, 1)
        for data in b"abc", b"de":
            sock.sendto(data, ("10.0.0.1", 53))
        assert sock.recv(1, kernel.MSG_PEEK) == b"b"
        assert sock.recvfrom(9, kernel.MSG_PEEK) == (b"c", ("10.0.0.1", 53))
        assert sock.recv(9) == b"abc"
        assert sock.getsockopt(kernel.SOL_SOCKET, n.SO_PEEK_OFF) == 0
        assert sock.recv(9, kernel.MSG_PEEK) == b"de"


def test_time_outs_and_refusals(ends: tuple[InlineHost, InlineHost]) -> None:
    here, there = ends
    with here.create_server(("10.0.0.1", 7)) as listener:
        listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listener.accept()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert here.select([listener], timeout=0.01) == ([], [])
    thread = together(there, lambda host: host.run(0.5))
    with pytest.raises(ConnectionRefusedError):
        here.create_connection(("there", 1), timeout=5)
    thread.join()
    with pytest.raises(kernel.gaierror):
        here.create_connection(("nobody", 1))


def test_one_host_talks_to_itself() -> None:
    with InlineHost() as host, host.create_server(("localhost", 0)) as listener:
        with pytest.raises(OSError) as hopeless:
            listener.accept()
        assert hopeless.value.errno == errno.EDEADLK
        client = host.create_connection(listener.getsockname(), timeout=5)
        accepted, _ = listener.accept()
        with client, accepted:
            client.sendall(b"x" * 100_000)
            client.shutdown(kernel.SHUT_WR)
            assert len(b"".join(iter(lambda: accepted.recv(9000), b""))) == 100_000


@pytest.mark.live
def test_against_the_kernel_over_a_tap(namespace: int) -> None:
    data = bytes(range(256)) * 40_000
    with inside(namespace), InlineHost() as host:
        host.attach(Tap(host_address="10.9.0.1/24"), "10.9.0.2/24")
        with kernel.create_server(("10.9.0.1", 0)) as listener:
            address = listener.getsockname()

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
                    connection.sendall(received)

            thread = threading.Thread(target=serve)
            thread.start()
            with host.create_connection(address, timeout=10) as connection:
                connection.sendall(data)
                connection.shutdown(kernel.SHUT_WR)
                assert b"".join(iter(lambda: connection.recv(1 << 18), b"")) == data
            thread.join(10)
