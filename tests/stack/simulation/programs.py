"""Small programs for simulated hosts: one takes what comes, one sends.

Run as ``programs.py SEED FOLDER``, this is a story with captures.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from netower.net.address import ANY4, parse
from netower.stack import Network
from netower.stack.simulation.conditions import Bursts
from netower.transport.tcp.settings import TcpOptions
from netower.transport.tcp.state import State

if TYPE_CHECKING:
    from netower.stack import Host
    from netower.stack.simulation.node import Node
    from netower.transport.tcp.connection import Connection

PORT = 80


class Sink:
    """A server on ``host`` that takes what its connections bring, and says how much that was and when it ended."""

    def __init__(self, host: Host) -> None:
        self.scheduler = host.scheduler
        self.connections: list[Connection] = []
        self.got = 0
        self.data = bytearray()
        self.ended_at: list[float] = []
        self._listener = host.tcp.listen((ANY4, PORT), 4096)
        self._listener.observer = self._accept

    def _accept(self) -> None:
        while (connection := self._listener.accept()) is not None:
            self.connections.append(connection)
            connection.observer = lambda connection=connection: self._take(connection)
            self._take(connection)

    def _take(self, connection: Connection) -> None:
        if connection.readable:
            for piece in connection.received:
                self.data += piece
            self.got += connection.readable
            connection.consume(connection.readable)
        if connection.at_end:
            self.ended_at.append(self.scheduler.now)
            connection.observer = None
            connection.close()


class Source:
    """A client on ``host`` that connects to ``server``, sends ``data``, and closes."""

    def __init__(
        self, host: Host, server: Node, data: bytes, *, options: TcpOptions | None = None, stay: bool = False
    ) -> None:
        self.left = memoryview(data)
        self.stay = stay
        self.error: int | None = None
        self.ended_at: float | None = None
        self.scheduler = host.scheduler
        self.connection = host.tcp.connect(None, (parse(server.address), PORT), options or TcpOptions())
        self.connection.observer = self._push

    def _push(self) -> None:
        connection = self.connection
        if connection.state is State.CLOSED:
            self.error, self.ended_at = connection.error, self.scheduler.now
            connection.observer = None
        elif connection.state is not State.SYN_SENT:
            while self.left and connection.room > 0:
                size = min(connection.room, len(self.left))
                connection.write(self.left[:size])
                self.left = self.left[size:]
            if not self.left and not self.stay:
                connection.observer = None
                connection.close()


def story(seed: int, folder: str) -> int:
    """Twenty hosts on two switches, with all that can happen on the way between them; how many bytes arrived."""
    with Network(seed, pcap=folder) as network:
        network.router("r")
        for lan in ("left", "right"):
            network.switch(lan)
            network.wire("r", lan, delay="5ms", rate="20Mbit", queue="codel")
        for number in range(10):
            for lan in ("left", "right"):
                network.host(f"{lan}{number}")
                network.wire(f"{lan}{number}", lan, delay="2ms", jitter="1ms", loss=("1%", Bursts("1%", 3)),
                             reorder="2%", reorder_by="4ms", duplicate="1%", corrupt="0.5%")  # fmt: skip
        sinks = [Sink(network[f"right{number}"].host) for number in range(10)]
        for number in range(10):
            Source(network[f"left{number}"].host, network[f"right{number}"], bytes(30_000))
        network.at(0.2, network["right3"].crash)
        network.at(0.4, network["right3"].restart)
        network.at(0.3, network.partition, ["left4"], ["right4", "right5"])
        network.at(0.6, network.heal)
        network.run(until=60)
        return sum(sink.got for sink in sinks)


if __name__ == "__main__":
    print(story(int(sys.argv[1]), sys.argv[2]))
