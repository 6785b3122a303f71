"""asyncio programs on a simulated network."""

from __future__ import annotations

import asyncio
import errno
import gc
import hashlib
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from netower.stack import Network
from netower.stack.calls import numbers as n
from netower.stack.network import Ended
from netower.stack.simulation.errors import BoundError, DeadlockError

if TYPE_CHECKING:
    import ssl


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back all that comes."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def serve(port: int = 7, **options: Any) -> None:
    async with await asyncio.start_server(echo, port=port, **options) as server:
        await server.serve_forever()


async def exchange(data: bytes, port: int = 7, **options: Any) -> bytes:
    reader, writer = await asyncio.open_connection("server", port, **options)
    writer.write(data)
    answer = await reader.readexactly(len(data))
    writer.close()
    await writer.wait_closed()
    return answer


# streams


def test_streams_take_the_time_that_the_network_takes(network: Network) -> None:
    async def client() -> float:
        loop = asyncio.get_running_loop()
        await exchange(b"")  # now the neighbors know each other
        start = loop.time()
        assert await exchange(b"x" * 100) == b"x" * 100
        return loop.time() - start

    network.start("server", serve)
    # A round trip of 40 ms for the handshake, one for data and answer.
    assert network.run(client(), on="client") == pytest.approx(0.08)


def test_bulk_arrives_whole_under_loss(network: Network) -> None:
    data = bytes(range(256)) * 4000

    async def client() -> bytes:
        reader, writer = await asyncio.open_connection("server", 7)

        async def send() -> None:
            for start in range(0, len(data), 10_000):
                writer.write(data[start : start + 10_000])
                await writer.drain()
            writer.write_eof()

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            received = await reader.read()
        writer.close()
        return received

    network.wires["client-server"].set(loss="1%")
    network.start("server", serve)
    assert network.run(client(), on="client") == data


def test_tls(network: Network, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def upgrade() -> bytes:
        reader, writer = await asyncio.open_connection("server", 8)
        writer.write(b"STARTTLS\n")
        await writer.start_tls(client_tls, server_hostname="")
        writer.write(b"now secret\n")
        answer = await reader.readline()
        writer.close()
        return answer

    async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        await writer.start_tls(server_tls)
        await echo(reader, writer)

    async def serve_upgrade() -> None:
        async with await asyncio.start_server(upgraded, port=8) as server:
            await server.serve_forever()

    network.start("server", lambda: serve(443, ssl=server_tls))
    data = bytes(100_000)
    assert network.run(exchange(data, 443, ssl=client_tls), on="client") == data
    if sys.version_info >= (3, 12):
        network.start("server", serve_upgrade)
        assert network.run(upgrade(), on="client") == b"now secret\n"


def test_a_writer_waits_while_the_reader_does(network: Network) -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(100)
        while await reader.read(1 << 20):
            pass
        writer.close()

    async def listen() -> None:
        async with await asyncio.start_server(stall, port=9) as server:
            await server.serve_forever()

    async def client() -> float:
        _, writer = await asyncio.open_connection("server", 9)
        loop = asyncio.get_running_loop()
        for _ in range(200):
            writer.write(bytes(100_000))
            await writer.drain()
        writer.close()
        return loop.time()

    network.start("server", listen)
    assert network.run(client(), on="client") > 100


def test_refused_and_unreachable(network: Network) -> None:
    with pytest.raises(ConnectionRefusedError) as refused:
        network.run(exchange(b"", 1), on="client")
    assert any("on client" in note and "virtual time" in note for note in refused.value.__notes__)
    with pytest.raises(socket.gaierror):
        network.run(asyncio.wait_for(asyncio.open_connection("nobody", 1), 1), on="client")
    network["server"].crash()
    with pytest.raises(OSError) as silent:
        network.run(exchange(b"", 7), on="client")
    assert silent.value.errno
    assert 1 < network.now < 200


def test_a_dead_peer_times_out_in_virtual_minutes(network: Network) -> None:
    async def client() -> None:
        reader, writer = await asyncio.open_connection("server", 7)
        network["server"].crash()
        writer.write(b"anyone?")
        try:
            await reader.read()
        finally:
            writer.close()

    network.start("server", serve)
    with pytest.raises(OSError) as silent:
        network.run(client(), on="client")
    assert silent.value.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH)
    assert network.now > 60


# datagrams


def test_datagrams(network: Network) -> None:
    class Reflect(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.transport.sendto(data[::-1], address)

    class Collect(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.received: asyncio.Queue[Any] = asyncio.Queue()

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.received.put_nowait((data, address))

        def error_received(self, failure: Exception) -> None:
            self.received.put_nowait(failure)

    async def listen() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(Reflect, local_addr=("0.0.0.0", 53))

    async def client(port: int) -> Any:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Collect, remote_addr=("server", port))
        transport.sendto(b"abc")
        try:
            return await asyncio.wait_for(protocol.received.get(), 5)
        finally:
            transport.close()

    network.start("server", listen)
    assert network.run(client(53), on="client") == (b"cba", ("10.0.0.2", 53))
    assert isinstance(network.run(client(54), on="client"), ConnectionRefusedError)


# socket objects


def test_socket_objects_are_the_hosts(network: Network) -> None:
    async def listen() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as listener:
            listener.setblocking(False)
            listener.bind(("", 7))
            listener.listen()
            accepted, address = await loop.sock_accept(listener)
            with accepted:
                assert address[0] == "10.0.0.1"
                await loop.sock_sendall(accepted, await loop.sock_recv(accepted, 100))

    async def client() -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("server", 7))
            assert isinstance(sock, socket.socket)
            assert sock.getpeername() == ("10.0.0.2", 7)
            await loop.sock_sendall(sock, b"through sockets")
            readable = asyncio.Event()
            loop.add_reader(sock, readable.set)
            await readable.wait()
            assert loop.remove_reader(sock.fileno())
            return await loop.sock_recv(sock, 100)

    network.start("server", listen)
    assert network.run(client(), on="client") == b"through sockets"
    with socket.socket() as real:
        assert 0 <= real.fileno() < 1 << 20  # outside of programs they are the kernel's, as ever


def test_an_error_queue_that_nobody_reads_does_not_stop_the_clock(network: Network) -> None:
    async def client() -> float:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("server", 7))
            began = loop.time()
            # On Linux epoll goes on to tell of it, and the program asks in vain until there are data.
            stamps = n.SOF_TIMESTAMPING_TX_SOFTWARE | n.SOF_TIMESTAMPING_SOFTWARE
            sock.setsockopt(socket.SOL_SOCKET, n.SO_TIMESTAMPING, stamps)
            await loop.sock_sendall(sock, b"stamped")
            assert await loop.sock_recv(sock, 100) == b"stamped"
            return loop.time() - began

    network.start("server", serve)
    assert network.run(client(), on="client") == pytest.approx(0.04, rel=0.01)


def test_real_descriptors_threads_and_processes_are_refused(network: Network) -> None:
    async def use(what: str) -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        with near, far:
            if what == "descriptor":
                loop.add_reader(near, print)
            elif what == "thread":
                await asyncio.to_thread(print)
            elif what == "process":
                await asyncio.create_subprocess_exec("true")
            else:
                near.setblocking(False)
                await loop.sock_recv(near, 1)

    for what in "descriptor", "thread", "process", "socket":
        with pytest.raises(RuntimeError, match=r"simulated network .*: .*real time"):
            network.run(use(what), on="client")


def test_blocking_calls_are_refused(network: Network) -> None:
    async def client() -> None:
        with socket.socket() as sock:
            sock.connect(("server", 7))

    with pytest.raises(OSError, match=r"loop\.sock_"):
        network.run(client(), on="client")


# how runs end


def test_a_deadlock_tells_who_waits_where(network: Network) -> None:
    async def wait_for_nothing() -> None:
        reader, _writer = await asyncio.open_connection("server", 7)
        await reader.readline()

    network.start("server", serve)
    with pytest.raises(DeadlockError) as deadlock:
        network.run(wait_for_nothing(), on="client")
    text = str(deadlock.value)
    assert "client: test_a_deadlock_tells_who_waits_where.<locals>.wait_for_nothing" in text
    assert "waits in StreamReader.readline, at test_simulated.py:" in text
    assert "server: serve" in text


def test_bounds(network: Network) -> None:
    async def tick() -> None:
        while True:
            await asyncio.sleep(1)

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(BoundError, match="virtual time 5") as until:
        network.run(tick(), on="client", until=5)
    assert until.value.ended is Ended.UNTIL
    assert network.now == 5
    with pytest.raises(BoundError, match="real time") as wall:
        network.run(spin(), on="client", wall=0.05)
    assert wall.value.ended is Ended.WALL
    network.start("server", serve)
    with pytest.raises(BoundError, match="events") as events:
        network.run(exchange(bytes(1_000_000)), on="client", events=10)
    assert events.value.ended is Ended.EVENTS
    network.at(20, network.stop)
    with pytest.raises(BoundError, match="stopped"):
        network.run(tick(), on="client")
    assert network.now >= 20


def test_programs_go_on_from_run_to_run(network: Network) -> None:
    ticks = []

    async def tick() -> None:
        for number in range(10):
            await asyncio.sleep(1)
            ticks.append((number, network.now))

    network.start("client", tick)
    assert network.run(until=3.5) is Ended.UNTIL
    assert [number for number, _ in ticks] == [0, 1, 2]
    assert network.run() is Ended.IDLE
    assert ticks[-1] == (9, pytest.approx(10))


def test_a_failing_program_ends_the_run(network: Network) -> None:
    async def fail() -> None:
        await asyncio.sleep(3)
        raise LookupError("lost")

    network.start("server", fail)
    with pytest.raises(LookupError) as failure:
        network.run(asyncio.sleep(10), on="client")
    assert any("on server" in note and "3.000000 s" in note for note in failure.value.__notes__)


def test_a_crash_ends_programs_and_a_restart_starts_them_again(network: Network) -> None:
    lives = []

    async def live() -> None:
        lives.append(network.now)
        try:
            await serve()
        finally:
            lives.append(network.now)

    async def client() -> list[bytes]:
        answers = [await exchange(b"before")]
        await asyncio.sleep(20 - network.now)
        return [*answers, await exchange(b"after")]

    network.start("server", live)
    network.at(5, network["server"].crash)
    network.at(10, network["server"].restart)
    assert network.run(client(), on="client") == [b"before", b"after"]
    assert lives == [0, 5, 10]


def test_closing_the_network_lets_programs_end(network: Network) -> None:
    ended = []

    async def program() -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            await asyncio.sleep(1)
            ended.append(network.now)

    network.start("client", program)
    network.run(until=2)
    network.close()
    assert ended == [3]


def test_a_network_that_nobody_closes_leaves_no_noise() -> None:
    network = Network()
    network.host("alone")
    network.start("alone", asyncio.sleep(100))
    network.run(until=1)
    del network
    gc.collect()


def test_code_on_no_host_is_told_so(network: Network) -> None:
    with pytest.raises(RuntimeError, match=r"Network\.start"):
        network.loop.run_until_complete(asyncio.open_connection("server", 7))
    with pytest.raises(ValueError, match="on which host"):
        network.run(asyncio.sleep(0))  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="nobody"):
        network.run(asyncio.sleep(0), on="nobody")
    with pytest.raises(TypeError, match="coroutine"):
        network.start("client", 42)  # type: ignore[arg-type]


# determinism

STORY = """
import asyncio, sys
from netower.stack import Network

async def echo(reader, writer):
    while data := await reader.read(5000):
        writer.write(data)
    writer.close()

async def serve():
    await (await asyncio.start_server(echo, port=7)).serve_forever()

async def client(number):
    reader, writer = await asyncio.open_connection("server", 7)
    writer.write(bytes([number]) * 20_000)
    await reader.readexactly(20_000)
    writer.close()

async def fail():
    await asyncio.sleep(1.5)
    raise TimeoutError

async def clients():
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(client(number))
            group.create_task(fail())
    except* TimeoutError:
        pass

with Network(seed=int(sys.argv[2]), pcap=sys.argv[1]) as network:
    network.host("client"), network.host("server")
    network.wire("client", "server", delay="100ms", jitter="20ms", loss="3%", rate="2Mbit")
    network.start("server", serve)
    network.run(clients(), on="client")
"""


def test_the_same_seed_gives_the_same_packets(tmp_path: Path) -> None:
    sums = []
    for number, (hash_seed, seed) in enumerate((("1", "5"), ("2", "5"), ("3", "6"))):
        folder = tmp_path / str(number)
        command = [sys.executable, "-c", STORY, str(folder), seed]
        subprocess.run(command, check=True, timeout=60, env={"PYTHONHASHSEED": hash_seed})
        files = sorted(folder.iterdir())
        assert files
        sums.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert sums[0] == sums[1] != sums[2]
