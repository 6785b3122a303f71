"""A simulated network with a TAP among its links: the kernel reaches simulated hosts, in real time."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from netower.link.fed import FedLink
from netower.link.tap import Tap
from netower.stack import Ended, Network
from pyroute2 import IPRoute

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

KERNEL, SERVER = "10.1.0.1", "10.1.0.2"

FETCH = f"""
import hashlib, socket
with socket.create_connection(("{SERVER}", 80), timeout=20) as connection:
    print(hashlib.sha256(b"".join(iter(lambda: connection.recv(65536), b""))).hexdigest())
"""


@pytest.fixture
def network(namespace: int) -> Iterator[Network]:
    with Network(seed=1) as network:
        network.outside("kernel", Tap("outside0", host_address=f"{KERNEL}/24", segmentation=False), f"{KERNEL}/24")
        network.host("server")
        yield network


def test_the_kernel_fetches_from_a_simulated_host_over_a_bad_path(network: Network) -> None:
    wire = network.wire("kernel", "server", delay="10ms", loss="2%", rate="20Mbit")
    data = bytes(range(256)) * 2000

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(serve, port=80):
            while client.poll() is None:  # to the end: what is lost there has to be sent again
                await asyncio.sleep(0.01)

    assert network["server"].address == SERVER
    with subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.PIPE, text=True) as client:
        network.run(main(), on="server", wall=60)
        out, _ = client.communicate(timeout=20)
    assert out.strip() == hashlib.sha256(data).hexdigest()
    assert wire.counters("server")["loss"] > 0


def test_a_simulated_host_reaches_the_kernel_behind_a_router(network: Network) -> None:
    network.router("router")
    network.host("client")
    network.wire("kernel", "router", delay="5ms")
    network.wire("router", "client", delay="5ms")
    with IPRoute() as route:
        route.route("add", dst="10.0.0.0/8", gateway=network["router"].address)
    with socket.create_server((KERNEL, 0)) as listener:
        listener.settimeout(20)
        port = listener.getsockname()[1]

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(connection.recv(100).upper())

        async def ask() -> bytes:
            reader, writer = await asyncio.open_connection(KERNEL, port)
            writer.write(b"hello")
            reply = await reader.read()
            writer.close()
            return reply

        kernel = threading.Thread(target=answer)
        kernel.start()
        began = time.monotonic()
        assert network.run(ask(), on="client", wall=20) == b"HELLO"
        assert time.monotonic() - began >= 0.04  # two round trips of 20 ms
        kernel.join()


def test_virtual_time_is_real_time(network: Network) -> None:
    network.wire("kernel", "server")
    happened: list[float] = []
    for when in (0.05, 0.1, 0.1, 0.2):
        network.at(when, lambda: happened.append(network.now))
    began = time.monotonic()
    assert network.run(until=0.15) is Ended.UNTIL
    assert time.monotonic() - began >= 0.15
    assert happened == [0.05, 0.1, 0.1]
    time.sleep(0.1)  # does not count
    assert network.run(wall=0.02) is Ended.WALL
    assert network.run(until=0.3) is Ended.UNTIL
    assert happened == [0.05, 0.1, 0.1, 0.2]
    assert network.now == 0.3


def test_a_run_without_end_is_stopped_from_another_thread(network: Network) -> None:
    network.wire("kernel", "server")
    timer = threading.Timer(0.05, network.stop)
    timer.start()
    assert network.run() is Ended.STOPPED
    timer.join()


def test_the_kernels_address_is_nobody_elses(network: Network) -> None:
    with pytest.raises(ValueError, match=r"10\.1\.0\.1.*kernel|kernel.*10\.1\.0\.1"):
        network.wire("kernel", "server", addresses=(None, KERNEL))


def test_only_a_link_of_the_machines_leads_outside() -> None:
    with Network() as network, pytest.raises(ValueError, match="kernel"):
        network.outside("kernel", FedLink(send=print, address=bytes(6)))
