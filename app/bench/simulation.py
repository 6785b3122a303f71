"""Simulated networks, measured: idle time, work, patience, and memory."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...net.address import ANY4, parse
from ...stack.network import Network
from ...stack.simulation.frame import tcp
from ...transport.tcp.settings import TcpOptions
from ...transport.tcp.state import State

if TYPE_CHECKING:
    from ...stack.simulation.node import Node
    from ...transport.tcp.connection import Connection

PORT: Final = 80
CONNECTIONS: Final = 1000
HOSTS: Final = 100
#: What each connection of the work carries, in bytes.
SIZE: Final = 10_000
IDLE: Final = 3600.0
KEEPALIVE: Final = 60
#: What else than segments hosts receive, in the words of their counters.
_NO_SEGMENTS: Final = ("arp.requests_in", "arp.replies_in")


class Result(NamedTuple):
    """One figure: ``better`` says which direction is."""

    name: str
    title: str
    value: float
    unit: str
    better: str


class Sink:
    """A server that takes what its connections bring, and closes when they do."""

    def __init__(self, node: Node) -> None:
        self.received = 0
        self.connections: list[Connection] = []
        self._listener = node.host.tcp.listen((ANY4, PORT), CONNECTIONS)
        self._listener.observer = self._accept

    def _accept(self) -> None:
        while (connection := self._listener.accept()) is not None:
            self.connections.append(connection)
            connection.observer = _bound(self._take, connection)
            self._take(connection)

    def _take(self, connection: Connection) -> None:
        if connection.readable:
            self.received += connection.readable
            connection.consume(connection.readable)
        if connection.at_end:
            connection.observer = None
            connection.close()


def _bound(function: Callable[[Connection], None], connection: Connection) -> Callable[[], None]:
    return lambda: function(connection)


def connect(client: Node, server: Node, data: bytes = b"", options: TcpOptions | None = None) -> Connection:
    """A connection that carries ``data`` and is closed then; without data it stays, idle."""
    connection = client.host.tcp.connect(None, (parse(server.address), PORT), options or TcpOptions())
    if data:

        def send() -> None:
            if connection.state is State.ESTABLISHED:
                connection.observer = None
                connection.write(data)
                connection.close()

        connection.observer = send
    return connection


def pair() -> tuple[Network, Node, Node]:
    """Two hosts on a wire."""
    network = Network()
    client, server = network.host("client"), network.host("server")
    network.wire(client, server, delay="10ms")
    return network, client, server


def idle_hour() -> list[Result]:
    """A virtual hour with idle connections that keep themselves alive."""
    network, client, server = pair()
    Sink(server)
    options = TcpOptions(keepalive=True, keepalive_idle=KEEPALIVE, keepalive_interval=KEEPALIVE)
    connections = [connect(client, server, options=options) for _ in range(CONNECTIONS)]
    network.run(until=10)
    start = time.perf_counter()
    network.run(until=10 + IDLE)
    elapsed = time.perf_counter() - start
    _check(all(connection.state is State.ESTABLISHED for connection in connections), "a connection did not last")
    title = f"one virtual hour, {CONNECTIONS:,} idle connections, keep-alive every {KEEPALIVE} s"
    return [Result("idle_hour", title, elapsed, "s", "lower")]


def silence() -> list[Result]:
    """A connection attempt to a host that never answers, for as long as it takes to give up."""
    network, client, server = pair()
    network.wires["client-server"].drop(tcp, sender=client.name)
    connection = connect(client, server)
    start = time.perf_counter()
    while connection.state is not State.CLOSED:
        network.run(events=1)
    elapsed = time.perf_counter() - start
    return [
        Result("silence", f"a connection attempt that times out after {network.now:.0f} virtual s",
               elapsed * 1e3, "ms", "lower"),
    ]  # fmt: skip


def work() -> list[Result]:
    """Many hosts on one switch, half of them servers: how fast segments are delivered."""
    network = Network()
    network.switch("lan", "10.0.0.0/16")
    nodes = [network.host(f"host{number}") for number in range(HOSTS)]
    for node in nodes:
        network.wire(node, "lan", delay="5ms", rate="100Mbit")
    servers, clients = nodes[: HOSTS // 2], nodes[HOSTS // 2 :]
    sinks = [Sink(node) for node in servers]
    for number in range(CONNECTIONS):
        connect(clients[number % len(clients)], servers[number * 7 % len(servers)], bytes(SIZE))
    start = time.process_time()
    network.run(until=30)
    elapsed = time.process_time() - start
    total = sum(sink.received for sink in sinks)
    _check(total == CONNECTIONS * SIZE, f"{total} bytes arrived instead of {CONNECTIONS * SIZE}")
    segments = sum(interface.rx_packets for node in nodes for interface in node.host.interfaces)
    segments -= sum(node.host.internet.counters[kind] for node in nodes for kind in _NO_SEGMENTS)
    title = f"{HOSTS} hosts, {CONNECTIONS:,} connections, {total / 1e6:g} MB"
    return [
        Result("work", title, elapsed, "CPU s", "lower"),
        Result("segments", "segments delivered then, acknowledgments included", segments / elapsed,
               "per CPU s", "higher"),
    ]  # fmt: skip


def memory() -> list[Result]:
    """What one end of an established, idle connection keeps."""
    network, client, server = pair()
    sink = Sink(server)
    connect(client, server)
    network.run(until=1)
    gc.collect()
    tracemalloc.start()
    try:
        connections = [connect(client, server) for _ in range(CONNECTIONS)]
        network.run(until=10)
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    _check(len(sink.connections) == len(connections) + 1, "not all connections were established")
    return [Result("memory", "memory of an established idle connection end", size / 2 / CONNECTIONS, "bytes", "lower")]


MEASURES: Final[tuple[Callable[[], list[Result]], ...]] = (idle_hour, silence, work, memory)


def measure(repeat: int) -> list[dict[str, Any]]:
    """All figures, each the median of so many networks of its own. Raises RuntimeError if one did not do its work."""
    figures = []
    for each in MEASURES:
        samples = [each() for _ in range(repeat)]
        for figure in zip(*samples, strict=True):
            figures.append(figure[0]._replace(value=median(result.value for result in figure))._asdict())
    return figures


def _check(condition: bool, text: str) -> None:
    if not condition:
        raise RuntimeError(text)
