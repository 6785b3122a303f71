"""A routing detour: the short way breaks, packets vanish, and once the routers have noticed they go the long way.

python examples/routing_detour.py [--plot round_trips.png]
"""

from __future__ import annotations

import argparse
import asyncio

from bufferbloat import Echo, Probe
from drawing import draw
from netower.stack import Network

BROKEN, NOTICED, MENDED = 2.0, 4.0, 7.0


async def serve() -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=("0.0.0.0", 7))
    await asyncio.sleep(1e6)


async def probe(seconds: float) -> tuple[int, list[tuple[float, float]]]:
    """How many datagrams were sent, and the round trips (when, ms) of those that came back."""
    loop = asyncio.get_running_loop()
    transport, probe = await loop.create_datagram_endpoint(Probe, remote_addr=("server", 7))
    while loop.time() < seconds:
        probe.send(transport)
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    transport.close()
    return len(probe.sent), probe.round_trips


def story(seed: int) -> tuple[int, list[tuple[float, float]]]:
    with Network(seed) as network:
        network.host("client"), network.host("server")
        for name in ("west", "east", "south"):
            network.router(name)
        network.wire("client", "west"), network.wire("server", "east")
        short = network.wire("west", "east", delay="10ms")
        network.wire("west", "south", delay="30ms"), network.wire("south", "east", delay="30ms")
        network.at(BROKEN, short.fail)
        network.at(NOTICED, network.reroute)
        network.at(MENDED, short.recover)
        network.at(MENDED, network.reroute)
        network.start("server", serve)
        return network.run(probe(9), on="client")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", metavar="FILE", help="draw the round trips")
    options = parser.parse_args()
    sent, round_trips = story(options.seed)
    for name, start, end in (
        ("the short way", 0, BROKEN),
        ("broken, and nobody knows", BROKEN, NOTICED),
        ("the long way", NOTICED, MENDED),
        ("mended", MENDED, 9),
    ):
        times = [time for when, time in round_trips if start <= when < end]
        seen = f"round trip {sorted(times)[len(times) // 2]:5.1f} ms" if times else "no answers"
        print(f"{start:3.0f} s to {end:.0f} s  {len(times):3} answers, {seen}  ({name})")
    print(f"{sent - len(round_trips)} of {sent} datagrams were lost")
    if options.plot:
        draw(options.plot, "A wire breaks, and routers find a detour", "time (s)", "ms", {"round trip": round_trips})


if __name__ == "__main__":
    main()
