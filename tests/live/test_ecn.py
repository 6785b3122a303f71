"""ECN (RFC 3168) between the kernel and a host of ours, with a path between them that marks packets."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from netower.app.dissect import read_segments
from netower.app.namespace import inside
from netower.link.tap import Tap
from netower.stack import Network
from netower.stack.calls.info import read_tcp_info
from netower.transport.tcp.connection import Connection

from .firewall import rule
from .sides import PATIENCE, THERE, Side, Stack, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

KERNEL, OURS = "10.3.0.1", "10.3.0.2"
SIZE = 1_500_000
ECN, ECN_SEEN = 8, 16

#: Sends, waits until all of it is acknowledged, and prints its struct tcp_info. BBR, the default of some kernels, takes
#: no notice of marks.
SEND = f"""
import fcntl, socket, struct, termios, time
with socket.create_connection(("{OURS}", 80), timeout={PATIENCE}) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    connection.sendall(bytes({SIZE}))
    while struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]:
        time.sleep(0.01)
    print(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256).hex())
"""
#: Takes all that comes, and prints its struct tcp_info.
TAKE = f"""
import socket
with socket.create_server(("{KERNEL}", 80)) as listener:
    print("ready", flush=True)
    connection, _ = listener.accept()
    with connection:
        while connection.recv(65536):
            pass
        print(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256).hex())
"""


@pytest.fixture
def network(namespace: int, tmp_path: Path) -> Iterator[Network]:
    """A kernel that asks for ECN, and a host of ours that does, too, over a path that marks one packet in twenty."""
    _ask(namespace)
    with Network(seed=7, pcap=tmp_path) as network:
        network.outside("kernel", Tap("outside1", host_address=f"{KERNEL}/24", segmentation=False), f"{KERNEL}/24")
        network.host("ours").host.settings.tcp.ecn = 1
        network.wire("kernel", "ours", delay="5ms", rate="50Mbit", mark="5%")
        yield network


def _ask(namespace: int) -> None:
    """Let the kernel ask for ECN."""
    with inside(namespace), open("/proc/sys/net/ipv4/tcp_ecn", "w") as setting:
        setting.write("1")


def kernel_info(text: str) -> dict[str, int]:
    return read_tcp_info(bytes.fromhex(text))


def test_the_kernel_reduces_its_window_for_our_echoes(network: Network) -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(take, port=80):
            while client.poll() is None:
                await asyncio.sleep(0.01)

    with subprocess.Popen([sys.executable, "-c", SEND], stdout=subprocess.PIPE, text=True) as client:
        network.run(main(), on="ours", wall=60)
        out, _ = client.communicate(timeout=PATIENCE)
    info = kernel_info(out.strip())
    assert info["options"] & ECN
    assert info["total_retrans"] < 50  # on a busy machine a time-out or two
    assert info["delivered_ce"] > 0
    assert info["snd_ssthresh"] < 1000
    assert network["ours"].host.internet.counters["tcp.congestion_experienced"] > 5


def test_we_reduce_ours_for_the_kernel_s(network: Network, tmp_path: Path) -> None:
    host = network["ours"].host
    found: list[Connection] = []

    async def main() -> None:
        _, writer = await asyncio.open_connection(KERNEL, 80)
        found.extend(c for c in host.tcp.sockets() if isinstance(c, Connection))
        writer.write(bytes(SIZE))
        await writer.drain()
        writer.close()
        while server.poll() is None:
            await asyncio.sleep(0.01)

    with subprocess.Popen([sys.executable, "-c", TAKE], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        network.run(main(), on="ours", wall=60)
        out, _ = server.communicate(timeout=PATIENCE)
    info = kernel_info(out.strip())
    assert info["options"] & (ECN | ECN_SEEN) == ECN | ECN_SEEN
    assert info["bytes_received"] >= SIZE
    (connection,) = found
    assert connection.ecn
    assert connection.retransmissions < 50
    assert connection.counts.delivered_marked > 0
    reductions = host.internet.counters["tcp.congestion_echoed"]
    assert reductions > 1
    captured = [segment for capture in tmp_path.glob("*.pcap") for segment in read_segments(capture)]
    told = {segment.sequence for segment in captured if segment.length and "CWR" in segment.flags}
    assert 0 < len(told) <= reductions


def test_large_packets_pass_with_marks_and_flags(namespace: int, ours: Side, stack: Stack) -> None:
    """Segmentation is left to the other side of the TAP both ways; CWR goes out on large packets like any others."""
    _ask(namespace)
    stack.query("settings", names=[], changes=[["net.ipv4.tcp_ecn", "1"]])
    data = bytes(range(256)) * 40_000
    with (
        rule(namespace, "ip ecn ect0 numgen random mod 10 == 7", do="ip ecn set ce"),
        ours.peer.listen(THERE) as listener,
        ours.program.connect(listener.getsockname()) as client,
    ):
        server, _ = listener.accept()
        with server:
            for sender, receiver in ((client, server), (server, client)):
                writer = threading.Thread(target=sender.sendall, args=(data,))
                writer.start()
                assert read_all(receiver, len(data)) == data
                writer.join()
            info = read_tcp_info(server.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256))
        (row,) = [row for row in stack.query("sockets") if row["remote"].startswith(f"{THERE}:")]
    assert info["options"] & (ECN | ECN_SEEN) == ECN | ECN_SEEN
    assert info["delivered_ce"] > 0
    assert info["total_retrans"] < 50  # on a busy machine a time-out or two
    assert row["info"]["ecn"]
    assert row["info"]["ecnseen"]
    assert row["info"]["delivered_ce"] > 0
