"""TCP over an impaired path, this stack beside the kernel: goodput, what is sent again, and who gets which share.

All of it runs over ``netower path`` between two network namespaces:

    kernel ──────────────────────────────┐
    this stack ── its TAP ── forwarding ─┴─ left TAP ── path ── right TAP ── kernel (the peer)

So a flow of this stack and one of the kernel pass the same path, with the same chances, and both may at once.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...stack import units
from ..namespace import inside
from .ends import NETOWER, End, MeasurementFailed, in_namespace

WORKER: Final = [sys.executable, str(Path(__file__).with_name("path_worker.py"))]
LEFT: Final = "10.77.1.1"
RIGHT: Final = "10.77.1.2"
STACK: Final = "10.77.2.2"
ROUTER: Final = "10.77.2.1"
STACK_PREFIX: Final = "10.77.2.0/24"
#: Round trips, and the share of the frames that is lost, either way.
ROUND_TRIPS: Final = ("1ms", "20ms", "100ms")
LOSSES: Final = ("0", "0.1%", "1%", "5%")
RATE: Final = "100Mbit"
QUEUE: Final = 1000
CONGESTION: Final = "cubic"
#: How long a flow is measured, in seconds.
SECONDS: Final = 5.0
#: What two flows share, and for how long, in seconds; the queue is two round trips long.
FAIR_ROUND_TRIP: Final = 20.0
FAIR_RATE: Final = "20Mbit"
FAIR_QUEUE: Final = 66
FAIR_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Conditions:
    """What the path does: the round trip in milliseconds, then as `netower path` takes it; and the congestion control
    that every socket asks for."""

    rtt: float
    loss: str
    rate: str
    queue: int
    congestion: str

    @property
    def name(self) -> str:
        return f"{self.rtt:g} ms, loss {self.loss}"

    @property
    def flows(self) -> int:
        """How many flows tell enough: the more is lost, the more is up to chance."""
        loss = units.fraction(self.loss)
        return 8 if loss > 0.01 else 2 if loss else 1

    def options(self, seed: int) -> list[str]:
        wanted = {
            "delay": f"{self.rtt / 2:g}ms", "loss": self.loss, "rate": self.rate, "queue": self.queue, "seed": seed
        }  # fmt: skip
        return [word for name, value in wanted.items() for word in (f"--{name}", str(value))]


@dataclass(frozen=True)
class Ends:
    """Who is at the ends of a path: the kernel and this stack at the left, the peer, a kernel too, at the right."""

    kernel: End
    stack: End
    peer: End


@dataclass(frozen=True)
class Flow:
    """What one connection did: its goodput in bit/s, the bytes that TCP sent, and those of them that it sent again."""

    goodput: float
    sent: int
    again: int

    @property
    def share(self) -> float:
        """Bytes sent again, for each byte sent the first time."""
        return self.again / (self.sent - self.again) if self.sent > self.again else 0.0


# the path


@contextmanager
def path_between(conditions: Conditions, directory: Path, seed: int = 1, *, mirrored: bool = False) -> Iterator[Ends]:
    """A path, and a stack at its left. ``seed`` decides which frames get lost; ``mirrored``: those that would be lost
    on their way to the right are lost on their way to the left, and the reverse. Raises MeasurementFailed."""
    with ExitStack() as cleanup:
        left, right = (cleanup.enter_context(in_namespace()) for _ in range(2))
        for namespace in left, right:
            # What the kernel learned from one connection is nothing that the next one may start with.
            _write(namespace, "tcp_no_metrics_save", "1")
        _write(left, "ip_forward", "1")
        first, second = ("right0", "left0") if mirrored else ("left0", "right0")
        road = [*NETOWER, "path", "--left", first, "--right", second, *conditions.options(seed)]
        cleanup.enter_context(_serving(road))
        _move("left0", left, LEFT)
        _move("right0", right, RIGHT, via=LEFT)
        serving = str(directory / "path.sock")
        options = ["--tap", "stack0", "--address", f"{STACK}/24", "--host-address", f"{ROUTER}/24", "--path", serving]
        with inside(left):
            cleanup.enter_context(_serving([*NETOWER, "up", *options, "--gateway", ROUTER]))
        run = [*NETOWER, "run", "--path", serving, "--"]
        worker = [*WORKER, conditions.congestion]
        yield Ends(
            End(LEFT, left, [], worker=worker),
            End(STACK, left, run, worker=worker),
            End(RIGHT, right, [], worker=worker),
        )


def _write(namespace: int, name: str, value: str) -> None:
    try:
        with inside(namespace):
            Path("/proc/sys/net/ipv4", name).write_text(value)
    except OSError as error:
        raise MeasurementFailed(f"net.ipv4.{name} cannot be set: {error.strerror}") from None


@contextmanager
def _serving(command: list[str]) -> Iterator[None]:
    """A netower command that says when it is ready, until the end of the block."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stderr
            if not process.stdout.readline().startswith("ready"):
                raise MeasurementFailed((process.stderr.read().strip() or "ended without a word").splitlines()[-1])
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()


def _move(name: str, namespace: int, address: str, via: str | None = None) -> None:
    """Take an interface to another namespace, and set it up there; ``via`` is the way to the stack."""
    from pyroute2 import IPRoute

    with IPRoute() as route:
        route.link("set", index=route.link_lookup(ifname=name)[0], net_ns_fd=namespace)
    with inside(namespace), IPRoute() as route:
        index = route.link_lookup(ifname=name)[0]
        route.addr("add", index=index, address=address, prefixlen=24)
        route.link("set", index=index, state="up")
        if via:
            route.route("add", dst=STACK_PREFIX, gateway=via)


# flows


def flows(pairs: Sequence[tuple[End, End]], seconds: float) -> list[Flow]:
    """Send from the first to the second end of each pair, all at the same time. Raises MeasurementFailed."""
    with ExitStack() as cleanup:
        targets = [cleanup.enter_context(target.start("receive", target.address, 0, seconds)) for _, target in pairs]
        ports = [target.port() for target in targets]
        sources = [
            cleanup.enter_context(source.start("send", target.address, port, seconds))
            for (source, target), port in zip(pairs, ports, strict=True)
        ]
        sent = [source.result(seconds) for source in sources]
        arrived = [target.result(seconds) for target in targets]
    return [
        Flow(there["bytes"] * 8 / there["seconds"], here["sent"], here["again"])
        for here, there in zip(sent, arrived, strict=True)
    ]


def _total(samples: Sequence[Flow]) -> Flow:
    """Several flows of the same kind as one: what they did on average."""
    return Flow(
        sum(flow.goodput for flow in samples) / len(samples),
        sum(flow.sent for flow in samples),
        sum(flow.again for flow in samples),
    )


# the table


def cells(
    round_trips: Sequence[float], losses: Sequence[str], rate: str, queue: int, congestion: str = CONGESTION
) -> list[Conditions]:
    """Each round trip with each loss."""
    return [Conditions(rtt, loss, rate, queue, congestion) for rtt in round_trips for loss in losses]


def measure(wanted: Iterable[Conditions], seconds: float, repeat: int | None, directory: Path) -> dict[str, Any]:
    """The kernel to the kernel, this stack to the kernel and the kernel to this stack, on each of these paths.

    Each as often as ``repeat`` says, or by default as the conditions ask for. A cell that could not be measured is left
    out, and named among the failures.
    """
    report: dict[str, Any] = {"seconds": seconds, "cells": [], "failures": []}
    for conditions in wanted:
        try:
            report["cells"].append(_cell(conditions, seconds, repeat or conditions.flows, directory))
        except MeasurementFailed as error:
            report["failures"].append(f"{conditions.name}: {error}")
    return report


def _cell(conditions: Conditions, seconds: float, repeat: int, directory: Path) -> dict[str, Any]:
    samples: dict[str, list[Flow]] = {"kernel": [], "out": [], "in": []}
    for seed in range(1, repeat + 1):
        for way, taken in samples.items():
            # Each on a path of its own that loses the same frames: which one ends slow start decides about seconds.
            with path_between(conditions, directory, seed, mirrored=way == "in") as ends:
                taken += flows([_pair(ends, way)], seconds)
    kernel = _total(samples["kernel"])
    cell: dict[str, Any] = {
        "rtt": conditions.rtt, "loss": conditions.loss, "rate": conditions.rate, "queue": conditions.queue,
        "congestion": conditions.congestion, "repeat": repeat,
    }  # fmt: skip
    for way, taken in samples.items():
        flow = _total(taken)
        cell[way] = {
            "goodput": flow.goodput,
            "retransmitted": flow.again,
            "retransmitted_share": flow.share,
            "samples": [sample.goodput for sample in taken],
        }
        if way != "kernel":
            cell[way]["goodput_ratio"] = _ratio(flow.goodput, kernel.goodput)
            cell[way]["retransmitted_share_ratio"] = _ratio(flow.share, kernel.share)
    return cell


def _pair(ends: Ends, way: str) -> tuple[End, End]:
    """Who sends to whom."""
    return {"kernel": (ends.kernel, ends.peer), "out": (ends.stack, ends.peer), "in": (ends.peer, ends.stack)}[way]


def _ratio(value: float, reference: float) -> float | None:
    """None where nothing is compared with something; nothing with nothing is the same."""
    if reference:
        return value / reference
    return None if value else 1.0


# shares of a bottleneck


def fairness(rate: str, queue: int, seconds: float, directory: Path, congestion: str = CONGESTION) -> dict[str, Any]:
    """Two flows through one bottleneck: the goodput of each, and Jain's index of both."""
    conditions = Conditions(FAIR_ROUND_TRIP, "0", rate, queue, congestion)
    report: dict[str, Any] = {
        "rtt": conditions.rtt, "rate": rate, "queue": queue, "congestion": congestion, "seconds": seconds,
        "pairs": [], "failures": [],
    }  # fmt: skip
    with path_between(conditions, directory) as ends:
        for first, second in ("netower", "netower"), ("netower", "kernel"), ("kernel", "kernel"):
            pairs = [(ends.stack if name == "netower" else ends.kernel, ends.peer) for name in (first, second)]
            try:
                goodputs = [flow.goodput for flow in flows(pairs, seconds)]
            except MeasurementFailed as error:
                report["failures"].append(f"{first} beside {second}: {error}")
                continue
            report["pairs"].append({"flows": [first, second], "goodput": goodputs, "jain": jain(goodputs)})
    return report


def jain(shares: Sequence[float]) -> float:
    """Jain's fairness index: 1 where all have the same, 1/n where one of n has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0
