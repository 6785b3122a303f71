"""How programs on simulated hosts begin and end, and what they leave behind."""

from __future__ import annotations

import asyncio
import os
import queue
import select
import selectors
import socket
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from netower.stack.network import Ended
from netower.stack.simulation.errors import BoundError, DeadlockError

if TYPE_CHECKING:
    from collections.abc import Callable

    from netower.stack import Network


def echo(port: int = 7) -> None:
    with socket.create_server(("", port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(connection.recv(100))


def ask(data: bytes = b"hello") -> bytes:
    with socket.create_connection(("server", 7)) as connection:
        connection.sendall(data)
        return connection.recv(100)


def standard_names() -> list[Any]:
    modules = [socket, time, threading, select, queue, os]
    classes = [threading.Thread, selectors.EpollSelector, selectors.PollSelector, subprocess.Popen]
    return [
        *(value for module in modules for _, value in sorted(vars(module).items())),
        *(value for each in classes for _, value in sorted(vars(each).items())),
        socket.socket.__new__,
    ]


def test_nobody_else_sees_the_simulated_names(pair: Network) -> None:
    # What is inherited becomes explicit with the first swap, so compare from the second on.
    pair.spawn("server", echo)
    pair.spawn("client", ask).wait()
    before = standard_names()
    seen = []
    pair.at(pair.now + 0.01, lambda: seen.append(standard_names()))  # amid another program's life
    pair.spawn("client", ask).wait()
    for after in (standard_names(), *seen):
        assert all(first is second for first, second in zip(before, after, strict=True))
    assert isinstance(socket.socket().detach(), int)
    assert time.sleep.__class__.__name__ == "builtin_function_or_method"


def test_what_a_program_leaves_works_outside(pair: Network) -> None:
    def program() -> tuple[Any, ...]:
        box: queue.Queue[int] = queue.Queue()
        box.put(1)
        return box, threading.Lock(), time.monotonic, socket.getaddrinfo

    box, lock, clock, lookup = pair.spawn("client", program).wait()
    assert box.get() == 1
    assert abs(clock() - time.monotonic()) < 10
    assert lookup("127.0.0.1", 80)
    with lock, pytest.raises(RuntimeError, match="no program on a simulated host"):
        lock.acquire()


def refused(function: Callable[[], object], match: str) -> Callable[[], None]:
    def program() -> None:
        with pytest.raises(OSError, match=match):
            function()

    return program


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda: socket.socketpair(), "cannot use socketpair: its ends are the kernel's"),
        (lambda: socket.socket(socket.AF_UNIX), "cannot use a socket of the kernel: .* real time"),
        (lambda: socket.socket(fileno=0), "cannot use a descriptor: .* real time"),
        (lambda: select.select([0], [], []), "descriptor 0 here: it is the kernel's"),
        (lambda: subprocess.run(["true"], check=True), "a process of its own: that would run in real time"),
        (lambda: os.fork(), "cannot use fork: the child would be a copy of the whole network"),
        (lambda: ssl.create_default_context().wrap_socket(socket.socket(), server_hostname="x"), "SSLSocket"),
        (lambda: socket.socket(socket.AF_INET6), "Address family not supported"),
    ],
)
def test_what_is_the_kernels_is_refused_with_a_reason(pair: Network, function: Any, match: str) -> None:
    pair.spawn("client", refused(function, match)).wait()


def test_a_deadlock_says_who_waits_for_what(pair: Network) -> None:
    def program() -> None:
        threading.Thread(target=threading.Event().wait, name="worker").start()
        socket.create_server(("", 1)).accept()

    pair.spawn("server", echo)
    with pytest.raises(DeadlockError) as caught:
        pair.spawn("client", program).wait()
    story = str(caught.value)
    assert "server: echo waits in ProgramSocket.accept, at test_ends.py" in story
    assert "program waits in ProgramSocket.accept, at test_ends.py" in story
    assert "client: worker waits" in story


@pytest.mark.parametrize(
    ("bounds", "ended"), [({"until": 60}, Ended.UNTIL), ({"events": 50}, Ended.EVENTS), ({"wall": "50ms"}, Ended.WALL)]
)
def test_a_bound_says_which_it_was(pair: Network, bounds: Any, ended: Ended) -> None:
    def forever() -> None:
        while True:
            time.sleep(1)

    with pytest.raises(BoundError, match=r"waits in time\.sleep, at test_ends.py") as caught:
        pair.spawn("client", forever).wait(**bounds)
    assert caught.value.ended is ended


def test_an_exception_surfaces_from_run_with_host_time_and_seed(pair: Network) -> None:
    def program() -> None:
        time.sleep(3)
        raise LookupError("there is no such thing")

    program_run = pair.spawn("client", program)
    with pytest.raises(LookupError) as caught:
        pair.run()
    assert any("on client" in note and "3.000000 s" in note and "seed 1" in note for note in caught.value.__notes__)
    with pytest.raises(LookupError):
        program_run.result()
    assert pair.run(until=10) is Ended.IDLE


def test_a_crash_ends_a_program_and_a_restart_begins_it_anew(pair: Network) -> None:
    story: list[str] = []

    def serve() -> None:
        story.append(f"begun at {time.monotonic():.0f}")
        try:
            echo()
        finally:
            story.append("unwound")

    server = pair.spawn("server", serve)
    assert pair.spawn("client", ask).wait() == b"hello"
    pair.at(10, pair["server"].crash)
    pair.run(until=15)
    with pytest.raises(DeadlockError, match="serve waits for its host to restart"):
        pair.spawn("client", lambda: threading.Event().wait()).wait()
    restarted = pair.now
    pair["server"].restart()
    assert pair.spawn("client", ask).wait() == b"hello"
    assert story == ["begun at 0", "unwound", f"begun at {restarted:.0f}"]
    assert not server.done


def test_a_program_that_ends_closes_its_sockets(pair: Network) -> None:
    kept = []

    def careless() -> None:
        listener = socket.create_server(("", 7))
        connection, _ = listener.accept()
        kept.extend([listener, connection])  # so that nothing but the end of the program closes them

    def watch() -> bytes:
        with socket.create_connection(("server", 7)) as connection:
            return connection.recv(100)

    pair.spawn("server", careless)
    assert pair.spawn("client", watch).wait() == b""
    with pytest.raises(ConnectionRefusedError):
        pair.spawn("client", watch).wait()
    with pytest.raises(OSError, match="Bad file descriptor"):
        kept[0].accept()


def test_a_socket_that_nobody_has_any_more_is_closed(pair: Network) -> None:
    def forgetful() -> None:
        with socket.create_server(("", 7)) as listener:
            listener.accept()
            time.sleep(10)

    def watch() -> tuple[bytes, float]:
        with socket.create_connection(("server", 7)) as connection:
            return connection.recv(100), time.monotonic()

    pair.spawn("server", forgetful)
    data, when = pair.spawn("client", watch).wait()
    assert data == b""
    assert when < 1


def test_a_program_can_be_killed(pair: Network) -> None:
    story = []

    def serve() -> None:
        try:
            echo()
        finally:
            story.append("unwound")
            time.sleep(1)
            story.append("slept")

    server = pair.spawn("server", serve)
    pair.spawn("client", ask).wait()
    server.kill()
    assert server.done
    assert story == ["unwound"]
    with pytest.raises(RuntimeError, match="serve on server was killed"):
        server.result()
    with pytest.raises(ConnectionRefusedError):
        pair.spawn("client", ask).wait()


def test_a_program_that_takes_no_notice_of_its_end_does_not_hang(pair: Network) -> None:
    def stubborn() -> None:
        while True:
            try:
                time.sleep(1)
            except BaseException:
                continue

    program = pair.spawn("client", stubborn)
    pair.run(until=5)
    program.kill()
    assert pair.run(until=10) is Ended.IDLE


def test_closing_a_socket_wakes_who_waits_on_it_in_another_thread(pair: Network) -> None:
    def program() -> str:
        listener = socket.create_server(("", 7))
        threading.Timer(3, listener.close).start()
        try:
            listener.accept()
        except OSError as error:
            return f"{error.strerror} at {time.monotonic():.0f}"
        return "accepted"

    assert pair.spawn("client", program).wait() == "Bad file descriptor at 3"


def test_beside_asyncio(pair: Network) -> None:
    async def ask_asynchronously() -> bytes:
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(b"hello")
        answer = await reader.read()
        writer.close()
        return answer

    async def serve() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.read(100)).upper())
            writer.close()

        await asyncio.start_server(greet, port=7)

    pair.spawn("server", echo)
    assert pair.run(ask_asynchronously(), on="client") == b"hello"
    pair.start("client", serve())

    def ask_client() -> bytes:
        with socket.create_connection(("client", 7)) as connection:
            connection.sendall(b"hello")
            return connection.recv(100)

    assert pair.spawn("server", ask_client).wait() == b"HELLO"


def test_a_program_cannot_run_the_network(pair: Network) -> None:
    def program() -> None:
        pair.spawn("server", ask).wait()

    with pytest.raises(RuntimeError, match="cannot run the network that it is on"):
        pair.spawn("client", program).wait()


def test_a_deadlock_tells_of_programs_of_either_kind(pair: Network) -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    pair.spawn("server", echo)
    with pytest.raises(DeadlockError) as caught:
        pair.run(wait(), on="client")
    assert "server: echo waits in ProgramSocket.accept" in str(caught.value)
    assert "client: " in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "module", "extra"),
    [
        ("greenlet", "netower.stack.blocking.program", "simulation"),
        ("hypothesis", "netower.app.strategies", "hypothesis"),
    ],
)
def test_an_extra_that_is_missing_is_named(missing: str, module: str, extra: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; import {module}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert f"pip install 'netower[{extra}]'" in result.stderr
