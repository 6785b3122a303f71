"""Many connections: at once, one after another, and resting in TIME-WAIT."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from .sides import HERE, PATIENCE, THERE, Part, Side, eventually, read_all

if TYPE_CHECKING:
    from .sides import Stack

pytestmark = pytest.mark.live

AT_ONCE = 200
IN_SEQUENCE = 2000

DIGESTS = """
import hashlib, socket, socketserver

class Digest(socketserver.BaseRequestHandler):
    def handle(self):
        digest = hashlib.sha256()
        while data := self.request.recv(65536):
            digest.update(data)
        self.request.sendall(digest.digest())

class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 256

with Server(("{host}", 0), Digest) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
"""

ACCEPT = """
import socket
listener = socket.create_server(("{host}", 0), backlog=1024)
print(listener.getsockname()[1], flush=True)
while True:
    listener.accept()[0].close()
"""


def ask(client: Part, address: tuple[str, int], meeting: threading.Barrier) -> bool:
    data = os.urandom(100_000)
    with client.connect(address) as connection:
        meeting.wait(PATIENCE)  # all are connected at one time
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection) == hashlib.sha256(data).digest()


@pytest.mark.parametrize("serving", ["program", "peer"])
def test_two_hundred_at_once(ours: Side, serving: str) -> None:
    server, client = (ours.program, ours.peer) if serving == "program" else (ours.peer, ours.program)
    host = HERE if serving == "program" else THERE
    with server.start("-c", DIGESTS.format(host=host)) as process, ThreadPoolExecutor(AT_ONCE) as pool:
        assert process.stdout
        address = host, int(process.stdout.readline())
        meeting = threading.Barrier(AT_ONCE)
        asked = [pool.submit(ask, client, address, meeting) for _ in range(AT_ONCE)]
        assert all(one.result() for one in asked)


def visit(client: Part, address: tuple[str, int], times: int) -> None:
    """Connect, wait for the other end to close, close."""
    for _ in range(times):
        with client.connect(address) as connection:
            assert connection.recv(1) == b""


def held(stack: Stack) -> int:
    """Connections that are not over, in the eyes of the stack."""
    return sum(row["state"] not in ("LISTEN", "TIME-WAIT") for row in stack.query("sockets"))


@pytest.mark.parametrize("serving", ["program", "peer"])
def test_one_after_another_nothing_is_left(ours: Side, stack: Stack, serving: str) -> None:
    server, client = (ours.program, ours.peer) if serving == "program" else (ours.peer, ours.program)
    host = HERE if serving == "program" else THERE
    with server.start("-c", ACCEPT.format(host=host)) as process:
        assert process.stdout
        address = host, int(process.stdout.readline())
        visit(client, address, 500)  # what is kept for good, such as memory that was grown once
        eventually(lambda: not held(stack))
        descriptors, memory = stack.descriptors(), stack.memory()
        visit(client, address, IN_SEQUENCE)
        eventually(lambda: not held(stack))
        eventually(lambda: stack.descriptors() <= descriptors)
        # Who closes first rests in TIME-WAIT.
        assert stack.memory() - memory < (4000 * IN_SEQUENCE if serving == "program" else 1_000_000)


def test_resting_connections_cost_no_time(ours: Side, stack: Stack) -> None:
    with ours.program.start("-c", ACCEPT.format(host=HERE)) as process:
        assert process.stdout
        visit(ours.peer, (HERE, int(process.stdout.readline())), 1000)
    eventually(lambda: not held(stack))
    assert sum(row["state"] == "TIME-WAIT" for row in stack.query("sockets")) >= 1000
    before = stack.cpu()
    time.sleep(2)
    assert stack.cpu() - before <= 0.02


def test_a_long_queue_of_connections(side: Side) -> None:
    """None is lost that waits to be accepted."""
    waiting = 700
    with side.program.listen(HERE, backlog=1024) as listener, ExitStack() as cleanup:
        clients = [cleanup.enter_context(side.peer.connect(listener.getsockname())) for _ in range(waiting)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        for number in range(waiting):
            connection, address = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                assert address == clients[number].getsockname()
                assert connection.recv(100) == b"%d\n" % number
                connection.sendall(b"yes")
        for client in clients:
            assert client.recv(100) == b"yes"


def test_a_full_queue_costs_no_time(ours: Side, stack: Stack) -> None:
    with ours.program.listen(HERE, backlog=2) as listener, ExitStack() as cleanup:
        for _ in range(10):
            client = cleanup.enter_context(ours.peer.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        before = stack.cpu()
        time.sleep(1)
        assert stack.cpu() - before < 0.1
        listener.accept()[0].close()
