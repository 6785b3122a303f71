"""``netower path`` between the kernels of two network namespaces: what it promises is what they measure."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from netower.app.dissect import read_segments
from netower.app.namespace import create_namespace, inside
from netower.net.address import text
from pyroute2 import IPRoute

from .sides import NETOWER, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

LEFT, RIGHT = "10.9.0.1", "10.9.0.2"
#: Offsets of tcpi_total_retrans and tcpi_min_rtt in struct tcp_info (linux/tcp.h): u32, the second in microseconds.
TCPI_TOTAL_RETRANS, TCPI_MIN_RTT = 100, 148


class Road:
    """A running ``netower path``, and the namespaces at its ends."""

    def __init__(self, process: subprocess.Popen[str], ends: tuple[int, int]) -> None:
        self.process = process
        self.left, self.right = ends

    def end(self) -> Any:
        """Let it end as people do, and report."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0
        return json.loads(out)


@contextmanager
def road(*options: str) -> Iterator[Road]:
    with ExitStack() as cleanup:
        ends = create_namespace(), create_namespace()
        for namespace in ends:
            cleanup.callback(os.close, namespace)
        process = cleanup.enter_context(
            subprocess.Popen(
                [*NETOWER, "path", "--left", "left0", "--right", "right0", "--json", *options],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        cleanup.callback(process.kill)
        assert process.stdout
        assert process.stdout.readline() == "ready left0 right0\n"
        for namespace, name, address in (ends[0], "left0", LEFT), (ends[1], "right0", RIGHT):
            move(name, namespace, address)
        yield Road(process, (ends[0], ends[1]))


def move(name: str, namespace: int, address: str) -> None:
    """Take an interface to another namespace, and set it up there."""
    with IPRoute() as route:
        route.link("set", index=route.link_lookup(ifname=name)[0], net_ns_fd=namespace)
    with inside(namespace), IPRoute() as route:
        index = route.link_lookup(ifname=name)[0]
        route.addr("add", index=index, address=address, prefixlen=24)
        route.link("set", index=index, state="up")


@contextmanager
def datagrams(road: Road) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A socket at the left that is connected to one at the right, and that one."""
    with ExitStack() as cleanup:
        made = []
        for namespace, address in (road.left, LEFT), (road.right, RIGHT):
            with inside(namespace):
                made.append(cleanup.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
            made[-1].bind((address, 5000))
            made[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            made[-1].settimeout(PATIENCE)
        left, right = made
        left.connect((RIGHT, 5000))
        ask(left, right, -100)  # ARP may get lost too
        yield left, right


def ask(left: socket.socket, right: socket.socket, number: int) -> list[int]:
    """Send numbers from this one on until the last one arrives, and so all before it not lost: what was it?"""
    found: list[int] = []
    right.settimeout(0.3)
    for each in range(number, number + 50):
        left.send(b"%100d" % each)
        with suppress(TimeoutError):
            while each not in found:
                found.append(int(right.recv(100)))
            break
    right.settimeout(PATIENCE)
    return found


def passed(left: socket.socket, right: socket.socket, packets: int, burst: int) -> int:
    """How many of so many datagrams arrive, with no more on their way than any queue of the kernels' holds.

    So what is lost is lost on the path. That a whole burst is lost does not happen.
    """
    arrived = [-1]
    for first in range(0, packets, burst):
        while arrived[-1] < first - 2 * burst:
            arrived.append(int(right.recv(100)))
        for number in range(first, first + burst):
            left.send(b"%100d" % number)
    arrived += ask(left, right, packets)
    return sum(0 <= number < packets for number in arrived)


def test_of_20000_packets_one_in_a_hundred_is_lost() -> None:
    packets = 20_000
    with road("--delay", "20ms", "--loss", "1%", "--seed", "3") as path, datagrams(path) as (left, right):
        lost = packets - passed(left, right, packets, burst=100)
        report = path.end()
    assert lost == pytest.approx(packets * 0.01, rel=0.1)
    assert abs(report["left"]["loss"] - lost) <= 10, (
        "what is lost is lost on the path, but for what the kernels say there"
    )


def test_packets_are_marked_if_they_are_ecn_capable() -> None:
    """RFC 3168 §5: ECT(0) becomes CE; without it nothing happens."""
    packets = 400
    marks = 0
    with road("--mark", "20%,0", "--seed", "3") as path, datagrams(path) as (left, right):
        right.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        for number in range(packets):
            left.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0b10 if number % 2 else 0)
            left.send(b"data")
            _, ((_, _, tos),), _, _ = right.recvmsg(100, 100)
            assert tos[0] in ((0b10, 0b11) if number % 2 else (0,))
            marks += tos[0] == 0b11
        report = path.end()
    assert report["left"]["mark"] == marks
    assert marks == pytest.approx(packets / 2 * 0.2, rel=0.4)
    assert "mark" not in report["right"]


def crossing(source: socket.socket, target: socket.socket) -> float:
    """How long one datagram takes, in seconds."""
    start = time.monotonic()
    source.send(b"x")
    target.recv(100)
    return time.monotonic() - start


def test_the_delay_is_the_one_that_was_asked_for() -> None:
    with road("--delay", "20ms,50ms") as path, datagrams(path) as (left, right):
        right.connect((LEFT, 5000))
        there = [crossing(left, right) for _ in range(100)]
        back = [crossing(right, left) for _ in range(50)]
    # The fastest of many tells how long the path holds a packet; what a busy machine adds is in the others.
    assert 0.020 <= min(there) < 0.021
    assert 0.050 <= min(back) < 0.051


def transfer(path: Road, data: bytes) -> tuple[bytes, bytes]:
    """Send over the kernel's TCP from left to right; what arrived, and the sender's tcp_info at the end."""
    with inside(path.right):
        listener = socket.create_server((RIGHT, 80))
    with inside(path.left):
        client = socket.socket()
    with listener, client:
        client.settimeout(PATIENCE)
        client.connect((RIGHT, 80))
        server, _ = listener.accept()

        def send() -> None:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        with server:
            server.settimeout(PATIENCE)
            arrived = b"".join(iter(lambda: server.recv(1 << 16), b""))
        sender.join()
        return arrived, client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)


def test_the_kernels_tcp_meets_loss_and_delay() -> None:
    data = os.urandom(3_000_000)
    with road("--delay", "20ms", "--loss", "1%", "--seed", "1") as path:
        arrived, info = transfer(path, data)
        report = path.end()
    assert arrived == data
    retransmitted, rtt = (struct.unpack_from("I", info, offset)[0] for offset in (TCPI_TOTAL_RETRANS, TCPI_MIN_RTT))
    assert 40_000 <= rtt < 50_000
    assert report["left"]["loss"] > 5
    assert retransmitted > 5
    # Each segment for itself: none larger than the MTU was lost, or passed, as one.
    assert report["left"]["frames"] > len(data) / 1460


def test_the_rate_is_kept_to() -> None:
    data = bytes(1_500_000)
    with road("--rate", "20Mbit", "--queue", "100", "--delay", "1ms") as path:
        start = time.monotonic()
        arrived, _ = transfer(path, data)
        elapsed = time.monotonic() - start
    assert len(arrived) == len(data)
    assert elapsed > len(data) * 8 / 20e6


def test_what_passed_is_recorded_as_the_kernels_saw_it(tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    with road("--loss", "5%,0", "--seed", "1", "--pcap", str(folder)) as path:
        began = time.time()
        transfer(path, bytes(300_000))
        path.end()
    sent, arrived = (
        [segment for segment in read_segments(folder / name) if text(segment.source.address) == LEFT]
        for name in ("left.pcap", "right.pcap")
    )
    assert len(sent) > len(arrived) > 100
    assert began - 1 <= sent[0].time <= time.time()


def test_an_interface_that_is_taken_away_ends_the_path() -> None:
    with road() as path:
        with inside(path.left), IPRoute() as route:
            route.link("del", index=route.link_lookup(ifname="left0")[0])
        assert path.process.wait(PATIENCE) == 1
