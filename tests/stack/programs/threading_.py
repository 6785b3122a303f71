"""A ThreadingTCPServer with many clients at once."""

import hashlib
import os
import socket
import socketserver
import threading


class Digest(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        digest = hashlib.sha256()
        while data := self.request.recv(65536):
            digest.update(data)
        self.request.sendall(digest.digest())


class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 64


wrong = []


def ask(address: tuple[str, int]) -> None:
    data = os.urandom(200_000)
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        if client.recv(100) != hashlib.sha256(data).digest():
            wrong.append(address)


with Server(("127.0.0.1", 0), Digest) as server:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    clients = [threading.Thread(target=ask, args=(server.server_address,)) for _ in range(40)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    server.shutdown()
    thread.join()
assert not wrong
