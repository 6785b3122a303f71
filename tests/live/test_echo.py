"""Echo requests and datagrams, both ways and of every size."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from .sides import HERE, NETOWER, NOBODY, THERE, Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .sides import Stack

pytestmark = pytest.mark.live

#: Up to what IPv4 carries; 1472 fills one packet, and whatever is larger comes in fragments.
SIZES = [0, 1, 2, 1471, 1472, 1473, 2952, 2953, 9000, 32767, 65506, 65507]


@pytest.mark.skipif(not shutil.which("ping"), reason="ping is not installed")
@pytest.mark.parametrize("size", [0, 56, 1472, 1473, 20000, 65507])
def test_the_kernel_pings_us(ours: Side, size: int) -> None:
    command = ["ping", "-n", "-c", "3", "-i", "0.05", "-W", "5", "-s", str(size), HERE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 received" in done.stdout
    assert "wrong data" not in done.stdout


@pytest.mark.parametrize("size", [0, 56, 1472, 1473, 20000, 65507])
def test_we_ping_the_kernel(stack: Stack, size: int) -> None:
    command = [*NETOWER, "ping", "-c", "2", "-i", "0.05", "-W", "5", "-s", str(size), "--json", THERE]
    done = subprocess.run([*command, "--path", stack.path], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["transmitted"], summary["received"]) == (2, 2)
    assert all(reply["ttl"] == 64 for reply in summary["replies"])


def test_we_ping_nobody(stack: Stack) -> None:
    command = [*NETOWER, "ping", "-c", "1", "-W", "10", "--path", stack.path, NOBODY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "No route to host" in done.stdout


@pytest.fixture
def two(side: Side) -> Iterator[tuple[Any, Any]]:
    """An endpoint of the program, and one of its peer, with room for the largest datagrams."""
    with side.program.datagrams(HERE) as program, side.peer.datagrams(THERE) as peer:
        for end in program, peer:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        yield program, peer


def test_datagrams_of_every_size(two: tuple[Any, Any]) -> None:
    program, peer = two
    for size in SIZES:
        data = os.urandom(size)
        for sender, receiver in (program, peer), (peer, program):
            assert sender.sendto(data, receiver.getsockname()) == size
            assert receiver.recvfrom(1 << 16) == (data, sender.getsockname())


def test_connected_datagrams(two: tuple[Any, Any]) -> None:
    program, peer = two
    for one, other in (program, peer), (peer, program):
        one.connect(other.getsockname())
    for number in range(100):
        program.send(b"%d" % number)
        assert peer.recv(100) == b"%d" % number
        peer.send(b"%d!" % number)
        assert program.recv(100) == b"%d!" % number


def test_a_connected_endpoint_hears_its_peer_alone(side: Side, two: tuple[Any, Any]) -> None:
    program, peer = two
    with side.peer.datagrams(THERE) as stranger:
        program.connect(peer.getsockname())
        stranger.sendto(b"hear me", program.getsockname())
        peer.sendto(b"news", program.getsockname())
        assert program.recv(100) == b"news"


def test_a_datagram_too_long_for_the_buffer_is_cut(two: tuple[Any, Any]) -> None:
    program, peer = two
    for sender, receiver in (program, peer), (peer, program):
        sender.sendto(b"0123456789", receiver.getsockname())
        sender.sendto(b"next", receiver.getsockname())
        assert receiver.recv(4) == b"0123"
        buffer = bytearray(2)
        assert receiver.recvfrom_into(buffer) == (2, sender.getsockname())
        assert buffer == b"ne"


def test_a_reader_that_sleeps_loses_datagrams_and_nothing_else(two: tuple[Any, Any]) -> None:
    program, peer = two
    for sender, receiver in (program, peer), (peer, program):
        for number in range(5000):
            sender.sendto(b"%5d" % number + bytes(1000), receiver.getsockname())
        sender.sendto(b"", receiver.getsockname())
        receiver.settimeout(1)
        numbers = []
        while True:
            try:
                data = receiver.recv(2000)
            except TimeoutError:
                break
            if not data:
                break
            numbers.append(int(data[:5]))
        assert len(numbers) > 100
        assert numbers == sorted(set(numbers))


def test_broadcast(side: Side) -> None:
    with side.program.datagrams("0.0.0.0") as program, side.peer.datagrams("0.0.0.0") as peer:
        for sender, receiver, source in (program, peer, HERE), (peer, program, THERE):
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sender.sendto(b"to all", ("10.77.0.255", receiver.getsockname()[1]))
            assert receiver.recvfrom(100) == (b"to all", (source, sender.getsockname()[1]))


def test_many_fragmented_datagrams_are_kept_apart(two: tuple[Any, Any]) -> None:
    program, peer = two
    numbers = list(range(40))
    random.Random(1).shuffle(numbers)
    for sender, receiver in (program, peer), (peer, program):
        for number in numbers:
            sender.sendto(bytes([number]) * (2000 + number * 200), receiver.getsockname())
        for number in numbers:
            assert receiver.recv(1 << 16) == bytes([number]) * (2000 + number * 200)
