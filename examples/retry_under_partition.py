"""A client whose server is cut off for ten seconds: what happens without a time-out, and with retries.

    python examples/retry_under_partition.py

TCP is patient. A connection attempt into a partition sends its SYN again after 1, 3, 7, 15 … seconds, so it may succeed
long after the network has healed. A client that gives up early and tries again notices sooner.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from netower.stack import Network

CUT, HEALED = 1.0, 11.0


async def serve() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here I am\n")
        writer.close()

    async with await asyncio.start_server(answer, port=7) as server:
        await server.serve_forever()


async def ask() -> bytes:
    reader, writer = await asyncio.open_connection("server", 7)
    try:
        return await reader.readline()
    finally:
        writer.close()


async def patient() -> tuple[bytes, int]:
    """One attempt, for as long as TCP tries."""
    return await ask(), 1


async def retrying() -> tuple[bytes, int]:
    """Attempts of 0.5 s, with pauses that double up to 2 s."""
    pause, attempt = 0.25, 0
    while True:
        attempt += 1
        try:
            async with asyncio.timeout(0.5):
                return await ask(), attempt
        except (TimeoutError, OSError):
            await asyncio.sleep(pause)
            pause = min(2 * pause, 2.0)


async def client(strategy: Callable[[], Awaitable[tuple[bytes, int]]]) -> tuple[float, int]:
    """Ask in the middle of the partition; when there was an answer, and on which attempt."""
    await asyncio.sleep(2)
    answer, attempts = await strategy()
    assert answer == b"here I am\n"
    return asyncio.get_running_loop().time(), attempts


def story(strategy: Callable[[], Awaitable[tuple[bytes, int]]], seed: int) -> tuple[float, int]:
    with Network(seed) as network:
        network.host("client"), network.host("server"), network.router("router")
        network.wire("client", "router", delay="10ms"), network.wire("router", "server", delay="10ms")
        network.start("server", serve)
        network.at(CUT, network.partition, ["client"], ["server"])
        network.at(HEALED, network.heal)
        return network.run(client(strategy), on="client", until=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"partition from {CUT:g} s to {HEALED:g} s, the client asks at 2 s")
    for strategy in (patient, retrying):
        when, attempts = story(strategy, options.seed)
        late = when - HEALED
        print(f"{strategy.__name__:>9}: answered at {when:5.2f} s, {late:.2f} s after the heal, on attempt {attempts}")


if __name__ == "__main__":
    main()
