"""``netower path``: an impaired path between two kernels, from one TAP interface to another."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .output import print_json, print_table
from .parameters import interface_address, interface_name, json_option
from .up import LARGEST_MTU, SMALLEST_MTU

if TYPE_CHECKING:
    from ..stack.network import Network

LEFT: Final = "left"
RIGHT: Final = "right"


def _conditions(function: Callable[..., int]) -> Callable[..., int]:
    """The options for what the path does to frames."""
    for name, metavar, text in reversed(
        (
            ("delay", "TIME", "How long a frame is on its way, such as 20ms; the round trip is twice that."),
            ("jitter", "TIME", "How much longer or shorter the delay may be; the order is kept."),
            ("rate", "RATE", "How fast frames are put on the path, such as 10Mbit."),
            (
                "queue",
                "QUEUE",
                "What waits for the rate: a number of frames, a size as 64kB, or codel.  [default: 1000]",
            ),
            ("loss", "SHARE", "How many frames are lost, such as 1%."),
            ("mark", "SHARE", "How many ECN-capable packets get a mark."),
            ("mark_above", "FRAMES", "All of them get one that find so many frames waiting for the rate."),
            ("duplicate", "SHARE", "How many frames arrive twice."),
            ("corrupt", "SHARE", "How many frames have one bit flipped."),
            ("reorder", "SHARE", "How many frames are held back for --reorder-by, and others pass them."),
            ("reorder_by", "TIME", "For how long they are held back.  [default: 10ms]"),
        )
    ):
        function = click.option(f"--{name.replace('_', '-')}", name, metavar=metavar, help=text)(function)
    return function


@click.command()
@click.option("--left", metavar="NAME", type=interface_name, default="tapL", show_default=True,
              help="The interface at the left end.")  # fmt: skip
@click.option("--right", metavar="NAME", type=interface_name, default="tapR", show_default=True,
              help="The interface at the right end.")  # fmt: skip
@click.option("--left-address", metavar="CIDR", type=interface_address, help="An address for the left interface.")
@click.option("--right-address", metavar="CIDR", type=interface_address, help="An address for the right interface.")
@_conditions
@click.option("--burst", type=click.FloatRange(1), help="Loss comes in bursts of so many frames on average.")
@click.option("--mtu", type=click.IntRange(SMALLEST_MTU, LARGEST_MTU), default=1500, show_default=True,
              help="The largest packet, in bytes.")  # fmt: skip
@click.option(
    "--seed", help="What decides all chance; the same seed, the same fates of the same frames.  [default: any]"
)
@click.option("--pcap", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path),
              help="Write left.pcap and right.pcap, what each kernel sent and received, into this folder.")  # fmt: skip
@json_option
def command(
    left: str, right: str, left_address: str | None, right_address: str | None,
    mtu: int, burst: float | None, seed: str | None, pcap: Path | None, as_json: bool,
    **conditions: str | None,
) -> int:  # fmt: skip
    """Join two TAP interfaces by a path that delays, limits and loses: each TCP segment and packet for itself.

    Each condition may be a pair, LEFT-TO-RIGHT,RIGHT-TO-LEFT: `--loss 1%,0` spares the way back. Prints one line,
    `ready LEFT RIGHT`, when frames pass, and what became of them when SIGINT or SIGTERM ends it. It takes root,
    CAP_NET_ADMIN, or `unshare -rn`.

    Linux sends packets between two addresses of its own over no wire, so at least one of the interfaces has to be in a
    network namespace of its own. An interface that is moved there loses its addresses and is down.

    \b
    Examples:
      netower path --delay 20ms --loss 1% --rate 10Mbit --queue codel
      netower path --delay 300ms,30ms --rate 1Mbit,20Mbit --loss 2% --burst 5 --pcap trace

    \b
    Two network namespaces, 40 ms and 1 % loss apart, from start to end:
      ip netns add here; ip netns add there
      netower path --left tapL --right tapR --delay 20ms --loss 1% &
      until ip link show tapR up >/dev/null 2>&1; do sleep 0.1; done
      ip link set tapL netns here; ip -n here address add 10.9.0.1/24 dev tapL; ip -n here link set tapL up
      ip link set tapR netns there; ip -n there address add 10.9.0.2/24 dev tapR; ip -n there link set tapR up
      ip netns exec here ping -c 100 -i 0.05 10.9.0.2
      kill %1; ip netns delete here; ip netns delete there
    """  # fmt: skip
    if left == right:
        raise click.UsageError(f"--left and --right are both {left}: the ends are two interfaces")
    from ..stack.network import Network
    from ..stack.simulation.conditions import check, pairs

    wanted: dict[str, Any] = {name: _both_ways(name, value) for name, value in conditions.items() if value is not None}
    try:
        if burst is not None:
            wanted["loss"] = _in_bursts(wanted.get("loss", 0), burst)
        for direction in pairs(wanted):
            check(direction)
        with Network(random.SystemRandom().getrandbits(64) if seed is None else seed, pcap=pcap) as network:
            _outside(network, LEFT, left, left_address, mtu)
            _outside(network, RIGHT, right, right_address, mtu)
            # Nothing is added to the delay that was asked for.
            wire = network.wire(LEFT, RIGHT, mtu=mtu, **{"delay": 0, **wanted})
            network.at(0, _begin, network, f"ready {left} {right}")
            network.run()
            report = {sender: dict(wire.counters(sender)) for sender in wire.ends}
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if as_json:
        print_json(report)
    else:
        _print(report, {LEFT: f"{left} to {right}", RIGHT: f"{right} to {left}"})
    return 0


def _both_ways(name: str, text: str) -> Any:
    """The condition as `Network.wire` takes it: one value, or a pair."""
    values = [_number(value) if name in ("queue", "mark_above") else value for value in text.split(",")]
    return values[0] if len(values) == 1 else tuple(values)


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _in_bursts(loss: Any, length: float) -> Any:
    from ..stack.simulation.conditions import Bursts

    return tuple(Bursts(each, length) for each in loss) if isinstance(loss, tuple) else Bursts(loss, length)


def _outside(network: Network, name: str, interface: str, address: str | None, mtu: int) -> None:
    from ..link.tap import Tap

    network.outside(name, Tap(interface, mtu=mtu, host_address=address, segmentation=False))


def _begin(network: Network, text: str) -> None:
    """The network runs: whoever ends it from now on will be heard."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: network.stop())
    print(text, flush=True)


def _print(report: dict[str, dict[str, int]], titles: dict[str, str]) -> None:
    reasons = sorted({reason for counters in report.values() for reason in counters} - {"frames", "bytes"})
    columns = ["", "delivered", "bytes", *reasons]
    rows = [
        [titles[sender], *(f"{counters.get(name, 0):,}" for name in ("frames", "bytes", *reasons))]
        for sender, counters in report.items()
    ]
    print_table(columns, rows, right=columns[1:])
