"""Settings under Linux's names: all can be read and written back, and what is changed takes effect."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from netower.app.command import main
from netower.stack import Host, sysctl
from netower.stack.client import start_private

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("name", sysctl.names())
def test_every_value_that_is_read_can_be_written(name: str) -> None:
    host = Host()
    value = sysctl.read(host, name)
    sysctl.write(host, name, value)
    assert sysctl.read(host, name) == value


def test_linux_defaults() -> None:
    host = Host()
    for name, value in {
        "tcp_syn_retries": "6",
        "tcp_synack_retries": "5",
        "tcp_retries2": "15",
        "tcp_fin_timeout": "60",
        "tcp_sack": "1",
        "tcp_congestion_control": "cubic",
        "tcp_timestamps": "1",
        "tcp_window_scaling": "1",
        "tcp_invalid_ratelimit": "500",
        "ip_local_port_range": "32768 60999",
    }.items():
        assert sysctl.read(host, f"net.ipv4.{name}") == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tcp_syn_retries", "0"),
        ("tcp_syn_retries", "many"),
        ("tcp_fin_timeout", "-1"),
        ("tcp_rmem", "1 2"),
        ("tcp_rmem", "a b c"),
        ("tcp_orphan_retries", ""),
        ("tcp_rmem", "4096 9000 8000"),
        ("tcp_rfc1337", "1"),
        ("ip_local_port_range", "5000 4000"),
        ("tcp_fastopen_key", "1-2-3"),
        ("tcp_syncookies", "3"),
        ("tcp_congestion_control", "vegas"),
    ],
)
def test_values_that_cannot_be(name: str, value: str) -> None:
    host = Host()
    before = sysctl.read(host, f"net.ipv4.{name}")
    with pytest.raises(ValueError, match=name) as caught:
        sysctl.write(host, f"net.ipv4.{name}", value)
    assert "literal" not in str(caught.value)  # but a sentence of ours
    assert sysctl.read(host, f"net.ipv4.{name}") == before


def test_names_that_are_not_known() -> None:
    with pytest.raises(KeyError, match=r"net\.ipv4\.tcp_x"):
        sysctl.read(Host(), "net.ipv4.tcp_x")


def test_changes_reach_the_host() -> None:
    host = Host()
    sysctl.write(host, "net/ipv4/tcp_orphan_retries", "0")
    sysctl.write(host, "net.ipv4.tcp_rmem", "4096 100000 200000")
    sysctl.write(host, "net.ipv4.ip_local_port_range", "5000 5001")
    sysctl.write(host, "net.ipv4.ip_forward", "1")
    settings = host.settings.tcp
    assert (settings.orphan_retries, settings.receive_buffer, settings.max_receive_buffer) == (8, 50000, 200000)
    assert host.udp.ports.ephemeral == host.tcp.ports.ephemeral == (5000, 5001)
    assert host.internet.forwarding is True


@pytest.fixture(scope="module")
def stack() -> Iterator[str]:
    before = os.environ.get("NETOWER_PATH")
    yield start_private()
    if before is None:
        os.environ.pop("NETOWER_PATH", None)
    else:
        os.environ["NETOWER_PATH"] = before


def ask(stack: str, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["sysctl", "--path", stack, *arguments])
    return result.exit_code, result.output


def test_the_command(stack: str) -> None:
    name = "net.ipv4.tcp_syn_retries"
    assert ask(stack, "-w", f"{name}=3") == (0, f"{name} = 3\n")
    assert ask(stack, "-n", name) == (0, "3\n")
    status, output = ask(stack)
    assert status == 0
    assert len(output.splitlines()) == len(sysctl.names())
    for wrong in (["net.ipv4.tcp_x"], [f"{name}=0"], ["-w", name], ["-w"]):
        assert ask(stack, *wrong)[0] == 2, wrong
    assert ask(stack, name)[1] == f"{name} = 3\n"
