"""BBR to the kernel, over a path that loses frames and has a long queue."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from netower.link.tap import Tap
from netower.stack import HostSettings, Network
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.settings import TcpSettings

from .sides import PATIENCE

pytestmark = pytest.mark.live

KERNEL = "10.3.0.1"
SIZE = 2_500_000
#: Takes all that comes, and prints how much that was.
TAKE = f"""
import socket
with socket.create_server(("{KERNEL}", 80)) as listener:
    print("ready", flush=True)
    connection, _ = listener.accept()
    with connection:
        total = 0
        while size := len(connection.recv(65536)):
            total += size
        print(total)
"""


def test_the_kernel_gets_everything_at_the_rate_of_the_path(namespace: int) -> None:
    """The margins are for a busy machine; CUBIC would need some ten seconds."""
    found: list[Connection] = []
    with Network(seed=7) as network:
        network.outside("kernel", Tap("outside1", host_address=f"{KERNEL}/24", segmentation=False), f"{KERNEL}/24")
        host = network.host("ours", settings=HostSettings(tcp=TcpSettings(congestion="bbr"))).host
        network.wire("kernel", "ours", delay="10ms", rate="20Mbit", queue=1000, loss="1%")

        async def main() -> float:
            _, writer = await asyncio.open_connection(KERNEL, 80)
            found.extend(each for each in host.tcp.connections.values() if isinstance(each, Connection))
            start = asyncio.get_running_loop().time()
            writer.write(bytes(SIZE))
            while found[0].unacknowledged:
                await asyncio.sleep(0.01)
            time = asyncio.get_running_loop().time() - start
            writer.close()
            return time

        with subprocess.Popen([sys.executable, "-c", TAKE], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            time = network.run(main(), on="ours", wall=60)
            network.run(until=network.now + 1)
            out, _ = server.communicate(timeout=PATIENCE)
    assert out == f"{SIZE}\n"
    assert found[0].retransmissions > 5
    assert SIZE * 8 / time > 8e6
    assert found[0].rtt.srtt < 0.2  # the queue holds 0.6 s
