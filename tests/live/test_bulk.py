"""Much data: whole files by programs that know nothing of us, loss on the way, windows that close and open."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from .firewall import rule
from .sides import HERE, PATIENCE, THERE, Side, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

#: Bytes of the files, and of what crosses a lossy network.
FILE = 200_000_000
LOSSY = 2_000_000
#: One packet in twenty, each way.
LOSS = "meta l4proto tcp numgen random mod 100 < 5"

FETCH = """
import hashlib, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as answer:
    print(hashlib.file_digest(answer, "sha256").hexdigest())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    found = tmp_path_factory.mktemp("site")
    (found / "file").write_bytes(os.urandom(FILE // 50) * 50)
    yield found
    (found / "file").unlink()


@pytest.fixture(scope="module")
def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "file").read_bytes()).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_fetches_from_an_unchanged_server(ours: Side, folder: Path, digest: str) -> None:
    server = ["-u", "-m", "http.server", "--bind", HERE, "8000", "--directory", folder]
    with ours.program.start(*server, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("Serving HTTP")
        command = ["curl", "-sf", "--noproxy", "*", f"http://{HERE}:8000/file"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
            assert curl.stdout
            assert hashlib.file_digest(curl.stdout, "sha256").hexdigest() == digest  # type: ignore[arg-type]
        assert curl.returncode == 0


def test_an_unchanged_client_fetches_from_the_kernel(ours: Side, folder: Path, digest: str) -> None:
    with ThreadingHTTPServer((THERE, 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            with ours.program.start("-c", FETCH, f"http://{THERE}:{server.server_port}/file") as process:
                assert process.communicate(timeout=120)[0].strip() == digest
        finally:
            server.shutdown()
            thread.join()


def exchange(sender: Any, receiver: Any, data: bytes) -> None:
    """All of it arrives, and then the end."""

    def send() -> None:
        sender.sendall(data)
        sender.close()

    thread = threading.Thread(target=send)
    thread.start()
    received = read_all(receiver)
    thread.join()
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()


def connection(ours: Side) -> tuple[Any, Any]:
    with ours.peer.listen(THERE) as listener:
        program = ours.program.connect(listener.getsockname())
        peer, _ = listener.accept()
    for end in program, peer:
        end.settimeout(120)
    return program, peer


@pytest.mark.parametrize("way", ["in", "out"])
def test_lost_packets_are_made_good(ours: Side, way: str) -> None:
    program, peer = connection(ours)
    with program, peer, rule(ours.peer.namespace, LOSS):
        exchange(*((peer, program) if way == "in" else (program, peer)), os.urandom(LOSSY))


@pytest.mark.parametrize("way", ["in", "out"])
def test_a_reader_that_sleeps_closes_the_window_and_opens_it(ours: Side, way: str) -> None:
    program, peer = connection(ours)
    reader, writer = (program, peer) if way == "in" else (peer, program)
    with reader, writer:
        writer.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):  # sooner or later every buffer is full
            while True:
                sent += writer.send(bytes(1 << 16))
        assert sent < 100_000_000
        assert ours.stack
        assert ours.stack.memory() < 300_000_000
        writer.settimeout(PATIENCE)
        arrived = len(read_all(reader, sent))
        assert arrived == sent
        exchange(writer, reader, os.urandom(1_000_000))


def test_a_reader_of_single_bytes(ours: Side) -> None:
    program, peer = connection(ours)
    data = os.urandom(3000)
    with program, peer:
        for sender, receiver in (program, peer), (peer, program):
            sender.sendall(data)
            assert b"".join(receiver.recv(1) for _ in data) == data


def test_both_directions_at_once(ours: Side) -> None:
    program, peer = connection(ours)
    data = [os.urandom(10_000_000) for _ in range(2)]
    received: dict[int, bytes] = {}

    def send(number: int, end: Any) -> None:
        end.sendall(data[number])

    def receive(number: int, end: Any) -> None:
        received[number] = read_all(end, len(data[number]))

    with program, peer:
        work = [(send, 0, program), (receive, 0, peer), (send, 1, peer), (receive, 1, program)]
        threads = [threading.Thread(target=job, args=(number, end)) for job, number, end in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert received == dict(enumerate(data))
