"""The net floor on a TAP, with the kernel as its peer."""

from __future__ import annotations

import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from random import Random

import pytest
from netower.link import Packet, Scheduler
from netower.link.tap import Tap
from netower.net.address import parse
from netower.net.internet import Internet
from netower.net.neighbor import NeighborState

pytestmark = pytest.mark.live

KERNEL = parse("10.0.0.1")


class Machine:
    """A host on a TAP, and the machine's clock."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        self.scheduler = Scheduler(time.monotonic())
        self.host = Internet(self.scheduler, Random(1))
        self.interface = self.host.attach(tap, "10.0.0.2/24")

    def run(self, until) -> None:
        """Run until the condition holds, for at most ten seconds."""
        end = time.monotonic() + 10
        while not until():
            assert time.monotonic() < end, self.host.counters
            select.select([self.tap], [], [], 0.05)
            self.scheduler.advance(time.monotonic())
            while (packet := self.tap.receive_packet()) is not None:
                self.interface.receive(packet)
            self.scheduler.flush()


@pytest.fixture
def machine(namespace: int) -> Iterator[Machine]:
    with closing(Tap(host_address="10.0.0.1/24")) as tap:
        yield Machine(tap)


@pytest.mark.parametrize("size", [56, 1472, 5000, 60000])
def test_the_kernel_answers_our_ping(machine: Machine, size: int) -> None:
    results: list[object] = []
    machine.host.ping(KERNEL, results.append, size=size)
    machine.run(lambda: results)
    (reply,) = results
    assert (reply.source, reply.size, reply.hop_limit) == (KERNEL, size, 64)
    assert 0 <= reply.rtt < 5
    assert machine.interface.neighbors.get(KERNEL).state is NeighborState.REACHABLE


@pytest.mark.parametrize("size", ["56", "5000", "60000"])
def test_we_answer_the_kernels_ping(machine: Machine, size: str) -> None:
    try:
        ping = subprocess.Popen(
            ["ping", "-c", "2", "-i", "0.2", "-W", "5", "-s", size, "10.0.0.2"], stdout=subprocess.PIPE
        )
    except FileNotFoundError:
        pytest.skip("there is no ping")
    with ping:
        machine.run(lambda: ping.poll() is not None)
        output = ping.stdout.read().decode()
    assert " 0% packet loss" in output, output
    assert "ttl=64" in output


def test_the_kernel_understands_our_errors(machine: Machine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("10.0.0.2", 9))
        client.settimeout(0)
        client.send(b"x")
        machine.run(lambda: machine.host.counters["icmp.errors_out"])
        with pytest.raises(OSError, match="Protocol not available"):  # nobody has registered UDP
            client.recv(1)


def test_we_understand_the_kernels_errors(machine: Machine, sink) -> None:
    machine.host.register(17, sink)
    datagram = (4000).to_bytes(2) + (9).to_bytes(2) + (8).to_bytes(2) + bytes(2)
    machine.host.path(KERNEL).send(Packet([datagram]), 17)
    machine.run(lambda: sink.failures)
    (failure,) = sink.failures
    assert (failure.errno, failure.hard, failure.reporter, failure.quote) == (111, True, KERNEL, datagram)
