"""servers.py KIND HOST CERTIFICATE KEY: the standard library's servers. Each answers what it reads, up to the client's
end, with its digest; it prints its port when it serves."""

import asyncio
import hashlib
import os
import socket
import socketserver
import ssl
import sys

kind, host, certificate, key = sys.argv[1:]


class Digest(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(hashlib.file_digest(self.rfile, "sha256").digest())


def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def socketserver_(server: type[socketserver.TCPServer]) -> None:
    with server((host, 0), Digest) as serving:
        print(serving.server_address[1], flush=True)
        serving.serve_forever()


def prefork() -> None:
    with socket.create_server((host, 0)) as listener:
        for _ in range(3):
            if os.fork() == 0:
                while True:
                    connection, address = listener.accept()
                    with connection:
                        Digest(connection, address, None)  # type: ignore[arg-type]
        print(listener.getsockname()[1], flush=True)
        os.wait()


async def asyncio_(context: ssl.SSLContext | None) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        digest = hashlib.sha256()
        if context:  # TLS has no half-close: the client says how much there is
            for _ in range(int(await reader.readline()) // 1000):
                digest.update(await reader.readexactly(1000))
        else:
            while data := await reader.read(1 << 16):
                digest.update(data)
        writer.write(digest.digest())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, host, 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def ssl_() -> None:
    with socket.create_server((host, 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            accepted, _ = listener.accept()
            with tls().wrap_socket(accepted, server_side=True) as secured, secured.makefile("rwb") as file:
                digest = hashlib.sha256(file.read(int(file.readline())))
                file.write(digest.digest())
                file.flush()


match kind:
    case "forking":
        socketserver_(socketserver.ForkingTCPServer)
    case "threading":
        socketserver_(socketserver.ThreadingTCPServer)
    case "prefork":
        prefork()
    case "asyncio":
        asyncio.run(asyncio_(None))
    case "asyncio-tls":
        asyncio.run(asyncio_(tls()))
    case "tls":
        ssl_()
