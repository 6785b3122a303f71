"""Two TCP flows share a bottleneck: how soon does the second get its half?

    python examples/fairness.py [--plot speeds.png]

The second flow starts when the first has the line for itself. Prints the speeds second by second, and Jain's index of
fairness at the end: 1 when both are equal, 1/2 when one has it all.
"""

from __future__ import annotations

import argparse
import asyncio

from drawing import draw
from netower.stack import Network

RATE = 10e6
SECOND_STARTS = 5.0


async def serve(received: dict[str, int]) -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = (await reader.readline()).decode().strip()
        while data := await reader.read(65536):
            received[name] += len(data)

    async with await asyncio.start_server(take, port=80) as server:
        await server.serve_forever()


async def flow(name: str, start: float) -> None:
    await asyncio.sleep(start)
    _, writer = await asyncio.open_connection("server", 80)
    writer.write(f"{name}\n".encode())
    while True:
        writer.write(bytes(65536))
        await writer.drain()


def story(seconds: int, seed: int) -> dict[str, list[tuple[float, float]]]:
    """The speed of each flow in each second, in Mbit/s."""
    received = {"first": 0, "second": 0}
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in received}
    with Network(seed) as network:
        network.router("router")
        network.host("server")
        network.wire("router", "server", delay="5ms", rate=RATE, queue=60)
        for name in received:
            network.host(name)
            network.wire(name, "router", delay="5ms")
        network.start("server", serve(received))
        network.start("first", flow("first", 0))
        network.start("second", flow("second", SECOND_STARTS))
        for second in range(1, seconds + 1):
            before = dict(received)
            network.run(until=second)
            for name in received:
                speeds[name].append((second, (received[name] - before[name]) * 8 / 1e6))
    return speeds


def jain(shares: list[float]) -> float:
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=40, help="of virtual time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", metavar="FILE", help="draw the speeds")
    options = parser.parse_args()
    speeds = story(options.seconds, options.seed)
    for (second, first), (_, other) in zip(speeds["first"], speeds["second"], strict=True):
        print(f"{second:4.0f} s  {first:5.2f} {other:5.2f} Mbit/s  {'#' * round(first * 3)}{'-' * round(other * 3)}")
    last = max(1, options.seconds // 4)
    shares = [sum(speed for _, speed in flow[-last:]) / last for flow in speeds.values()]
    print(f"in the last {last} s: {shares[0]:.2f} and {shares[1]:.2f} Mbit/s, Jain's index {jain(shares):.3f}")
    if options.plot:
        draw(options.plot, "Two flows over 10 Mbit/s", "time (s)", "Mbit/s", speeds)


if __name__ == "__main__":
    main()
