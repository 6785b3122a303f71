"""Whole runs: the same every time, and fast enough to be many."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from netower.stack import Ended, Network
from netower.stack.simulation.frame import tcp
from netower.transport.tcp.settings import TcpOptions
from netower.transport.tcp.state import State

from .programs import Sink, Source

PROGRAMS = Path(__file__).parent / "programs.py"


def captures(folder: Path, seed: int, hash_seed: int) -> dict[str, bytes]:
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    command = [sys.executable, str(PROGRAMS), str(seed), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 8 * 30_000
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_seed_decides_everything(tmp_path: Path) -> None:
    one = captures(tmp_path / "one", 7, hash_seed=1)
    two = captures(tmp_path / "two", 7, hash_seed=2)
    other = captures(tmp_path / "other", 8, hash_seed=1)
    assert len(one) == 21 + 22
    assert one == two
    assert one.keys() == other.keys()
    assert all(one[name] != other[name] for name in one)
    assert all(len(content) > 1000 for content in one.values())


def test_a_connection_attempt_to_a_silent_host_lasts_minutes_and_costs_milliseconds() -> None:
    network = Network()
    network.host("a"), network.host("silent")
    network.wire("a", "silent").drop(tcp, sender="a")
    source = Source(network["a"].host, network["silent"], b"")
    before = time.process_time()
    assert network.run() is Ended.IDLE
    assert time.process_time() - before < 0.1
    assert source.error == errno.ETIMEDOUT
    assert source.ended_at == pytest.approx(131)


def test_an_hour_of_a_thousand_idle_connections() -> None:
    """With keep-alive of 60 s, so that each of them is heard sixty times."""
    network = Network()
    network.host("client"), network.host("server")
    network.wire("client", "server", delay="10ms")
    sink = Sink(network["server"].host)
    options = TcpOptions(keepalive=True, keepalive_idle=60, keepalive_interval=60)
    sources = [Source(network["client"].host, network["server"], b"x", options=options, stay=True) for _ in range(1000)]
    network.run(until=10)
    assert len(sink.connections) == 1000
    before = time.process_time()
    network.run(until=3610)
    assert time.process_time() - before < 5
    assert all(source.connection.state is State.ESTABLISHED for source in sources)
    assert network.wires["client-server"].counters("client")["frames"] >= 60_000


def test_an_idle_connection_end_is_small() -> None:
    network = Network()
    network.host("client"), network.host("server")
    network.wire("client", "server")
    sink = Sink(network["server"].host)
    Source(network["client"].host, network["server"], b"x")
    network.run(until=1)
    gc.collect()
    tracemalloc.start()
    try:
        sources = [Source(network["client"].host, network["server"], b"x", stay=True) for _ in range(500)]
        network.run(until=10)
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(sink.connections) == 501
    assert all(source.connection.state is State.ESTABLISHED for source in sources)
    assert size / 1000 < 6000  # with what the test keeps of each


def test_a_hundred_hosts_and_a_thousand_connections() -> None:
    network = Network()
    network.switch("lan", "10.0.0.0/16")
    for number in range(100):
        network.host(f"h{number}")
        network.wire(f"h{number}", "lan", delay="5ms", rate="100Mbit")
    sinks = [Sink(network[f"h{number}"].host) for number in range(50)]
    for number in range(1000):
        Source(network[f"h{50 + number % 50}"].host, network[f"h{number * 7 % 50}"], bytes(10_000))
    before = time.process_time()
    network.run(until=30)
    taken = time.process_time() - before
    assert sum(sink.got for sink in sinks) == 10_000_000
    received = sum(interface.rx_packets for node in network.nodes.values() for interface in node.host.interfaces)
    assert received / taken > 5000  # a third of what is expected of an idle machine: this one may be busy


def test_a_bottleneck_is_filled() -> None:
    network = Network()
    network.host("client"), network.host("server")
    wire = network.wire("client", "server", rate="10Mbit", delay="25ms", queue=4000)
    sink = Sink(network["server"].host)
    Source(network["client"].host, network["server"], bytes(4_000_000))
    network.run(until=1)
    before, got = wire.counters("client")["bytes"], sink.got
    network.run(until=3)
    assert (wire.counters("client")["bytes"] - before) * 8 > 0.99 * 2 * 10e6
    assert (sink.got - got) * 8 > 0.95 * 2 * 10e6
    network.run(until=60)
    assert sink.got == 4_000_000
