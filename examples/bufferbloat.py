"""Bufferbloat: a download fills the queue of a slow line, and everything else waits in it; CoDel mends that, or BBR.

    python examples/bufferbloat.py [--plot latency.png]

While a file is fetched over 5 Mbit/s, a datagram goes there and back ten times a second. Behind a queue that drops only
what no longer fits, its round trip grows to seconds. With CoDel (RFC 8289) in the line it stays short, and the download
is hardly slower; and so it does before the same long queue if the server sends by BBR, which does not wait for losses.
"""

from __future__ import annotations

import argparse
import asyncio

from drawing import draw
from netower.stack import HostSettings, Network
from netower.transport.tcp.settings import TcpSettings

RATE = 5e6


class Echo(asyncio.DatagramProtocol):
    """Sends back what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        assert isinstance(self.transport, asyncio.DatagramTransport)
        self.transport.sendto(data, address)


class Probe(asyncio.DatagramProtocol):
    """Notes when each number went out, and how long until it was back."""

    def __init__(self) -> None:
        self.sent: dict[bytes, float] = {}
        self.round_trips: list[tuple[float, float]] = []

    def send(self, transport: asyncio.DatagramTransport) -> None:
        number = str(len(self.sent)).encode()
        self.sent[number] = asyncio.get_running_loop().time()
        transport.sendto(number)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        sent = self.sent[data]
        self.round_trips.append((sent, (asyncio.get_running_loop().time() - sent) * 1e3))


async def serve() -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Echo, local_addr=("0.0.0.0", 7))
    async with await asyncio.start_server(flood, port=80) as server:
        await server.serve_forever()


async def client(seconds: float) -> tuple[list[tuple[float, float]], float]:
    """The round trips (when, ms), and the download's speed in bit/s."""
    loop = asyncio.get_running_loop()
    transport, probe = await loop.create_datagram_endpoint(Probe, remote_addr=("server", 7))
    received = 0

    async def download() -> None:
        nonlocal received
        reader, _ = await asyncio.open_connection("server", 80)
        while data := await reader.read(65536):
            received += len(data)

    task = asyncio.create_task(download())
    end = loop.time() + seconds
    while loop.time() < end:
        probe.send(transport)
        await asyncio.sleep(0.1)
    task.cancel()
    transport.close()
    return probe.round_trips, received * 8 / seconds


def story(queue: int | str, congestion: str, seconds: float, seed: int) -> tuple[list[tuple[float, float]], float]:
    with Network(seed) as network:
        network.host("client")
        network.host("server", settings=HostSettings(tcp=TcpSettings(congestion=congestion)))
        network.wire("server", "client", delay="20ms", rate=RATE, queue=queue)
        network.start("server", serve)
        return network.run(client(seconds), on="client")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="of virtual time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", metavar="FILE", help="draw the round trips")
    options = parser.parse_args()
    curves = {}
    for name, queue, congestion in (
        ("a queue of 1000 frames", 1000, "cubic"),
        ("CoDel", "codel", "cubic"),
        ("a queue of 1000 frames, BBR", 1000, "bbr"),
    ):
        round_trips, speed = story(queue, congestion, options.seconds, options.seed)
        times = sorted(time for _, time in round_trips)
        print(f"{name}: round trip {times[len(times) // 2]:.0f} ms (median), {times[-1]:.0f} ms (worst); "
              f"download {speed / 1e6:.2f} of {RATE / 1e6:.0f} Mbit/s")  # fmt: skip
        curves[name] = round_trips
    if options.plot:
        draw(options.plot, "A datagram's round trip during a download", "time (s)", "ms", curves)


if __name__ == "__main__":
    main()
