"""The shell of packetdrill scripts: programs that change settings, whatever way they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from netower.app.command import main
from netower.app.packetdrill.configuration import Configuration
from netower.app.packetdrill.engine import Verdict, run, run_file

from .scripts import LISTEN, skipped

if TYPE_CHECKING:
    from pathlib import Path

#: SACK is on unless somebody has switched it off.
_STORY = (
    f"{LISTEN}+0 < S 0:0(0) win 65535 <mss 1000,sackOK,nop,wscale 7>\n+0 > S. 0:0(0) ack 1 <mss 1460,nop,wscale 10>\n"
)
_OFF = "sysctl -q net.ipv4.tcp_sack=0"
_SCALE = 'sysctl -q net.ipv4.tcp_rmem="4096 131072 33554432"'


@pytest.mark.parametrize(
    "program",
    [
        f"if [ -f /proc/sys/net/ipv4/tcp_sack ]; then {_OFF}; fi",
        f"if test -e /proc/sys/net/ipv4/tcp_none; then reboot; elif false; then reboot\nelse\n {_OFF}\nfi",
        "for name in tcp_sack tcp_dsack; do sysctl -q net.ipv4.$name=0; done",
        "sysctl -q net.ipv4.tcp_sack=$(expr() { echo 0; }; expr)",
        "first() { for name in $*; do echo $name; return 1; done; }\nsysctl -q net.ipv4.tcp_sack=$(first 0 1 || echo)",
        "sysctl -q net.ipv4.tcp_sack=$(echo 0; exit 1); end() { exit; }; end; reboot",
        "echo 0 | tee /proc/sys/net/ipv4/tcp_sack > /dev/null",
        "sysctl -n net.ipv4.tcp_syncookies > /tmp/old; echo $(cat /tmp/old) 1 2>&1 >/dev/null; " + _OFF,
        "[ -d /nosuch ] && reboot; [[ 2 -gt 1 ]] && " + _OFF,
        f'bash -c "{_OFF}"',
        f"({_OFF}; true) > /dev/null 2>&1",
        "off() { sysctl -q net.ipv4.$1=0; }\noff tcp_sack",
        f"case $(uname -r) in 2.*|3.*) reboot;; *) {_OFF};; esac",
        f"! grep -q nosuch /proc/sys/net/ipv4/tcp_available_congestion_control && timeout 1 {_OFF}",
        'OLD="$(sysctl -n net.ipv4.tcp_sack)"; sysctl -q net.ipv4.tcp_sack=$((OLD - 1))',
        f"false || {{ {_OFF}; }} &> /dev/null; exit 0; reboot",
        f"printf '0\\n' >/proc/sys/net/ipv4/tcp_sack # {_SCALE}",
        "python3 ../set_sysctls.py /proc/sys/net/ipv4/tcp_sack=0",
        'VALUE=${NONE:-0}; env A=1 sysctl -w "net.ipv4.tcp_sack=${VALUE}"',
    ],
)
def test_a_program_of_one_shell_line(program: str) -> None:
    outcome = run(f"`{_SCALE}\n{program}`\n{_STORY}")
    assert outcome.verdict is Verdict.PASSED, outcome


@pytest.mark.parametrize(
    "program",
    [
        "if true; then true",
        'echo "never closed',
        "ss -tn | grep ESTAB",
        "X=$(ss -tn)",
        "f() { f; }; f",
        "[ 1 -foo 2 ]",
        "iptables -A INPUT -j DROP",
        "echo $((1 / 0))",
        "case x in",
        "until false; do true; done",
        "true | bash -",
        "sleep",
        "sleep soon",
        "echo a | grep '['",
    ],
)
def test_what_is_not_known_is_skipped(program: str) -> None:
    skipped(f"`{program}`\n{_STORY}")


def test_files_of_commands_have_arguments_and_an_end(tmp_path: Path) -> None:
    (tmp_path / "set.sh").write_text("sysctl -q net.ipv4.$1=$2\n./set.sh $1 $2\n. ./set.sh $1 $2\n")
    (tmp_path / "value").write_text("0\n")
    script = tmp_path / "script.pkt"
    script.write_text(f"`./set.sh tcp_sack $(cat value) && {_SCALE}`\n{_STORY}")
    assert run_file(script, Configuration(), {}).verdict is Verdict.PASSED


def test_a_script_that_cannot_be_read_keeps_no_other_from_being_recorded(tmp_path: Path) -> None:
    (tmp_path / "a.pkt").write_text("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 nonsense\n")
    (tmp_path / "b.pkt").write_text("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n")
    result = CliRunner().invoke(main, ["packetdrill", "--record", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{tmp_path}/a.pkt:3:1: '(' was expected" in result.output
    assert "0.000 socket" in result.output


def test_a_command_that_never_ends_is_no_command_at_once() -> None:
    outcome = run("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 set`" + r"\x00" * 100)
    assert (outcome.verdict, outcome.line) == (Verdict.FAILED, 2)


def test_words_of_the_ip_header_in_capitals() -> None:
    outcome = run(
        f"{LISTEN}+0 < [ECT0] S 0:0(0) win 65535 <mss 1000>\n+0 > [NOECN] S. 0:0(0) ack 1 <mss 1460>\n"
        "+0 < (CE) . 1:1(0) ack 1 win 65535\n"
    )
    assert outcome.verdict is Verdict.PASSED, outcome


def test_fields_that_are_changed_are_skipped() -> None:
    assert "changed" in skipped(f"{LISTEN}+0 < S 0:0(0) win 65535 <mss 1000> {{ mut tcp mss }}\n")
