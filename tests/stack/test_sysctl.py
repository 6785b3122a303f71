"""Settings under Linux's names: all can be read and written back, and what is changed takes effect."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from netower.app.command import main
from netower.stack import Host, sysctl
from netower.stack.client import start_private

if TYPE_CHECKING:
    from collections.abc import Iterator


IP_MTU_DISCOVER = 10


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
        ("tcp_rfc1337", "2"),
        ("tcp_max_reordering", "many"),
        ("ip_local_port_range", "5000 4000"),
        ("tcp_fastopen_key", "1-2-3"),
        ("tcp_syncookies", "3"),
        ("tcp_ecn", "3"),
        ("tcp_ecn", "-1"),
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
    assert (settings.orphan_retries, settings.receive_buffer, settings.max_receive_buffer) == (8, 100000, 200000)
    assert host.udp.ports.ephemeral == host.tcp.ports.ephemeral == (5000, 5001)
    assert host.internet.forwarding is True


#: Where our values are others than Linux's: what grows with the machine there, what there are several of, and what
#: this stack does in another way (docs/tcp.md).
DIFFERENT = {
    *("tcp_rmem", "tcp_wmem", "tcp_max_tw_buckets", "tcp_max_syn_backlog", "tcp_ehash_entries", "udp_hash_entries"),
    *("tcp_congestion_control", "tcp_available_congestion_control", "tcp_allowed_congestion_control"),
    *("tcp_mem", "udp_mem", "tcp_max_orphans", "tcp_limit_output_bytes", "tcp_challenge_ack_limit"),
    *("tcp_available_ulp", "tcp_no_metrics_save", "tcp_orphan_retries", "tcp_retrans_collapse", "tcp_tw_reuse"),
    *("tcp_comp_sack_nr", "tcp_syn_linear_timeouts"),
}
#: Of what is not there: routes with several next hops, marks on packets, classes of memory.
ABSENT = ("fib_", "fwmark_", "nexthop_", "raw_", "xfrm4_", "cipso_", "inet_peer_")


@pytest.mark.live
def test_the_names_and_defaults_are_the_kernels() -> None:
    """A fresh network namespace has the kernel's defaults, but for some that it takes from the first one."""
    host = Host()
    for name in sorted(os.listdir("/proc/sys/net/ipv4")):
        path = f"/proc/sys/net/ipv4/{name}"
        if os.path.isfile(path) and not name.startswith(ABSENT) and name != "ipfrag_secret_interval":
            ours = sysctl.read(host, f"net.ipv4.{name}")
            with open(path) as file:
                theirs = " ".join(file.read().split())
            if name not in DIFFERENT:
                assert ours == theirs, name


@pytest.mark.parametrize(
    ("name", "value", "option", "seen"),
    [
        ("tcp_keepalive_time", "7", (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 7),
        ("tcp_keepalive_intvl", "8", (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 8),
        ("tcp_keepalive_probes", "9", (socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 9),
        ("ip_default_ttl", "33", (socket.IPPROTO_IP, socket.IP_TTL), 33),
        ("ip_no_pmtu_disc", "1", (socket.IPPROTO_IP, IP_MTU_DISCOVER), 0),
    ],
)
def test_what_new_sockets_begin_with(name: str, value: str, option: tuple[int, int], seen: int) -> None:
    host = Host()
    sysctl.write(host, f"net.ipv4.{name}", value)
    made = host.calls.socket(socket.AF_INET, socket.SOCK_STREAM)
    assert int.from_bytes(made.getsockopt(*option), sys.byteorder) == seen


def test_addresses_of_others_may_be_bound() -> None:
    host = Host()
    made = host.calls.socket(socket.AF_INET, socket.SOCK_STREAM)
    with pytest.raises(OSError, match="Cannot assign"):
        made.bind((bytes([192, 0, 2, 1]), 80))
    sysctl.write(host, "net.ipv4.ip_nonlocal_bind", "1")
    made.bind((bytes([192, 0, 2, 1]), 80))


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
