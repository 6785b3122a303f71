"""Libraries that know nothing of simulated networks, on one."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import aiohttp
import anyio
import httpx
import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

if TYPE_CHECKING:
    from netower.stack import Network


async def serve_http(tls: ssl.SSLContext | None = None) -> None:
    """An aiohttp server: says what it was sent."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.method} {request.path} {request.remote} {len(await request.read())}")

    application = web.Application(client_max_size=1 << 24)
    application.router.add_route("*", "/{path}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, port=443 if tls else 80, ssl_context=tls).start()
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def test_aiohttp_serves_and_fetches(network: Network) -> None:
    async def fetch() -> list[str]:
        async with aiohttp.ClientSession() as session:
            texts = []
            for size in 0, 100_000:
                async with session.post("http://server/x", data=bytes(size)) as response:
                    texts.append(await response.text())
            return texts

    network.start("server", serve_http)
    assert network.run(fetch(), on="client") == ["POST /x 10.0.0.1 0", "POST /x 10.0.0.1 100000"]
    assert 0.08 < network.now < 2


def test_aiohttp_speaks_tls(network: Network, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def fetch() -> str:
        async with aiohttp.ClientSession() as session, session.get("https://server/y", ssl=client_tls) as response:
            return await response.text()

    network.start("server", lambda: serve_http(server_tls))
    assert network.run(fetch(), on="client") == "GET /y 10.0.0.1 0"


def test_aiohttp_gives_up_in_virtual_time(network: Network) -> None:
    async def fetch() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=300)) as session:
            await session.get("http://server/")

    network.start("server", serve_http)
    network.partition(["client"], ["server"])
    with pytest.raises((aiohttp.ClientConnectorError, TimeoutError)):
        network.run(fetch(), on="client")
    assert 1 < network.now <= 300


def test_httpx_fetches(network: Network) -> None:
    async def fetch() -> str:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            response = await client.post("http://server/z", content=bytes(5000))
            return response.text

    network.start("server", serve_http)
    assert network.run(fetch(), on="client") == "POST /z 10.0.0.1 5000"


def test_websockets_talk(network: Network) -> None:
    async def echo() -> None:
        async def handle(connection: object) -> None:
            async for message in connection:  # type: ignore[attr-defined]
                await connection.send(message)  # type: ignore[attr-defined]

        async with serve(handle, "", 8765) as server:
            await server.serve_forever()

    async def talk() -> list[str | bytes]:
        async with connect("ws://server:8765", proxy=None) as connection:
            answers = []
            for message in "hello", b"\0" * 50_000:
                await connection.send(message)
                answers.append(await connection.recv())
            return answers

    network.start("server", echo)
    assert network.run(talk(), on="client") == ["hello", b"\0" * 50_000]


def test_anyio_streams_and_timeouts(network: Network) -> None:
    async def listen() -> None:
        async def handle(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                await stream.send((await stream.receive()).upper())

        listener = await anyio.create_tcp_listener(local_host="0.0.0.0", local_port=7)
        await listener.serve(handle)

    async def talk() -> bytes:
        with anyio.fail_after(5):
            async with await anyio.connect_tcp("server", 7) as stream:
                await stream.send(b"hello")
                return await stream.receive()

    network.start("server", listen)
    assert network.run(talk(), on="client") == b"HELLO"
    with pytest.raises(TimeoutError):
        network.run(_patient(5), on="client")


async def _patient(seconds: float) -> None:
    with anyio.fail_after(seconds):
        await anyio.sleep(10 * seconds)
