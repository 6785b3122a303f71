"""Programs as the standard library and others write them, on simulated hosts."""

from __future__ import annotations

import hashlib
import os
import select
import selectors
import socket
import socketserver
import subprocess
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import netower.stack.socket
import pytest
import requests
from netower.stack import Network
from netower.stack.calls import numbers as n
from netower.stack.simulation.frame import tcp

if TYPE_CHECKING:
    from pathlib import Path


STAMP_WHEN_ACKNOWLEDGED = (
    socket.SOL_SOCKET,
    n.SO_TIMESTAMPING,
    n.SOF_TIMESTAMPING_TX_ACK.to_bytes(4, "little"),
)


class Pages(BaseHTTPRequestHandler):
    """A page that takes a second to make."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(1)
        body = bytes(range(256)) * 400
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def serve_pages(kind: Any = ThreadingHTTPServer) -> None:
    with kind(("", 80), Pages) as server:
        server.serve_forever()


def echo_once(port: int = 7, module: Any = socket) -> bytes:
    with module.create_server(("", port)) as listener:
        connection, _ = listener.accept()
        with connection:
            received = b""
            while data := connection.recv(4096):
                received += data
                connection.sendall(data)
            return received


def ask(data: bytes, port: int = 7, module: Any = socket) -> bytes:
    with module.create_connection(("server", port)) as connection, connection.makefile("rb") as stream:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return bytes(stream.read())


@pytest.mark.parametrize("kind", [HTTPServer, ThreadingHTTPServer])
def test_requests_gets_pages_from_http_server(pair: Network, kind: Any) -> None:
    def fetch() -> tuple[list[str], float]:
        began = time.monotonic()
        with requests.Session() as session:
            pages = [session.get("http://server/", timeout=20).content for _ in range(2)]
        return [hashlib.sha256(page).hexdigest() for page in pages], time.monotonic() - began

    pair.wires["client-server"].set(loss="3%")
    pair.spawn("server", serve_pages, kind)
    sums, took = pair.spawn("client", fetch).wait()
    assert sums == [hashlib.sha256(bytes(range(256)) * 400).hexdigest()] * 2
    assert 2.08 < took < 20


def test_urllib(pair: Network) -> None:
    def fetch() -> int:
        with urllib.request.urlopen("http://server/", timeout=5) as response:
            return len(response.read())

    pair.spawn("server", serve_pages)
    assert pair.spawn("client", fetch).wait() == 256 * 400


def test_a_time_out_of_requests_is_virtual(pair: Network) -> None:
    pair.spawn("server", serve_pages)
    began = time.monotonic()
    with pytest.raises(requests.exceptions.ReadTimeout):
        pair.spawn("client", requests.get, "http://server/", timeout=0.5).wait()
    assert pair.now == pytest.approx(0.55, abs=0.05)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("module", [socket, netower.stack.socket])
def test_sockets_of_either_module(pair: Network, module: Any) -> None:
    data = bytes(range(256)) * 2000
    server = pair.spawn("server", echo_once, module=module)
    assert pair.spawn("client", ask, data, module=module).wait() == data
    assert server.wait() == data


class Shout(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.readline().upper())


class ShoutDatagram(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


@pytest.mark.parametrize("kind", [socketserver.TCPServer, socketserver.ThreadingTCPServer])
def test_socketserver(pair: Network, kind: Any) -> None:
    def serve() -> None:
        with kind(("", 7), Shout) as server:
            for _ in range(2):
                server.handle_request()

    server = pair.spawn("server", serve)
    assert pair.spawn("client", ask, b"hello\n").wait() == b"HELLO\n"
    assert pair.spawn("client", ask, b"again\n").wait() == b"AGAIN\n"
    server.wait()


def test_datagrams(pair: Network) -> None:
    def serve() -> None:
        with socketserver.UDPServer(("", 7), ShoutDatagram) as server:
            server.handle_request()

    def client() -> tuple[bytes, Any]:
        with socket.socket(type=socket.SOCK_DGRAM) as asker:
            asker.sendto(b"hello", ("server", 7))
            return asker.recvfrom(100)

    pair.spawn("server", serve)
    assert pair.spawn("client", client).wait() == (b"HELLO", (pair["server"].address, 7))


def test_errors_of_the_network(pair: Network) -> None:
    def refused() -> None:
        socket.create_connection(("server", 9))

    def silent() -> None:
        socket.create_connection((str(pair["client"].attachments[0].address.ip + 7), 9))

    def unknown() -> None:
        socket.create_connection(("nowhere", 9))

    with pytest.raises(ConnectionRefusedError) as caught:
        pair.spawn("client", refused).wait()
    assert "on client, in " in caught.value.__notes__[0]
    assert "s of virtual time" in caught.value.__notes__[0]
    assert "seed 1" in caught.value.__notes__[0]
    with pytest.raises(OSError, match="No route to host"):
        pair.spawn("client", silent).wait()
    with pytest.raises(socket.gaierror):
        pair.spawn("client", unknown).wait()


def test_a_connection_attempt_to_a_partitioned_host_takes_its_full_virtual_time(pair: Network) -> None:
    def connect() -> None:
        socket.create_connection(("server", 9))

    pair.wires["client-server"].drop(tcp)
    with pytest.raises(TimeoutError):
        pair.spawn("client", connect).wait()
    assert pair.now > 120


def test_names(pair: Network) -> None:
    def names() -> tuple[Any, ...]:
        return (
            socket.gethostname(),
            socket.gethostbyname("server"),
            socket.gethostbyaddr(pair["server"].address)[0],
            socket.getfqdn(""),
            socket.getaddrinfo("server", "http", type=socket.SOCK_STREAM),
            socket.getnameinfo((pair["server"].address, 80), 0)[1],
        )

    address = pair["server"].address
    assert pair.spawn("client", names).wait() == (
        "client",
        address,
        "server",
        "client",
        [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 80))],
        "80",
    )


@pytest.mark.parametrize(
    "selector",
    [selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector, selectors.DefaultSelector],
)
def test_selectors(pair: Network, selector: Any) -> None:
    def serve() -> list[bytes]:
        said = []
        with selector() as chooser, socket.create_server(("", 7)) as listener:
            listener.setblocking(False)
            chooser.register(listener, selectors.EVENT_READ)
            assert chooser.select(0) == []
            while len(said) < 3:
                for key, _ in chooser.select():
                    if key.fileobj is listener:
                        connection, _ = listener.accept()
                        connection.setblocking(False)
                        chooser.register(connection, selectors.EVENT_READ)
                    elif data := key.fileobj.recv(100):
                        said.append(data)
                        key.fileobj.sendall(data)
                    else:
                        chooser.unregister(key.fileobj)
                        key.fileobj.close()
            for key in list(chooser.get_map().values()):
                if key.fileobj is not listener:
                    key.fileobj.close()
        return said

    server = pair.spawn("server", serve)
    clients = [pair.spawn("client", ask, word) for word in (b"one", b"two", b"three")]
    assert sorted(server.wait()) == [b"one", b"three", b"two"]
    assert [client.wait() for client in clients] == [b"one", b"two", b"three"]


def test_select_and_poll(pair: Network) -> None:
    def client() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as asker:
            asker.bind(("", 8))
            began = time.monotonic()
            assert select.select([asker], [], [], 0.25) == ([], [], [])
            assert time.monotonic() - began == pytest.approx(0.25)
            assert select.select([asker], [asker.fileno()], []) == ([], [asker.fileno()], [])
            poll = select.poll()
            poll.register(asker, select.POLLIN)
            assert poll.poll(100) == []
            asker.sendto(b"to myself", ("client", 8))
            assert poll.poll() == [(asker.fileno(), select.POLLIN)]
            poll.modify(asker, select.POLLOUT)
            assert poll.poll() == [(asker.fileno(), select.POLLOUT)]
            poll.unregister(asker)
            with pytest.raises(KeyError):
                poll.unregister(asker)
            number = asker.fileno()
        with pytest.raises(OSError, match="Bad file descriptor"):
            select.select([number], [], [])

    pair.spawn("client", client).wait()


def test_an_error_queue_that_nobody_reads_keeps_no_call_from_waiting(pair: Network) -> None:
    def slow() -> None:
        with socket.create_server(("", 7)) as listener, listener.accept()[0] as connection:
            data = connection.recv(100)
            time.sleep(1)
            connection.sendall(data)
            connection.recv(1)

    def client() -> None:
        with socket.create_connection(("server", 7)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, n.SO_TIMESTAMPING, n.SOF_TIMESTAMPING_SOFTWARE)
            connection.sendmsg([b"stamped"], [STAMP_WHEN_ACKNOWLEDGED])
            began = time.monotonic()
            assert connection.recv(100) == b"stamped"
            assert time.monotonic() - began == pytest.approx(1.02)
            poll = select.poll()
            poll.register(connection, 0)
            assert poll.poll(0) == [(connection.fileno(), select.POLLERR)]
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):
                connection.recv(100)
            data, _, flags, _ = connection.recvmsg(100, 1000, socket.MSG_ERRQUEUE)
            assert (data, flags) == (b"stamped", socket.MSG_ERRQUEUE)

    pair.spawn("server", slow)
    pair.spawn("client", client).wait(wall=30)


def test_a_program_that_asks_again_and_again_does_not_stop_the_clock(pair: Network) -> None:
    def spin() -> int:
        with socket.create_server(("", 7)) as listener:
            listener.setblocking(False)
            while True:
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    continue
                connection.setblocking(True)
                with connection:
                    return len(connection.recv(100))

    server = pair.spawn("server", spin)
    pair.spawn("client", ask, b"abc")
    assert server.wait(wall=30) == 3


STORY = """
import hashlib, pathlib, socket, sys, threading
from netower.stack import Network

def serve():
    listener = socket.create_server(("", 7))
    def echo(connection):
        while data := connection.recv(1000):
            connection.sendall(data)
    while True:
        threading.Thread(target=echo, args=listener.accept()[:1]).start()

def ask():
    sockets = [socket.create_connection(("server", 7)) for _ in range(8)]
    for each in sockets:
        each.sendall(bytes(3000))
    # and the program ends, with all of them open

with Network(seed=1, pcap=sys.argv[1]) as network:
    network.wire(network.host("client"), network.host("server"), delay="10ms", jitter="5ms", loss="5%", reorder="5%")
    network.spawn("server", serve)
    network.spawn("client", ask)
    network.run(until=100)
print(hashlib.sha256(b"".join(path.read_bytes() for path in sorted(pathlib.Path(sys.argv[1]).iterdir()))).hexdigest())
"""


def test_the_same_seed_gives_the_same_packets_in_every_process(tmp_path: Path) -> None:
    sums = set()
    for seed in ("1", "2", "3"):
        command = [sys.executable, "-c", STORY, str(tmp_path / seed)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        sums.add(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
    assert len(sums) == 1


def run_transfer(folder: Path, seed: int) -> dict[str, bytes]:
    with Network(seed=seed, pcap=folder) as network:
        network.host("client"), network.host("server")
        network.wire("client", "server", delay="10ms", jitter="3ms", loss="2%")
        network.spawn("server", serve_pages)

        def fetch() -> None:
            with requests.Session() as session:
                session.get("http://server/", timeout=60)

        for _ in range(3):
            network.spawn("client", fetch)
        network.run(until=100)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_packets(tmp_path: Path) -> None:
    first, again, other = (
        run_transfer(tmp_path / name, seed) for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again
    assert first != other


def test_reading_waits_for_the_low_water_mark(pair: Network) -> None:
    def trickle() -> None:
        with socket.create_server(("", 7)) as listener:
            connection, _ = listener.accept()
            with connection:
                for _ in range(11):
                    connection.sendall(bytes(100))
                    time.sleep(0.1)
                time.sleep(10)
                connection.sendall(bytes(100))

    def read() -> list[int]:
        with socket.create_connection(("server", 7), timeout=3) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 300)
            time.sleep(0.05)
            sizes = [len(connection.recv(1000)), len(connection.recv(50)), connection.recv_into(bytearray(1000))]
            sizes.append(len(connection.recv(1000)))
            sizes.append(len(connection.recv(1000)))  # when the time is over
            connection.settimeout(None)
            return [*sizes, len(connection.recv(1000)), len(connection.recv(1000))]  # the end has no mark

    pair.spawn("server", trickle)
    assert pair.spawn("client", read).wait() == [300, 50, 350, 300, 100, 100, 0]
