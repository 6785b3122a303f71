"""One end of a measurement: a plain program over the standard library's sockets, the same on every stack.

    worker.py ROLE HOST PORT SECONDS

A passive role listens on HOST at any port and prints ``ready PORT``; an active one connects to HOST and PORT. Each
prints what it measured as one line of JSON (see the role). ``netower run -- python worker.py …`` is all that it takes
to use our stack.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from time import perf_counter, perf_counter_ns
from typing import Any, Final

BLOCK: Final = 256 * 1024
WINDOW: Final = 32
DATAGRAM: Final = bytes(32)
PATIENCE: Final = 0.2  # after which datagrams that have not come back count as lost, in seconds


def listen(host: str, backlog: int = 128) -> socket.socket:
    listener = socket.create_server((host, 0), backlog=backlog)
    print("ready", listener.getsockname()[1], flush=True)
    return listener


def sink(host: str, port: int, seconds: float) -> dict[str, Any]:
    """Read one connection to its end: bytes, and seconds since the first of them."""
    with listen(host) as listener:
        connection, _ = listener.accept()
    buffer = bytearray(BLOCK)
    with connection:
        total = connection.recv_into(buffer)
        start = perf_counter()
        while size := connection.recv_into(buffer):
            total += size
        return {"bytes": total, "seconds": perf_counter() - start}


def source(host: str, port: int, seconds: float) -> dict[str, Any]:
    """Write to one connection for so long: bytes."""
    block = bytes(BLOCK)
    total = 0
    with socket.create_connection((host, port)) as connection:
        end = perf_counter() + seconds
        while perf_counter() < end:
            connection.sendall(block)
            total += BLOCK
    return {"bytes": total}


def echo(host: str, port: int, seconds: float) -> dict[str, Any]:
    """Send back what one connection brings."""
    with listen(host) as listener:
        connection, _ = listener.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(64):
            connection.sendall(data)
    return {}


def round_trips(host: str, port: int, seconds: float) -> dict[str, Any]:
    """One byte there and back, again and again: median and 99th percentile in microseconds."""
    times = []
    with socket.create_connection((host, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = perf_counter_ns() + int(seconds * 1e9)
        now = perf_counter_ns()
        while now < end:
            connection.sendall(b"x")
            connection.recv(64)
            before, now = now, perf_counter_ns()
            times.append(now - before)
    times.sort()
    return {"median": times[len(times) // 2] / 1e3, "p99": times[len(times) * 99 // 100] / 1e3, "count": len(times)}


def accept(host: str, port: int, seconds: float) -> dict[str, Any]:
    """Accept connections and close them, until terminated."""
    with listen(host, backlog=1024) as listener:
        while True:
            listener.accept()[0].close()


def connect(host: str, port: int, seconds: float) -> dict[str, Any]:
    """Connect, wait for the other end to close, close: how often in so many seconds."""
    count = 0
    start = perf_counter()
    while (elapsed := perf_counter() - start) < seconds:
        with socket.create_connection((host, port)) as connection:
            connection.recv(1)
        count += 1
    return {"count": count, "seconds": elapsed}


def reflect(host: str, port: int, seconds: float) -> dict[str, Any]:
    """Send datagrams back to where they came from, until terminated."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.bind((host, 0))
        print("ready", endpoint.getsockname()[1], flush=True)
        while True:
            endpoint.sendto(*endpoint.recvfrom(2048))


def datagrams(host: str, port: int, seconds: float) -> dict[str, Any]:
    """A window of datagrams on their way: echoes counted."""
    return _exchange(host, port, seconds, WINDOW)


def datagram(host: str, port: int, seconds: float) -> dict[str, Any]:
    """One datagram on its way at a time: echoes counted."""
    return _exchange(host, port, seconds, 1)


def _exchange(host: str, port: int, seconds: float, window: int) -> dict[str, Any]:
    count = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.connect((host, port))
        endpoint.settimeout(PATIENCE)
        on_the_way = lost = 0
        start = perf_counter()
        while (elapsed := perf_counter() - start) < seconds:
            while on_the_way < window:
                endpoint.send(DATAGRAM)
                on_the_way += 1
            try:
                endpoint.recv(2048)
                count += 1
                on_the_way -= 1
            except TimeoutError:
                lost += on_the_way
                on_the_way = 0
    return {"count": count, "seconds": elapsed, "lost": lost}


ROLES: Final[dict[str, Callable[[str, int, float], dict[str, Any]]]] = {
    role.__name__: role for role in (sink, source, echo, round_trips, accept, connect, reflect, datagrams, datagram)
}

if __name__ == "__main__":
    _, name, host, port, seconds = sys.argv
    print(json.dumps(ROLES[name](host, int(port), float(seconds))), flush=True)
