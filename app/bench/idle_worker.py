"""Idle connections, many of them: a plain program over the standard library's sockets, like worker.py.

idle_worker.py hold HOST 0 COUNT     accept COUNT connections and keep them; prints ``ready PORT`` when it listens
idle_worker.py open HOST PORT COUNT  open COUNT connections and keep them; prints ``ready COUNT`` when they are open
"""

from __future__ import annotations

import resource
import socket
import sys
import time


def hold(host: str, count: int) -> None:
    """Accept and keep."""
    with socket.create_server((host, 0), backlog=1024) as listener:
        print("ready", listener.getsockname()[1], flush=True)
        kept = [listener.accept()[0] for _ in range(count)]
        keep(kept)


def open_many(host: str, port: int, count: int) -> None:
    """Open and keep."""
    kept = [socket.create_connection((host, port), timeout=30) for _ in range(count)]
    print("ready", len(kept), flush=True)
    keep(kept)


def keep(connections: list[socket.socket]) -> None:
    """Hold connections until this process is ended."""
    while connections:
        time.sleep(60)


if __name__ == "__main__":
    _, role, host, port, count = sys.argv
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if role == "hold":
        hold(host, int(float(count)))
    else:
        open_many(host, int(port), int(float(count)))
