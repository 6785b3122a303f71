"""How fast TCP is over a line that loses: measured, beside what theory says.

    python examples/loss_table.py [--plot goodput.png] [--markdown]

A transfer over 10 Mbit/s and a round trip of 50 ms, with independent loss. The response function of Reno's congestion
control is Mathis et al.'s, sqrt(3/2) / sqrt(p) segments per round trip (1997), that of CUBIC is RFC 9438's (§5.1), and
neither can be more than the bottleneck carries. The measured goodput leaves out the first seconds (slow start).
"""

from __future__ import annotations

import argparse
import asyncio
import math

from drawing import draw
from netower.stack import Network

RATE, ROUND_TRIP = 10e6, 0.05
#: Payload of a segment with timestamps, and what it is on an Ethernet wire, in bytes.
SEGMENT, FRAME = 1448, 1514
LOSSES = (0.0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03)
WARM_UP = 5.0
BOTTLENECK = RATE * SEGMENT / FRAME


def reno(loss: float) -> float:
    """Goodput in bit/s by Mathis's formula."""
    return SEGMENT * 8 / ROUND_TRIP * math.sqrt(1.5 / loss) if loss else math.inf


def cubic(loss: float) -> float:
    """Goodput in bit/s by RFC 9438 §5.1, with C = 0.4 and beta = 0.7; Reno's where that is more (§4.3)."""
    window = 1.054 * (ROUND_TRIP / loss) ** 0.75 if loss else math.inf
    return max(SEGMENT * 8 * window / ROUND_TRIP, reno(loss))


async def serve(received: list[int]) -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 20):
            received[0] += len(data)

    async with await asyncio.start_server(take, port=80) as server:
        await server.serve_forever()


async def send() -> None:
    _, writer = await asyncio.open_connection("server", 80)
    while True:
        writer.write(bytes(65536))
        await writer.drain()


def goodput(loss: float, seconds: float, seed: int) -> float:
    """What a transfer reaches with so much loss, in bit/s, from `WARM_UP` on."""
    received = [0]
    with Network(seed) as network:
        network.host("client"), network.host("server")
        network.wire("client", "server", delay=ROUND_TRIP / 2, rate=RATE, queue=100, loss=(loss, 0))
        network.start("server", serve(received))
        network.start("client", send())
        network.run(until=WARM_UP)
        before = received[0]
        network.run(until=WARM_UP + seconds)
        return (received[0] - before) * 8 / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120, help="of virtual time, for each line")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", action="store_true", help="print the table for a document")
    parser.add_argument("--plot", metavar="FILE", help="draw the table")
    options = parser.parse_args()
    print("| loss | goodput Mbit/s | of the bottleneck | Reno says | CUBIC says | goodput / Reno |")
    if options.markdown:
        print("|---:|---:|---:|---:|---:|---:|")
    curves: dict[str, list[tuple[float, float]]] = {"measured": [], "Reno": [], "CUBIC": []}
    for loss in LOSSES:
        measured = goodput(loss, options.seconds, options.seed)
        says = [min(function(loss), BOTTLENECK) for function in (reno, cubic)]
        print(
            f"| {loss:.2%} | {measured / 1e6:.2f} | {measured / BOTTLENECK:.0%} | {says[0] / 1e6:.2f} "
            f"| {says[1] / 1e6:.2f} | {measured / says[0]:.2f} |"
        )
        if loss:
            for name, value in zip(curves, (measured, *says), strict=True):
                curves[name].append((loss * 100, value / 1e6))
    if options.plot:
        draw(options.plot, "One flow over 10 Mbit/s, 50 ms", "loss (%)", "goodput (Mbit/s)", curves, log=True)


if __name__ == "__main__":
    main()
