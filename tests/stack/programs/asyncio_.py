"""asyncio: streams, many at once, half-close, a refused connection, datagrams."""

import asyncio


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert writer.get_extra_info("peername") == ("127.0.0.1", port)

    async def feed() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    feeding = asyncio.create_task(feed())
    answer = await reader.read()
    await feeding
    writer.close()
    await writer.wait_closed()
    return answer


class Mirror(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.transport.sendto(data[::-1], address)


class Ask(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.answer.set_result(data)


async def main() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    blocks = [bytes([number]) * 300_000 for number in range(20)]
    assert await asyncio.gather(*(ask(port, block) for block in blocks)) == blocks
    server.close()
    await server.wait_closed()
    try:
        await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        pass
    else:
        raise AssertionError("the server is closed")

    loop = asyncio.get_running_loop()
    mirror, _ = await loop.create_datagram_endpoint(Mirror, local_addr=("127.0.0.1", 0))
    address = mirror.get_extra_info("sockname")
    asking, protocol = await loop.create_datagram_endpoint(Ask, remote_addr=address)
    asking.sendto(b"straw")
    assert await asyncio.wait_for(protocol.answer, 10) == b"warts"
    mirror.close()
    asking.close()


asyncio.run(main())
