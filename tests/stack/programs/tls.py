"""TLS over blocking sockets and over asyncio streams, the server's certificate verified."""

import asyncio
import os
import socket
import ssl
import sys
import threading

certificate, key = sys.argv[1:]
serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
serving.load_cert_chain(certificate, key)
trusting = ssl.create_default_context(cafile=certificate)
data = os.urandom(1 << 20)


def serve_one(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    with serving.wrap_socket(accepted, server_side=True) as secured:
        received = bytearray()
        while len(received) < len(data):
            received += secured.recv(65536)
        secured.sendall(received[::-1])
        secured.unwrap()


with socket.create_server(("127.0.0.1", 0)) as listener:
    thread = threading.Thread(target=serve_one, args=(listener,))
    thread.start()
    with (
        socket.create_connection(listener.getsockname(), timeout=20) as plain,
        trusting.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        assert client.getpeername() == listener.getsockname()
        client.sendall(data)
        answer = bytearray()
        while len(answer) < len(data):
            answer += client.recv(65536)
        assert answer == data[::-1]
        client.unwrap().close()
    thread.join()


async def main() -> None:
    served = asyncio.Event()

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        served.set()

    server = await asyncio.start_server(shout, "127.0.0.1", 0, ssl=serving)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="localhost")
    writer.write(b"quiet\n")
    assert await reader.readline() == b"QUIET\n"
    writer.close()
    await writer.wait_closed()
    await served.wait()
    server.close()


asyncio.run(main())
