"""The runner with the kernel as the host under test."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from netower.app.command import main
from netower.app.packetdrill.configuration import Configuration, on_kernel
from netower.app.packetdrill.engine import Outcome, Verdict, run_file
from netower.app.packetdrill.kernel import in_namespace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

KERNEL = replace(on_kernel(Configuration()), tolerance_usecs=100_000)
LISTEN = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 65535 <mss 1000>
+0 > S. 0:0(0) ack 1 <...>
+.01 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
"""


def outcome(folder: Path, text: str) -> Outcome:
    script = folder / "script.pkt"
    script.write_text(text)
    return run_file(script, KERNEL, {})


def test_the_kernel_passes(tmp_path: Path) -> None:
    story = """+.1...0.2 read(4, ..., 100) = 3
+.1 < P. 1:4(3) ack 1 win 65535
+0 > . 1:1(0) ack 4
+0 write(4, "hello", 5) = 5
+0 > P. 1:6(5) ack 4
+0 %{ assert tcpi_unacked == 1 and tcpi_snd_mss == 1000 }%
"""
    assert outcome(tmp_path, LISTEN + story).verdict is Verdict.PASSED


def test_segments_that_the_interface_cuts_may_be_expected_one_by_one(tmp_path: Path) -> None:
    story = """+0 send(4, ..., 3000, 0) = 3000
+0 > . 1:1001(1000) ack 1
+0 > P. 1001:2001(1000) ack 1
+0 > P. 2001:3001(1000) ack 1
"""
    assert outcome(tmp_path, LISTEN + story).verdict is Verdict.PASSED


def test_a_call_that_waits_is_noticed(tmp_path: Path) -> None:
    result = outcome(tmp_path, LISTEN + "+0 read(4, ..., 100) = 3\n")
    assert (result.verdict, result.reason) == (Verdict.FAILED, "the call waits")


def test_another_packet_fails(tmp_path: Path) -> None:
    result = outcome(tmp_path, LISTEN + "+0 close(4) = 0\n+0 > R. 1:1(0) ack 1\n")
    assert (result.verdict, result.line) == (Verdict.FAILED, 9)
    assert result.actual.startswith("> F. 1:1(0) ack 1")


def test_a_setting_is_the_namespaces_alone(tmp_path: Path) -> None:
    assert outcome(tmp_path, "`sysctl net.ipv4.tcp_sack=0`\n" + LISTEN).verdict is Verdict.PASSED
    assert outcome(tmp_path, "`sysctl net.ipv4.tcp_nonsense=0`\n" + LISTEN).verdict is Verdict.SKIPPED
    with open("/proc/sys/net/ipv4/tcp_sack") as sack:
        assert sack.read() == "1\n"


def test_a_record_of_the_kernel(tmp_path: Path) -> None:
    script = tmp_path / "stimuli.pkt"
    script.write_text(LISTEN + "+0 write(4, ..., 1500) = 0\n+0 close(3) = 0\n+0 close(3) = 0\n")
    result = CliRunner().invoke(main, ["packetdrill", "--record", "--kernel", str(script)])
    lines = [line.split(" ", 1)[1].split(" ack")[0] for line in result.output.splitlines()]
    assert lines[5:] == [
        "write(4, ..., 1500) = 1500",
        "> [tos 0x0] . 1:1001(1000)",
        "> [tos 0x0] P. 1001:1501(500)",
        "close(3) = 0",
        "close(3) = -1 EBADF",
        "> [tos 0x0] . 1:1001(1000)",
    ]


def test_two_hosts_are_compared(tmp_path: Path) -> None:
    script = tmp_path / "stimuli.pkt"
    script.write_text(LISTEN + "+0 close(3) = 0\n+0 close(3) = 0\n")
    result = CliRunner().invoke(main, ["packetdrill", "--compare", str(script)])
    assert all("win" in line for line in result.output.splitlines()[1:])


def test_what_is_raised_within_comes_out() -> None:
    with pytest.raises(KeyError):
        in_namespace(lambda: {}["nothing"], 5)
    with pytest.raises(TimeoutError):
        in_namespace(lambda: time.sleep(9), 0.05)
