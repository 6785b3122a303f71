"""Hosts on a program's own event loop, joined by packets that the program carries."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import socket as kernel
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from netower.app.bench.embedded import tunnel
from netower.app.bench.ends import Placement
from netower.link.fed import FedLink
from netower.stack.aio.embedded import EmbeddedHost
from netower.stack.aio.tunnel import DatagramTunnel, StreamTunnel

if TYPE_CHECKING:
    import ssl


@contextlib.asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[tuple[EmbeddedHost, EmbeddedHost]]:
    """Two hosts, 10.0.0.1 and 10.0.0.2, each fed with what the other sends."""
    async with EmbeddedHost(names={"there": "10.0.0.2"}) as here, EmbeddedHost() as there:
        near = FedLink(send=lambda packet: far.feed(packet), **options)
        far = FedLink(send=lambda packet: near.feed(packet), **options)
        here.attach(near, "10.0.0.1/24")
        there.attach(far, "10.0.0.2/24")
        yield here, there


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def gather_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    """Send data and a FIN, while reading until the peer's."""

    async def send() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    sender = asyncio.create_task(send())
    received = await reader.read()
    await sender
    writer.close()
    await writer.wait_closed()
    return received


def test_streams_both_ways() -> None:
    data = bytes(range(256)) * 8000

    async def main() -> None:
        async with pair(mtu=9000) as (here, there):
            server = await there.start_server(echo, port=7)
            assert server.sockets[0].getsockname() == ("0.0.0.0", 7)
            reader, writer = await here.open_connection("there", 7)
            assert writer.get_extra_info("peername") == ("10.0.0.2", 7)
            assert writer.get_extra_info("socket").getpeername() == ("10.0.0.2", 7)
            assert await gather_all(reader, writer, data) == data

    asyncio.run(main())


def test_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    data = bytes(300_000)

    async def main() -> None:
        async with pair() as (here, there):
            await there.start_server(echo, port=443, ssl=server_tls)
            reader, writer = await here.open_connection("there", 443, ssl=client_tls)
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            assert writer.get_extra_info("ssl_object") is not None
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_datagrams() -> None:
    class Reflect(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.transport.sendto(data.upper(), address)

    class First(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.received: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.received.set_result((data, address))

    async def main() -> None:
        async with pair() as (here, there):
            await there.create_datagram_endpoint(Reflect, local_addr=("0.0.0.0", 53))
            transport, first = await here.create_datagram_endpoint(First, local_addr=("0.0.0.0", 0))
            transport.sendto(b"hello", ("there", 53))
            assert await asyncio.wait_for(first.received, 5) == (b"HELLO", ("10.0.0.2", 53))
            transport.close()

    asyncio.run(main())


def test_errors_are_the_kernels() -> None:
    async def main() -> None:
        async with pair() as (here, there):
            with pytest.raises(ConnectionRefusedError):
                await here.open_connection("there", 1)
            with pytest.raises(OSError) as unreachable:
                await here.open_connection("192.0.2.1", 1)
            assert unreachable.value.errno == errno.ENETUNREACH
            await there.start_server(echo, port=7)
            with pytest.raises(OSError, match="in use"):
                await there.start_server(echo, port=7)

    asyncio.run(main())


def test_a_buffered_protocol_is_filled_in_place() -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(1000)
            self.received = bytearray()
            self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def get_buffer(self, size: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, size: int) -> None:
            self.received += self.buffer[:size]

        def connection_lost(self, failure: Exception | None) -> None:
            self.ended.set_result(None)

    data = bytes(range(250)) * 100

    async def main() -> None:
        async with pair() as (here, there):

            async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(data)
                writer.close()

            await there.start_server(send, port=7)
            _, protocol = await here.create_connection(Buffered, "there", 7)
            await asyncio.wait_for(protocol.ended, 5)
            assert protocol.received == data

    asyncio.run(main())


def test_a_paused_transport_hands_nothing_on_and_loses_nothing() -> None:
    class Pausing(asyncio.Protocol):
        def __init__(self) -> None:
            self.received = bytearray()
            self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def data_received(self, data: bytes) -> None:
            self.received += data

        def eof_received(self) -> None:
            self.ended.set_result(None)

    data = bytes(5_000_000)

    async def main() -> None:
        async with pair() as (here, there):

            async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(data)
                writer.close()

            await there.start_server(send, port=7)
            transport, protocol = await here.create_connection(Pausing, "there", 7)
            transport.pause_reading()
            assert not transport.is_reading()
            await asyncio.sleep(0.1)
            assert len(protocol.received) < len(data)
            transport.resume_reading()
            await asyncio.wait_for(protocol.ended, 20)
            assert len(protocol.received) == len(data)
            transport.close()

    asyncio.run(main())


def test_a_protocol_that_fails_ends_its_connection_alone() -> None:
    reports: list[dict[str, Any]] = []

    class Failing(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        async with pair() as (here, there):
            await there.create_server(Failing, port=1)
            await there.start_server(echo, port=7)
            reader, writer = await here.open_connection("there", 1)
            writer.write(b"x")
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            reader, writer = await here.open_connection("there", 7)
            assert await gather_all(reader, writer, b"fine") == b"fine"

    asyncio.run(main())
    assert isinstance(reports[0]["exception"], ZeroDivisionError)


def test_leaving_delivers_what_closed_connections_wrote() -> None:
    data = bytes(3_000_000)
    received = bytearray()

    async def main() -> None:
        ended = asyncio.Event()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.extend(await reader.read())
            writer.close()
            ended.set()

        async with EmbeddedHost() as there:
            far = FedLink(send=lambda packet: near.feed(packet))
            there.attach(far, "10.0.0.2/24")
            await there.start_server(take, port=7)
            async with EmbeddedHost() as here:
                near = FedLink(send=far.feed)
                here.attach(near, "10.0.0.1/24")
                _, writer = await here.open_connection("10.0.0.2", 7)
                writer.write(data)
                writer.close()
            await asyncio.wait_for(ended.wait(), 5)

    asyncio.run(main())
    assert received == data


def test_two_programs_joined_by_a_udp_socket() -> None:
    """100 MB, intact, without root."""
    report = tunnel(Placement(), 100)
    assert report["bytes"] == 100_000_000


def test_importing_it_costs_no_other_loop() -> None:
    code = "import sys, netower.stack.aio.embedded; print([m for m in sys.modules if 'simul' in m or 'server' == m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout) == []


def udp_pair() -> tuple[kernel.socket, kernel.socket]:
    """Two UDP sockets on loopback, connected with each other."""
    ends = kernel.socket(type=kernel.SOCK_DGRAM), kernel.socket(type=kernel.SOCK_DGRAM)
    for end in ends:
        end.bind(("127.0.0.1", 0))
    ends[0].connect(ends[1].getsockname())
    ends[1].connect(ends[0].getsockname())
    return ends


@pytest.mark.parametrize("stream", [False, True], ids=["datagrams", "stream"])
def test_a_link_over_an_asyncio_transport(stream: bool) -> None:
    async def join() -> tuple[Any, Any]:
        loop = asyncio.get_running_loop()
        ends = kernel.socketpair() if stream else udp_pair()
        for end in ends:
            end.setblocking(False)
        if stream:
            return tuple([(await loop.create_connection(StreamTunnel, sock=end))[1] for end in ends])
        return tuple([(await loop.create_datagram_endpoint(DatagramTunnel, sock=end))[1] for end in ends])

    async def main() -> None:
        near, far = await join()
        async with EmbeddedHost() as here, EmbeddedHost() as there:
            here.attach(near.link, "10.0.0.1/24")
            there.attach(far.link, "10.0.0.2/24")
            await there.start_server(echo, port=7)
            reader, writer = await here.open_connection("10.0.0.2", 7)
            data = bytes(range(256)) * 1000
            assert await gather_all(reader, writer, data) == data
        for each in near, far:
            each._transport.close()
        await asyncio.sleep(0.01)

    asyncio.run(main())
