"""A server crashes in mid-transfer and comes back with no memory of its connections: a client that resumes.

    python examples/server_crash.py [--pcap FOLDER]

The crash itself tells the client nothing: no FIN, no RST, just silence, which TCP fills with retransmissions and
a reader that only reads does not even have those. So the client sets itself a time-out, asks again for the rest, and
checks that the whole is right.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib

from netower.stack import Network

DATA = hashlib.shake_256(b"netower").digest(2_000_000)
CRASH, RESTART = 1.0, 3.0


async def serve() -> None:
    """Answers ``FROM n`` with all data from there on. Runs again after each restart."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = int((await reader.readline()).split()[1])
        writer.write(DATA[start:])
        writer.close()

    async with await asyncio.start_server(answer, port=80) as server:
        await server.serve_forever()


async def fetch(received: bytearray, patience: float) -> None:
    """Fetch what is missing. Raises TimeoutError when nothing comes for ``patience`` seconds."""
    async with asyncio.timeout(patience):
        reader, writer = await asyncio.open_connection("server", 80)
    try:
        writer.write(b"FROM %d\n" % len(received))
        while True:
            async with asyncio.timeout(patience):
                data = await reader.read(65536)
            if not data:
                return
            received += data
    finally:
        writer.transport.abort()


async def client() -> None:
    loop = asyncio.get_running_loop()
    received = bytearray()
    while len(received) < len(DATA):
        print(f"{loop.time():6.2f} s  asking from byte {len(received):,} on")
        try:
            await fetch(received, patience=0.75)
        except OSError as error:  # TimeoutError is one
            print(f"{loop.time():6.2f} s  {type(error).__name__} {error}".rstrip())
            await asyncio.sleep(0.25)
    print(f"{loop.time():6.2f} s  {len(received):,} bytes, {'intact' if received == DATA else 'WRONG'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pcap", metavar="FOLDER", help="record everything, for Wireshark and `netower ladder`")
    options = parser.parse_args()
    with Network(options.seed, pcap=options.pcap) as network:
        network.host("client")
        server = network.host("server")
        network.wire("client", "server", delay="20ms", rate="8Mbit", queue=50)
        network.start("server", serve)
        network.at(CRASH, server.crash)
        network.at(RESTART, server.restart)
        network.run(client(), on="client", until=600)


if __name__ == "__main__":
    main()
