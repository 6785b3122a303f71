"""``netower ping``: echo requests from a running stack."""

from __future__ import annotations

import itertools
import socket
import statistics
import time
from contextlib import closing, suppress
from typing import Any, Final

import click

from ..stack.client import Stack
from .output import print_json
from .parameters import json_option, path_option

#: How long an answer may take, in seconds.
PATIENCE: Final = 1.0
#: What is left of an IPv4 packet for the data, in bytes.
LARGEST: Final = 65507
ICMP_HEADER: Final = 8


@click.command()
@click.argument("host")
@click.option("-c", "count", type=click.IntRange(1), help="Requests to send.  [default: until interrupted]")
@click.option("-i", "interval", type=click.FloatRange(0), default=1.0, show_default=True, help="Seconds between them.")
@click.option(
    "-W",
    "timeout",
    type=click.FloatRange(0.001),
    default=PATIENCE,
    show_default=True,
    help="Seconds to wait for an answer.",
)
@click.option("-s", "size", type=click.IntRange(0, LARGEST), default=56, show_default=True, help="Bytes of data.")
@json_option
@path_option
def command(
    host: str, count: int | None, interval: float, timeout: float, size: int, as_json: bool, path: str | None
) -> int:
    """Send ICMP echo requests from the running stack. Exit status 0 if there was an answer, 1 if none.

    \b
    Examples:
      netower ping -c 3 10.77.0.1
      netower ping -i 0.01 -s 1400 10.77.0.1
    """  # fmt: skip
    address = _resolve(host)
    if as_json and count is None:
        raise click.UsageError("--json needs a number of requests: -c")
    replies: list[dict[str, Any]] = []
    with closing(Stack.open(path)) as stack:
        if not as_json:
            print(f"PING {host} ({address}) {size} bytes of data", flush=True)
        with suppress(KeyboardInterrupt):
            for number in itertools.count(1) if count is None else range(1, count + 1):
                started = time.monotonic()
                replies.append({"seq": number, **stack.query("ping", address=address, timeout=timeout, size=size)})
                if not as_json:
                    print(_line(replies[-1], address, size), flush=True)
                if number != count:
                    time.sleep(max(0.0, started + interval - time.monotonic()))
    summary = _summarize(address, replies)
    if as_json:
        print_json({**summary, "replies": replies})
    else:
        _print(summary, host)
    return 0 if summary["received"] else 1


def _resolve(host: str) -> str:
    try:
        return str(socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_DGRAM)[0][4][0])
    except socket.gaierror as error:
        raise click.BadParameter(f"{host}: {error.strerror}", param_hint="HOST") from None


def _line(reply: dict[str, Any], address: str, size: int) -> str:
    if "error" in reply:
        return f"From {address}: icmp_seq={reply['seq']} {reply['error']}"
    return (
        f"{size + ICMP_HEADER} bytes from {address}: icmp_seq={reply['seq']} ttl={reply['ttl']} "
        f"time={reply['rtt'] * 1e3:.3f} ms"
    )


def _summarize(address: str, replies: list[dict[str, Any]]) -> dict[str, Any]:
    """Times are in milliseconds."""
    times = [reply["rtt"] * 1e3 for reply in replies if "rtt" in reply]
    summary: dict[str, Any] = {"address": address, "transmitted": len(replies), "received": len(times)}
    if times:
        summary |= {"min": min(times), "avg": statistics.fmean(times), "max": max(times)}
        summary["mdev"] = statistics.pstdev(times)
    return summary


def _print(summary: dict[str, Any], host: str) -> None:
    transmitted, received = summary["transmitted"], summary["received"]
    loss = 100 * (transmitted - received) / transmitted if transmitted else 0.0
    print(f"\n--- {host} ping statistics ---")
    print(f"{transmitted} packets transmitted, {received} received, {loss:.0f}% packet loss")
    if received:
        figures = "/".join(f"{summary[key]:.3f}" for key in ("min", "avg", "max", "mdev"))
        print(f"rtt min/avg/max/mdev = {figures} ms")
