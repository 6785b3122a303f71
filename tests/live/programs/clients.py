"""clients.py KIND HOST PORT CERTIFICATE: fetches digests from one of the servers, and holds them to its own."""

import asyncio
import hashlib
import os
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

kind, host, port, certificate = sys.argv[1:]
address = host, int(port)
SIZE = 300_000


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    return context


def plain(number: int) -> None:
    data = os.urandom(SIZE + number)
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as file:
            assert file.read() == hashlib.sha256(data).digest()


def secured(number: int) -> None:
    data = os.urandom(SIZE)
    with (
        socket.create_connection(address, timeout=20) as connection,
        trusting().wrap_socket(connection, server_hostname=host) as wrapped,
    ):
        wrapped.sendall(b"%d\n" % SIZE + data)
        answer = b""
        while len(answer) < 32:
            answer += wrapped.recv(32)
        assert answer == hashlib.sha256(data).digest()


async def streams(number: int) -> None:
    data = os.urandom(SIZE)
    context = trusting() if kind == "asyncio-tls" else None
    reader, writer = await asyncio.open_connection(*address, ssl=context)
    writer.write(b"%d\n" % SIZE + data if context else data)
    await writer.drain()
    if not context:
        writer.write_eof()
    assert await reader.readexactly(32) == hashlib.sha256(data).digest()
    writer.close()
    await writer.wait_closed()


async def many() -> None:
    await asyncio.wait_for(asyncio.gather(*map(streams, range(20))), 20)


if kind.startswith("asyncio"):
    asyncio.run(many())
else:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(secured if kind == "tls" else plain, range(20)))
print("equal")
