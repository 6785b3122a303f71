"""The classic servers, here on the kernel's sockets: which sockets they are on is not theirs to know."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from netower.app.namespace import set_up


@pytest.fixture(autouse=True)
def _own_network(namespace: int) -> None:
    set_up("lo")


@contextmanager
def server(*arguments: str) -> Iterator[int]:
    """A server that runs as ``netower serve``; the port it listens on."""
    command = [sys.executable, "-m", "netower.app", "serve", *arguments, "--kernel", "--host", "127.0.0.1", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline().rpartition(":")[2].split(",")[0])
        finally:
            process.terminate()


def fetch(port: int, request: str) -> tuple[str, bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"{request}\r\nHost: x\r\n\r\n".encode())
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    return head.decode(), body


@pytest.mark.live
@pytest.mark.parametrize("mode", ["iterative", "concurrent"])
def test_echo_sends_everything_back(mode: str) -> None:
    data = os.urandom(300_000)
    with server("echo", "--mode", mode) as port:
        for _ in range(3):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
                connection.makefile("rb") as back,
            ):
                connection.sendall(data[:1000])
                assert back.read(1000) == data[:1000]
                connection.shutdown(socket.SHUT_WR)
                assert back.read() == b""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
            endpoint.settimeout(10)
            endpoint.sendto(b"datagram", ("127.0.0.1", port))
            assert endpoint.recv(100) == b"datagram"


@pytest.mark.live
def test_concurrent_clients_do_not_wait_for_each_other() -> None:
    with (
        server("echo", "--mode", "concurrent") as port,
        socket.create_connection(("127.0.0.1", port), timeout=10),
        socket.create_connection(("127.0.0.1", port), timeout=10) as second,
    ):
        second.sendall(b"x")
        assert second.recv(1) == b"x"


@pytest.mark.live
def test_files_are_handed_out_and_nothing_outside_of_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub dir").mkdir(parents=True)
    content = os.urandom(500_000)
    (root / "sub dir" / "a&b.bin").write_bytes(content)
    (tmp_path / "secret").write_text("secret")
    with server("files", "--directory", str(root)) as port:
        head, body = fetch(port, "GET /sub%20dir/a&b.bin?query HTTP/1.1")
        assert head.startswith("HTTP/1.0 200 OK\r\n")
        assert f"Content-Length: {len(content)}" in head
        assert body == content
        assert fetch(port, "HEAD /sub%20dir/a&b.bin HTTP/1.0")[1] == b""
        assert b'<a href="/sub%20dir/a%26b.bin">a&amp;b.bin</a>' in fetch(port, "GET /sub%20dir HTTP/1.0")[1]
        for request, status in (
            ("GET /../secret HTTP/1.0", 404),
            ("GET /%2e%2e/secret HTTP/1.0", 404),
            ("GET /missing HTTP/1.0", 404),
            ("POST / HTTP/1.0", 501),
            ("nonsense", 400),
            ("GET /%00 HTTP/1.0", 400),
        ):
            assert fetch(port, request)[0].startswith(f"HTTP/1.0 {status} ")


@pytest.mark.live
def test_children_that_have_ended_are_collected() -> None:
    with server("echo", "--mode", "concurrent") as port:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(1) == b""
        assert eventually(lambda: "Z" not in states_of_children(listener_of(port)))


@pytest.mark.live
def test_detached_server_holds_its_pid_file_until_it_is_terminated(tmp_path: Path) -> None:
    pidfile, log = tmp_path / "pid", tmp_path / "log"
    command = [sys.executable, "-m", "netower.app", "serve", "echo", "--kernel", "--host", "127.0.0.1", "--detach"]
    command += ["--pidfile", str(pidfile), "--log", str(log)]
    pidfile.write_text("999999999\n")  # left by a process that died
    subprocess.run([*command, "--port", "7007"], check=True, timeout=20)
    assert eventually(lambda: pidfile.exists() and pidfile.read_text() != "999999999\n")
    pid = int(pidfile.read_text())
    try:
        with socket.create_connection(("127.0.0.1", 7007), timeout=10) as connection:
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
        assert os.getsid(pid) != os.getsid(0)
        again = subprocess.run([*command, "--port", "7008"], capture_output=True, text=True, timeout=20, check=False)
        assert again.returncode == 1
        assert f"process {pid} holds this PID file" in again.stderr
    finally:
        os.kill(pid, signal.SIGTERM)
    assert eventually(lambda: not pidfile.exists())
    assert "connected" in log.read_text()


def eventually(condition: object) -> bool:
    """Whether it comes true within some seconds."""
    assert callable(condition)
    end = time.monotonic() + 10
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def listener_of(port: int) -> int:
    """The child of this process that serves; there is one."""
    (pid,) = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return int(pid)


def states_of_children(pid: int) -> str:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return "".join(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in children)
