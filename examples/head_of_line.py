"""Head-of-line blocking: one lost segment holds up every stream that shares its TCP connection.

    python examples/head_of_line.py [--plot delays.png]

Four streams send a message each 10 ms. Once all go over one connection, once each over its own. The same segment, the
twentieth with data, is lost in both runs.
"""

from __future__ import annotations

import argparse
import asyncio
import struct

from drawing import draw
from netower.stack import Network
from netower.stack.simulation.frame import data, nth

STREAMS, MESSAGES = 4, 25
#: Stream, number, and when it was sent, padded to 500 bytes.
MESSAGE = struct.Struct(">BId487x")


async def receive(arrivals: dict[int, list[tuple[float, float]]]) -> None:
    """Note when each message was sent, and how long it took, by stream."""
    loop = asyncio.get_running_loop()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                stream, _, sent = MESSAGE.unpack(await reader.readexactly(MESSAGE.size))
                arrivals.setdefault(stream, []).append((sent, loop.time() - sent))
        except asyncio.IncompleteReadError:
            writer.close()

    async with await asyncio.start_server(take, port=7) as server:
        await server.serve_forever()


async def send(shared: bool) -> None:
    count = 1 if shared else STREAMS
    writers = [(await asyncio.open_connection("server", 7))[1] for _ in range(count)]
    for number in range(MESSAGES):
        for stream in range(STREAMS):
            writers[stream % count].write(MESSAGE.pack(stream, number, asyncio.get_running_loop().time()))
            await asyncio.sleep(0.01 / STREAMS)
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(1)


def story(shared: bool, seed: int) -> dict[int, list[tuple[float, float]]]:
    arrivals: dict[int, list[tuple[float, float]]] = {}
    with Network(seed) as network:
        network.host("client"), network.host("server")
        wire = network.wire("client", "server", delay="25ms", rate="20Mbit")
        wire.drop(nth(20, data), sender="client")
        network.start("server", receive(arrivals))
        network.run(send(shared), on="client", until=60)
    return arrivals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", metavar="FILE", help="draw the delay of each message")
    options = parser.parse_args()
    curves = {}
    for name, shared in (("one connection", True), ("a connection for each stream", False)):
        arrivals = story(shared, options.seed)
        delayed = [stream for stream, times in sorted(arrivals.items()) if max(delay for _, delay in times) > 0.04]
        worst = max(delay for times in arrivals.values() for _, delay in times)
        print(f"{name}: {len(delayed)} of {STREAMS} streams were held up, a message by {worst * 1e3:.0f} ms at worst")
        curves[name] = sorted((sent, delay * 1e3) for times in arrivals.values() for sent, delay in times)
    if options.plot:
        draw(options.plot, "One lost segment", "sent at (s)", "delay (ms)", curves)


if __name__ == "__main__":
    main()
