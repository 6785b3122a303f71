"""``netower up``: what it leaves behind, and one clear line for each thing that is wrong."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from netower.app.run import environment
from netower.stack import client
from pyroute2 import IPRoute

from .sides import HERE, NETOWER, PATIENCE, THERE, Part, Side, cpu, eventually, read_all, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

PCAP = struct.Struct("<IHHiIII")
PCAP_RECORD = struct.Struct("<IIII")


def up(*options: str, prefix: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit status of an `up` that cannot work, and the one line that it says."""
    done = subprocess.run(
        [*prefix, *NETOWER, "up", *options], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("netower")
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def taps() -> set[str]:
    return {name for _, name in socket.if_nameindex() if name != "lo"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_cleans_up_in_the_middle_of_work(namespace: int, tmp_path: Path, number: int) -> None:
    path, pcap = tmp_path / "stack.sock", tmp_path / "trace.pcap"
    with running(path, "--tap", "own0", "--pcap", str(pcap)) as stack:
        part = Part(None, namespace, environment(stack.path))
        code = (
            f"import socket; c = socket.create_server(('{HERE}', 7)); print(flush=True)\n"
            "c = c.accept()[0]\nwhile 1: c.send(b'x')"
        )
        with part.start("-c", code, stderr=subprocess.DEVNULL) as program:
            assert program.stdout
            program.stdout.readline()
            with socket.create_connection((HERE, 7), timeout=PATIENCE) as peer:
                assert peer.recv(10)
                stack.process.send_signal(number)
                assert stack.process.wait(PATIENCE) == 0
                with pytest.raises(ConnectionResetError):
                    read_all(peer)
            assert program.wait(PATIENCE) == 1
    assert not path.exists()
    assert taps() == set()
    assert packets(pcap.read_bytes()) > 5


def packets(capture: bytes) -> int:
    """How many packets there are in a pcap file, which must be whole."""
    assert PCAP.unpack_from(capture)[0] in (0xA1B2C3D4, 0xA1B23C4D)
    at, count = PCAP.size, 0
    while at < len(capture):
        at += PCAP_RECORD.size + PCAP_RECORD.unpack_from(capture, at)[2]
        count += 1
    assert at == len(capture)
    return count


def test_the_capture_of_a_killed_stack_is_whole(namespace: int, tmp_path: Path) -> None:
    pcap = tmp_path / "trace.pcap"
    with (
        running(tmp_path / "stack.sock", "--address", "10.78.0.2/24", "--pcap", str(pcap)) as stack,
        closing(client.Stack.open(stack.path)) as tool,
    ):
        for _ in range(3):
            tool.query("ping", address="10.78.0.9", timeout=0.01, size=10)
        stack.process.kill()
        stack.process.wait()
    assert packets(pcap.read_bytes()) >= 1  # the question who has that address


def test_the_place_of_a_killed_stack_is_free(namespace: int, tmp_path: Path) -> None:
    path = tmp_path / "stack.sock"
    with running(path, "--tap", "own0") as stack:
        stack.process.kill()
        stack.process.wait()
        assert path.exists()
        with running(path, "--tap", "own0"), socket.socket() as client:
            assert client.connect_ex((HERE, 7)) != 0


def test_a_second_one_is_refused(namespace: int, tmp_path: Path) -> None:
    path = tmp_path / "stack.sock"
    with running(path, "--tap", "own0"):
        status, line = up("--path", str(path))
        assert status == 1
        assert str(path) in line
        status, line = up("--path", str(tmp_path / "other"), "--tap", "own0")
        assert status == 1
        assert "own0" in line
        assert not (tmp_path / "other").exists()
        assert taps() == {"own0"}
        with socket.create_server((THERE, 0)), socket.socket() as client:
            assert client.connect_ex((HERE, 7)) == 111  # the first one is as it was


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--address", "10.77.0.300/24"], "10.77.0.300"),
        (["--address", "10.77.0.2"], "prefix"),
        (["--address", "10.77.0.2/33"], "10.77.0.2/33"),
        (["--address", "house/24"], "house"),
        (["--address", "10.77.0.0/24"], "10.77.0.0/24"),
        (["--address", "fd00::1/64"], "fd00::1/64"),
        (["--host-address", "fd00::1/64"], "fd00::1/64"),
        (["--address", "224.0.0.1/24"], "224.0.0.1"),
        (["--host-address", "10.77.0"], "10.77.0"),
        (["--gateway", "nowhere"], "nowhere"),
        (["--gateway", "192.0.2.1"], "192.0.2.1"),
        (["--mtu", "17"], "17"),
        (["--mtu", "many"], "many"),
        (["--wrong"], "--wrong"),
        (["word"], "word"),
    ],
)
def test_misuse(tmp_path: Path, options: list[str], said: str) -> None:
    status, line = up(*options, "--path", str(tmp_path / "s"))
    assert status == 2
    assert said in line
    assert taps() == set()
    assert not (tmp_path / "s").exists()


def test_names_that_cannot_be(tmp_path: Path) -> None:
    for name, expected in ("a-name-that-is-too-long", 2), ("sl/ash", 2), ("bl ank", 2), ("lo", 1):
        status, line = up("--tap", name, "--path", str(tmp_path / "s"))
        assert status == expected
        assert name in line
    status, line = up("--path", str(tmp_path / ("long" * 40)))
    assert status == 1
    assert "longlong" in line
    assert "too long" in line
    assert taps() == set()


def test_a_capture_that_cannot_be_written(tmp_path: Path) -> None:
    status, line = up("--path", str(tmp_path / "s"), "--pcap", str(tmp_path / "missing" / "trace.pcap"))
    assert status == 1
    assert str(tmp_path / "missing" / "trace.pcap") in line
    assert taps() == set()


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
def test_nobody_is_told_what_it_takes(droppable_privileges: None, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    readable = subprocess.run([*nobody, *NETOWER, "--version"], capture_output=True, check=False).returncode == 0
    if not readable:
        pytest.skip("nobody may not read this Python")
    status, line = up("--path", f"/tmp/netower-test-{os.getpid()}", prefix=nobody)
    assert status == 1
    assert "CAP_NET_ADMIN" in line
    assert "unshare -rn" in line


def test_an_idle_stack_uses_no_time(ours: Side) -> None:
    assert ours.stack
    time.sleep(0.2)
    before = cpu(ours.stack.process.pid)
    time.sleep(1)
    assert cpu(ours.stack.process.pid) - before <= 0.02


def test_an_interface_that_is_deleted_under_a_stack(ours: Side) -> None:
    """It serves on; what needed the interface has no route."""
    stack = ours.stack
    assert stack
    with IPRoute() as kernel:
        kernel.link("del", index=socket.if_nametoindex(next(iter(taps()))))
    eventually(lambda: [row["name"] for row in stack.query("interfaces")] == ["lo"])
    with ours.program.socket() as stream, pytest.raises(OSError, match="unreachable"):
        stream.connect((THERE, 7))
    before = cpu(stack.process.pid)
    time.sleep(0.5)
    assert cpu(stack.process.pid) - before < 0.2
