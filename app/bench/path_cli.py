"""``netower bench --path`` and ``--fairness``: their options, tables and plot; what is measured is in path.py."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from ...stack import units
from ...transport.tcp.controllers import CONTROLLERS
from ..namespace import enter_private
from ..output import print_json, print_table
from . import path
from .ends import MeasurementFailed

#: The flows of a cell, the reference first.
WAYS: Final = {"kernel": "kernel → kernel", "out": "netower → kernel", "in": "kernel → netower"}


def _milliseconds(text: str) -> float:
    """An option's type: a time such as 20ms, or a bare number of milliseconds."""
    return _parsed(units.seconds, f"{text}ms" if text.replace(".", "", 1).isdecimal() else text) * 1e3


def _share(text: str) -> str:
    """An option's type: a share such as 1%, kept as it was written."""
    _parsed(units.fraction, text)
    return text


def _rate(text: str) -> str:
    """An option's type: a rate such as 10Mbit, kept as it was written."""
    _parsed(units.bits_per_second, text)
    return text


def _parsed(parse: Callable[[str], float], text: str) -> float:
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _plot_file(text: str) -> Path:
    """An option's type: a file that can be drawn into, which is found out before anything is measured."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise click.BadParameter("drawing takes matplotlib: pip install 'netower[plot]'") from None
    file = Path(text)
    known = Figure().canvas.get_supported_filetypes()
    if file.suffix.lstrip(".") not in known:
        raise click.BadParameter(f"{text!r} does not end in one of {', '.join(sorted(known))}")
    if not file.absolute().parent.is_dir():
        raise click.BadParameter(f"{str(file.parent)!r} is no folder")
    return file


def options(function: Callable[..., int]) -> Callable[..., int]:
    """The options for what paths are measured, which have no meaning without --path or --fairness."""
    settings: tuple[tuple[str, dict[str, Any]], ...] = (
        ("rtt", {"multiple": True, "metavar": "TIME", "default": path.ROUND_TRIPS, "type": _milliseconds,
                 "help": "Just this round trip, such as 20ms (repeatable).  [default: 1, 20 and 100ms]"}),
        ("loss", {"multiple": True, "metavar": "SHARE", "default": path.LOSSES, "type": _share,
                  "help": "Just this loss, either way (repeatable).  [default: 0, 0.1%, 1% and 5%]"}),
        ("rate", {"metavar": "RATE", "type": _rate,
                  "help": f"Of the path.  [default: {path.RATE}; --fairness: {path.FAIR_RATE}]"}),
        ("queue", {"metavar": "FRAMES", "type": click.IntRange(1),
                   "help": f"Before the path.  [default: {path.QUEUE}; --fairness: {path.FAIR_QUEUE}]"}),
        ("congestion", {"metavar": "NAME", "default": path.CONGESTION, "type": click.Choice(sorted(CONTROLLERS)),
                        "help": "The congestion control of every socket, the kernel's too.  [default: cubic]"}),
        ("plot", {"metavar": "FILE", "type": _plot_file, "help": "Draw what --path measured (.png, .svg, .pdf)."}),
    )  # fmt: skip
    for name, arguments in reversed(settings):
        function = click.option(f"--{name}", **arguments)(function)
    return function


def command(
    cells: bool, fairness: bool, seconds: float | None, repeat: int | None, as_json: bool, *,
    rtt: tuple[float, ...], loss: tuple[str, ...], rate: str | None, queue: int | None, congestion: str,
    plot: Path | None,
) -> int:  # fmt: skip
    """Measure the cells of the table, the shares of a bottleneck, or both; 1 if something could not be measured."""
    if plot and not cells:
        raise click.UsageError("--plot draws what --path measures")
    reports: dict[str, Any] = {}
    enter_private()
    try:
        with tempfile.TemporaryDirectory(prefix="netower-bench-") as directory:
            if cells:
                wanted = path.cells(rtt, loss, rate or path.RATE, queue or path.QUEUE, congestion)
                reports["path"] = path.measure(_watched(wanted), seconds or path.SECONDS, repeat, Path(directory))
            if fairness:
                reports["fairness"] = path.fairness(
                    rate or path.FAIR_RATE,
                    queue or path.FAIR_QUEUE,
                    seconds or path.FAIR_SECONDS,
                    Path(directory),
                    congestion,
                )
    except MeasurementFailed as error:
        raise click.ClickException(str(error)) from None
    if plot and reports["path"]["cells"]:
        draw(reports["path"]["cells"], plot)
    return _show(reports, as_json)


def _watched(wanted: Sequence[path.Conditions]) -> Iterator[path.Conditions]:
    for number, conditions in enumerate(wanted, 1):
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[KMeasuring {number} of {len(wanted)}: {conditions.name}", nl=False, err=True)
        yield conditions
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)


def _show(reports: Mapping[str, Any], as_json: bool) -> int:
    from .cli import machine

    if as_json:
        print_json({"machine": machine(), **reports})
    else:
        for name, show in ("path", _show_cells), ("fairness", _show_fairness):
            if name in reports:
                show(reports[name])
    failures = [failure for report in reports.values() for failure in report["failures"]]
    for failure in failures:
        click.echo(f"netower bench: {failure}", err=True)
    return 1 if failures else 0


def _show_cells(report: Mapping[str, Any]) -> None:
    if not report["cells"]:
        return
    columns = ["RTT", "loss", "k→k", "n→k", "ratio", "k→n", "ratio", "again k→k", "n→k", "ratio", "k→n", "ratio"]
    print_table(columns, [_row(cell) for cell in report["cells"]], right=columns)
    first = report["cells"][0]
    print(
        f"k the kernel, n netower, {first['congestion']} each: goodput in Mbit/s, then bytes sent again per new one; "
        f"ratios to k→k\n{first['rate']}, a queue of {first['queue']} frames, loss both ways; "
        f"{report['seconds']:g} s a flow, {_flows(report['cells'])} of each"
    )


def _flows(cells: Sequence[Mapping[str, Any]]) -> str:
    """How many flows the figures are from, as a sentence has it."""
    counts = sorted({cell["repeat"] for cell in cells})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]} (the more is lost, the more)"


def _row(cell: Mapping[str, Any]) -> list[str]:
    row = [f"{cell['rtt']:g} ms", cell["loss"]]
    for key, form in ("goodput", _megabits), ("retransmitted_share", "{:.2%}".format):
        for way in WAYS:
            row.append(form(cell[way][key]))
            if way != "kernel":
                ratio = cell[way][f"{key}_ratio"]
                row.append("-" if ratio is None else f"{ratio:.2f}")
    return row


def _megabits(goodput: float) -> str:
    return f"{goodput / 1e6:.2f}"


def _show_fairness(report: Mapping[str, Any]) -> None:
    rows = [
        [" beside ".join(pair["flows"]), *map(_megabits, pair["goodput"]), f"{pair['jain']:.3f}"]
        for pair in report["pairs"]
    ]
    columns = ["two flows", "first", "second", "Jain"]
    print_table(columns, rows, right=columns[1:])
    print(
        f"goodput in Mbit/s over {report['seconds']:g} s, and Jain's index of both, {report['congestion']} each\n"
        f"{report['rate']}, a queue of {report['queue']} frames, a round trip of {report['rtt']:g} ms"
    )


def draw(cells: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Goodput, and what was sent again, over the loss; a column for each round trip."""
    from matplotlib.figure import Figure

    trips = sorted({cell["rtt"] for cell in cells})
    figure = Figure(figsize=(2 + 3.5 * len(trips), 6), layout="constrained")
    axes = figure.subplots(2, len(trips), squeeze=False, sharey="row")
    for column, rtt in enumerate(trips):
        chosen = [cell for cell in cells if cell["rtt"] == rtt]
        axes[0][column].set_title(f"round trip {rtt:g} ms")
        axes[1][column].set_xlabel("loss")
        _bars(axes[0][column], chosen, "goodput", 1e-6)
        _bars(axes[1][column], chosen, "retransmitted_share", 100)
    axes[0][0].set_ylabel("goodput, Mbit/s")
    axes[1][0].set_ylabel("sent again, % of the new bytes")
    axes[0][-1].legend()
    figure.savefig(file)


def _bars(axes: Any, chosen: Sequence[Mapping[str, Any]], key: str, scale: float) -> None:
    for number, (way, title) in enumerate(WAYS.items()):
        places = [place + (number - 1) * 0.27 for place in range(len(chosen))]
        axes.bar(places, [cell[way][key] * scale for cell in chosen], 0.25, label=title)
    axes.set_xticks(range(len(chosen)), [cell["loss"] for cell in chosen])
