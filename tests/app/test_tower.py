"""The command on a real stack, a real TAP and a real peer: the kernel."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.live

NETOWER = [sys.executable, "-m", "netower.app"]
HERE, THERE = "10.77.0.2", "10.77.0.1"


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    with stack(str(tmp_path / "stack.sock")) as path:
        yield path


@contextmanager
def stack(path: str, *options: str) -> Iterator[str]:
    with subprocess.Popen([*NETOWER, "up", "--path", path, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == f"ready {path}\n"
        try:
            yield path
        finally:
            process.terminate()
            assert process.wait(10) == 0


def ask(path: str, *arguments: str, status: int = 0) -> str:
    done = subprocess.run(
        [*NETOWER, *arguments, "--path", path], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def table(path: str, *arguments: str) -> Any:
    return json.loads(ask(path, *arguments, "--json"))


@contextmanager
def program(path: str, *command: str, sign: str = "") -> Iterator[subprocess.Popen[str]]:
    """A Python program on the stack, from when it has printed a line that begins with ``sign``."""
    arguments = [*NETOWER, "run", "--path", path, "--", *command]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert process.stdout.readline().startswith(sign)
            yield process
        finally:
            process.kill()


def listener(path: str, port: int) -> Any:
    code = f"import socket; s = socket.create_server(('', {port})); print('ready', flush=True); c = s.accept(); input()"
    return program(path, sys.executable, "-c", code, sign="ready")


def cpu_time(process: int) -> float:
    """What a process has used of the CPUs until now, in seconds (proc(5))."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_ready_within_half_a_second_and_gone_without_a_trace(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        path, pcap = tmp_path / "stack.sock", tmp_path / "trace.pcap"
        command = [*NETOWER, "up", "--tap", "own0", "--path", str(path), "--pcap", str(pcap)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == f"ready {path}\n"
            assert (
                cpu_time(process.pid) < 1.0
            )  # it is half of that, and all of the time where nothing else is to be done
            assert path.stat().st_mode & 0o077 == 0
            assert "own0" in [name for _, name in socket.if_nameindex()]
            process.send_signal(number)
            assert process.wait(10) == 0
        assert not path.exists()
        assert "own0" not in [name for _, name in socket.if_nameindex()]
        assert pcap.stat().st_size >= 24


def test_two_stacks_cannot_serve_at_one_place(path: str) -> None:
    second = subprocess.run([*NETOWER, "up", "--path", path], capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr.count("\n") == 1
    assert path in second.stderr


def test_a_path_that_cannot_be_is_named(tmp_path: Path) -> None:
    command = [*NETOWER, "up", "--path", str(tmp_path / "missing" / "stack.sock")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "missing") in done.stderr


def test_a_tap_that_is_taken_is_named(path: str, tmp_path: Path) -> None:
    taken = next(name for _, name in socket.if_nameindex() if name.startswith("tap"))
    command = [*NETOWER, "up", "--tap", taken, "--path", str(tmp_path / "other.sock")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert taken in second.stderr


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
def test_without_permission_it_is_said_what_grants_it(tmp_path: Path) -> None:
    command = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", *NETOWER, "up"]
    done = subprocess.run(
        [*command, "--path", str(tmp_path / "s")], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "CAP_NET_ADMIN" in done.stderr
    assert "unshare -rn" in done.stderr


def test_a_gateway_out_of_reach_is_misuse(tmp_path: Path) -> None:
    command = [*NETOWER, "up", "--gateway", "10.99.0.1", "--path", str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "10.99.0.1" in done.stderr


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_fetches_from_an_unchanged_server(path: str, tmp_path: Path) -> None:
    content = os.urandom(20_000_000)
    (tmp_path / "file").write_bytes(content)
    command = [sys.executable, "-u", "-m", "http.server", "--bind", HERE, "8000", "--directory", str(tmp_path)]
    with program(path, *command, sign="Serving HTTP"):
        done = subprocess.run(
            ["curl", "-sf", "--noproxy", "*", f"http://{HERE}:8000/file"], capture_output=True, timeout=60, check=True
        )
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(content).digest()


def test_a_default_route_goes_by_the_first_gateway(tmp_path: Path) -> None:
    with stack(str(tmp_path / "s"), "--gateway", "10.77.0.1", "--gateway", "10.77.0.9") as path:
        defaults = [route for route in table(path, "ip", "route") if route["destination"] == "default"]
        assert [(route["via"], route["metric"]) for route in defaults] == [("10.77.0.1", 0), ("10.77.0.9", 1)]


def test_ss_shows_listeners_and_connections(path: str) -> None:
    with listener(path, 7000) as server:
        (listening,) = table(path, "ss", "-lt")
        assert (listening["state"], listening["local"], listening["pid"]) == ("LISTEN", "0.0.0.0:7000", server.pid)
        with socket.create_connection((HERE, 7000), timeout=10) as client:
            client.sendall(b"x" * 1000)
            local = "{}:{}".format(*client.getsockname())
            (connection,) = eventually(lambda: [row for row in table(path, "ss") if row["recv_q"]])
            assert (connection["state"], connection["recv_q"], connection["remote"]) == ("ESTAB", 1000, local)
            assert connection["info"]["mss"] > 1000
            text = ask(path, "ss", "-tip")
            assert text.split()[:3] == ["Netid", "State", "Recv-Q"]
            assert f"{HERE}:7000" in text
            assert " rto:" in text
            assert f"pid={server.pid}" in text
        assert table(path, "ss", "-lu") == []


def test_ss_counts_the_connections_that_wait_to_be_accepted(path: str) -> None:
    code = "import socket; s = socket.create_server(('', 7002), backlog=5); print('ready', flush=True); input()"
    with (
        program(path, sys.executable, "-c", code, sign="ready"),
        socket.create_connection((HERE, 7002), timeout=10),
        socket.create_connection((HERE, 7002), timeout=10),
    ):
        rows = eventually(lambda: [row for row in table(path, "ss", "-l") if row["recv_q"] == 2])
        assert [(row["state"], row["send_q"]) for row in rows] == [("LISTEN", 5)]


def test_ss_shows_datagrams_that_wait(path: str) -> None:
    code = "import socket; s = socket.socket(2, 2); s.bind(('', 7003)); print('ready', flush=True); input()"
    with program(path, sys.executable, "-c", code, sign="ready"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x" * 100, (HERE, 7003))
        (row,) = eventually(lambda: [row for row in table(path, "ss", "-lu") if row["recv_q"]])
        assert (row["protocol"], row["state"], row["local"]) == ("udp", "UNCONN", "0.0.0.0:7003")


def test_ss_shows_time_wait_on_request(path: str) -> None:
    with socket.create_server((THERE, 7001)) as server:
        code = (
            f"import socket; socket.create_connection(('{THERE}', 7001)).close(); print('closed', flush=True); input()"
        )
        with program(path, sys.executable, "-c", code, sign="closed"):
            with server.accept()[0] as accepted:
                assert accepted.recv(1) == b""  # the stack's side has closed first: it is the one to wait
            (resting,) = eventually(lambda: table(path, "ss", "-at"))
            assert resting["state"] == "TIME-WAIT"
            assert resting["timer"].startswith("timewait,")
            assert table(path, "ss") == []


def test_ping_reports_as_ping_does(path: str) -> None:
    lines = ask(path, "ping", "-c", "3", "-i", "0.01", THERE).splitlines()
    assert lines[1].startswith(f"64 bytes from {THERE}: icmp_seq=1 ttl=64 time=")
    assert "3 packets transmitted, 3 received, 0% packet loss" in lines
    summary = table(path, "ping", "-c", "1", "-s", "3000", THERE)
    assert summary["received"] == 1


def test_ping_of_nobody_fails(path: str) -> None:
    assert "1 packets transmitted, 0 received, 100% packet loss" in ask(
        path, "ping", "-c", "1", "-W", "0.2", "10.77.0.99", status=1
    )


def test_ping_without_a_route_says_so(path: str) -> None:
    assert "icmp_seq=1 Network is unreachable" in ask(path, "ping", "-c", "1", "192.0.2.1", status=1)


@pytest.mark.skipif(not shutil.which("ping"), reason="ping is not installed")
def test_the_kernel_can_ping_the_stack(path: str) -> None:
    subprocess.run(["ping", "-c", "2", "-i", "0.2", HERE], stdout=subprocess.DEVNULL, timeout=20, check=True)


def test_ip_shows_addresses_neighbors_and_counters(path: str) -> None:
    ask(path, "ping", "-c", "1", THERE)
    interfaces = {interface["name"]: interface for interface in table(path, "ip")}
    assert interfaces["lo"]["addresses"] == ["127.0.0.1/8"]
    (tap,) = (interface for name, interface in interfaces.items() if name != "lo")
    assert tap["addresses"] == [f"{HERE}/24"]
    assert tap["mtu"] == 1500
    assert tap["rx_packets"] >= 2
    (neighbor,) = table(path, "ip", "neigh")
    assert neighbor["address"] == THERE
    assert "10.77.0.0/24" in ask(path, "ip", "route")
    assert isinstance(table(path, "ip", "stats"), dict)


@pytest.mark.parametrize("mode", ["iterative", "concurrent"])
def test_the_classic_servers_run_on_the_stack(path: str, mode: str) -> None:
    command = [*NETOWER, "serve", "echo", "--mode", mode, "--path", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == f"echo: {mode} server on 0.0.0.0:7\n"
        try:
            for _ in range(3):
                with socket.create_connection((HERE, 7), timeout=10) as connection:
                    connection.sendall(b"hello")
                    assert connection.recv(10) == b"hello"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
                endpoint.settimeout(10)
                endpoint.sendto(b"datagram", (HERE, 7))
                assert endpoint.recv(100) == b"datagram"
        finally:
            process.terminate()


def test_a_detached_server_keeps_its_sockets(path: str, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    ask(path, "serve", "echo", "--detach", "--pidfile", str(pidfile))
    eventually(pidfile.exists)
    pid = int(eventually(pidfile.read_text))
    try:
        with socket.create_connection((HERE, 7), timeout=10) as connection:
            connection.sendall(b"hello")
            assert connection.recv(10) == b"hello"
    finally:
        os.kill(pid, signal.SIGTERM)
    assert eventually(lambda: not pidfile.exists())


def test_the_demo_shows_everything(tmp_path: Path) -> None:
    done = subprocess.run([*NETOWER, "demo"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "a TAP in a private network namespace" in done.stdout
    assert done.stdout.count("equal") == 4
    assert "SYN seq=0" in done.stdout
    assert "SYN,ACK seq=0 ack=1" in done.stdout
    assert done.stdout.count("Gbit/s") == 2
    assert str(tmp_path / "netower-demo.pcap") in done.stdout
    assert (tmp_path / "netower-demo.pcap").stat().st_size > 100_000


def test_without_a_tap_the_demo_goes_over_a_wire_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner
    from netower.app import demo

    def refuse() -> None:
        raise PermissionError(1, "not here")

    monkeypatch.setattr(demo, "enter_private", refuse)
    result = CliRunner().invoke(demo.command, ["--pcap", str(tmp_path / "demo.pcap")])
    assert result.exit_code == 0, result.output
    assert "No TAP can be had here: not here." in result.stdout
    assert result.stdout.count("equal") == 4
    assert "SYN,ACK seq=0 ack=1" in result.stdout


def eventually(value: Any) -> Any:
    """What ``value`` returns as soon as that is true."""
    end = time.monotonic() + 10
    while not (found := value()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found
