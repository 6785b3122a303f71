"""Measurements of a stack inside the measured program: inline over a TAP, and two programs joined by a UDP socket.

Run as a program, it is `worker` with an inline host's sockets in place of the kernel's, or an end of the tunnel.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket as kernel
import subprocess
import sys
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ..namespace import inside
from . import worker
from .ends import MTU, PEER_ADDRESS, PROGRAM_ADDRESS, End, MeasurementFailed, Placement, Rig, in_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

TAP: Final = "bench0"
#: The same every time, so that the kernel's neighbor entry of the last program is the next one's too.
_TAP_ADDRESS: Final = b"\x02\0\0\0\0\x02"
TUNNEL: Final = "tunnel"
#: The tunnel's datagrams, in bytes, and the receive window of connections through it: what loopback's sockets hold.
TUNNEL_MTU: Final = 32_000
TUNNEL_WINDOW: Final = 160_000
_BLOCK: Final = 1 << 18


@contextmanager
def inline_over_tap(placement: Placement) -> Iterator[Rig]:
    """Kernel sockets on one side of a TAP; on the other, each program runs a stack of its own, inline."""
    with in_namespace() as namespace:
        _make_tap(namespace)
        command = [sys.executable, "-m", __name__, "inline"]
        yield Rig(
            End(PEER_ADDRESS, namespace, [], placement.peer),
            End(PROGRAM_ADDRESS, namespace, [], placement.program, command),
        )


def _make_tap(namespace: int) -> None:
    """A TAP that waits for programs, with the kernel's address on its side."""
    from pyroute2 import IPRoute

    with inside(namespace), IPRoute() as route:
        route.link("add", ifname=TAP, kind="tuntap", mode="tap")
        index = route.link_lookup(ifname=TAP)[0]
        route.addr("add", index=index, address=PEER_ADDRESS, prefixlen=24)
        route.link("set", index=index, mtu=MTU, state="up")


def tunnel(placement: Placement, megabytes: int) -> dict[str, float]:
    """Bulk between two programs, each with an embedded host on its asyncio loop, joined by UDP sockets on loopback.

    Raises MeasurementFailed.
    """
    ours, theirs = kernel.socket(type=kernel.SOCK_DGRAM), kernel.socket(type=kernel.SOCK_DGRAM)
    with ours, theirs:
        for end in ours, theirs:
            end.bind(("127.0.0.1", 0))
        ours.connect(theirs.getsockname())
        theirs.connect(ours.getsockname())
        processes = [
            _start(role, end, cpus, megabytes)
            for role, end, cpus in (("sink", ours, placement.peer), ("source", theirs, placement.program))
        ]
    try:
        outputs = [process.communicate(timeout=60) for process in processes]
    except subprocess.TimeoutExpired:
        raise MeasurementFailed("tunnel: no result within 60 s") from None
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        if process.returncode:
            raise MeasurementFailed(f"tunnel: {(errors.strip() or 'ended without a word').splitlines()[-1]}")
    report = json.loads(outputs[0][0])
    if report["bytes"] != megabytes * 1_000_000:
        raise MeasurementFailed(f"tunnel: {report['bytes']} bytes of {megabytes} MB arrived")
    return {"gigabits": report["bytes"] * 8 / report["seconds"] / 1e9, "bytes": report["bytes"]}


def _start(role: str, end: kernel.socket, cpus: set[int] | None, megabytes: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, TUNNEL, role, str(end.fileno()), str(megabytes)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=[end.fileno()],
    )  # fmt: skip
    if cpus:
        os.sched_setaffinity(process.pid, cpus)
    return process


# what the started programs do


def run_inline(role: str, host: str, port: str, seconds: str) -> dict[str, Any]:
    """A role of `worker` on an inline host."""
    from ...link.tap import Tap
    from ...stack.inline import InlineHost

    with InlineHost() as inline:
        inline.attach(Tap(TAP, address=_TAP_ADDRESS), f"{PROGRAM_ADDRESS}/24")
        setattr(worker, "socket", _Sockets(inline))  # noqa: B010
        return worker.ROLES[role](host, int(port), float(seconds))


class _Sockets:
    """The socket module, but with a host's sockets."""

    def __init__(self, host: Any) -> None:
        self.socket = host.socket
        self.create_connection = host.create_connection
        self.create_server = host.create_server

    def __getattr__(self, name: str) -> Any:
        return getattr(kernel, name)


async def run_tunnel(role: str, descriptor: str, megabytes: str) -> dict[str, Any]:
    """One end of the tunnel: the sink listens at 10.78.0.1, the source connects from 10.78.0.2."""
    from ...link.datagram import DatagramLink
    from ...stack import HostSettings
    from ...stack.aio.embedded import EmbeddedHost

    settings = HostSettings()
    settings.tcp.max_receive_buffer = TUNNEL_WINDOW
    link = DatagramLink(kernel.socket(fileno=int(descriptor)), mtu=TUNNEL_MTU)
    async with EmbeddedHost(settings=settings) as host:
        host.attach(link, f"10.78.0.{1 if role == 'sink' else 2}/24")
        return await (_sink(host) if role == "sink" else _source(host, int(megabytes) * 1_000_000))


async def _sink(host: Any) -> dict[str, Any]:
    result: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        total = len(await reader.read(_BLOCK))
        start = perf_counter()
        while data := await reader.read(_BLOCK):
            total += len(data)
        result.set_result({"bytes": total, "seconds": perf_counter() - start})
        writer.close()

    await host.start_server(take, "10.78.0.1", 7, limit=1 << 20)
    return await result


async def _source(host: Any, size: int) -> dict[str, Any]:
    reader, writer = await host.open_connection("10.78.0.1", 7)
    block = bytes(_BLOCK)
    for start in range(0, size, _BLOCK):
        writer.write(block[: size - start])
        await writer.drain()
    writer.write_eof()
    await reader.read()
    writer.close()
    return {"bytes": size}


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    report = asyncio.run(run_tunnel(*arguments)) if kind == TUNNEL else run_inline(*arguments)
    print(json.dumps(report), flush=True)
