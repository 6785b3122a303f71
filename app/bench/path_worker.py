"""One end of a TCP flow over an impaired path: a plain program over the standard library's sockets, like worker.py.

path_worker.py CONGESTION receive HOST 0 SECONDS   take one connection; prints ``ready PORT`` when it listens
path_worker.py CONGESTION send HOST PORT SECONDS   fill a connection for so long, and say what was sent

Each asks its stack for the congestion control of that name, and prints what it counted as one line of JSON.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from contextlib import suppress
from time import perf_counter
from typing import Any, Final

BLOCK: Final = 64 * 1024
#: For so much longer than the receiver counts does the sender send, in seconds: they do not begin at the same time.
MARGIN: Final = 0.3
#: How long the receiver waits for a sender whose reset was lost on the path, in seconds.
PATIENCE: Final = 1.0
#: tcpi_bytes_sent and tcpi_bytes_retrans in struct tcp_info (linux/tcp.h): u64 both.
_SENT: Final = struct.Struct("=200xQQ")
_RESET: Final = struct.pack("ii", 1, 0)  # struct linger: close throws away what waits


def receive(congestion: bytes, host: str, port: int, seconds: float) -> dict[str, Any]:
    """Read one connection: the bytes that arrived within so many seconds."""
    with socket.create_server((host, 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion)
        print("ready", listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
    with connection:
        start = perf_counter()
        total = _read(connection, start + seconds)
        elapsed = perf_counter() - start
        _read(connection, start + seconds + MARGIN + PATIENCE)
    return {"bytes": total, "seconds": elapsed}


def _read(connection: socket.socket, end: float) -> int:
    """How many bytes arrive until that time, or the end of the connection."""
    buffer = bytearray(BLOCK)
    total = 0
    with suppress(TimeoutError, ConnectionResetError):
        while (left := end - perf_counter()) > 0:
            connection.settimeout(left)
            size = connection.recv_into(buffer)
            if not size:
                break
            total += size
    return total


def send(congestion: bytes, host: str, port: int, seconds: float) -> dict[str, Any]:
    """Write to one connection for so long: the bytes that TCP has sent, and those of them sent again."""
    block = bytes(BLOCK)
    with socket.socket() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion)
        connection.connect((host, port))
        end = perf_counter() + seconds + MARGIN
        with suppress(TimeoutError):
            while (left := end - perf_counter()) > 0:
                connection.settimeout(left)
                connection.send(block)
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SENT.size)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sent, again = _SENT.unpack(info)
    return {"sent": sent, "again": again}


if __name__ == "__main__":
    _, name, role, host, port, seconds = sys.argv
    done = {"receive": receive, "send": send}[role](name.encode(), host, int(port), float(seconds))
    print(json.dumps(done), flush=True)
