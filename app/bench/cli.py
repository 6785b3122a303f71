"""``netower bench``: this stack beside the kernel's, on the same work, in one run."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..namespace import enter_private
from ..output import print_json, print_table
from ..parameters import json_option
from . import ends, path_cli
from .embedded import inline_over_tap, tunnel
from .measures import MEASURES, RATIOS, Measure, compare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REPETITIONS: Final = 5
#: The length of a sample, in seconds.
SECONDS: Final = 0.7
SYSTEMS: Final = ("kernel", "netower", "inline")
#: What is sent through the tunnel between two embedded hosts, in millions of bytes.
TUNNEL_SIZE: Final = 100


@click.command()
@click.option("--seconds", type=click.FloatRange(0.05, 60),
              help="Length of a sample.  [default: 0.7; --path: 5; --fairness: 30]")  # fmt: skip
@click.option(
    "--repeat",
    type=click.IntRange(1),
    help="Samples of a figure.  [default: 5; --path: 1 to 8, by the loss]",
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    type=click.Choice([measure.name for measure in MEASURES]),
    help="Measure just this (repeatable): " + ", ".join(measure.name for measure in MEASURES) + ".",
)
@click.option(
    "--system", "systems", multiple=True, default=SYSTEMS, type=click.Choice(SYSTEMS), help="Measure just this stack."
)
@click.option("--pin", is_flag=True, help="Keep the peer on one CPU and the stack with its program on another.")
@click.option("--simulation", is_flag=True, help="Measure simulated networks instead; needs no permission.")
@click.option("--connections", is_flag=True, help="Measure what 10,000 idle connections cost an active one instead.")
@click.option("--path", is_flag=True, help="Measure TCP over an impaired path instead: goodput, what is sent again.")
@click.option("--fairness", is_flag=True, help="Measure how two TCP flows share a bottleneck instead, or as well.")
@path_cli.options
@json_option
def command(
    seconds: float | None, repeat: int | None, only: tuple[str, ...], systems: tuple[str, ...], pin: bool,
    simulation: bool, connections: bool, path: bool, fairness: bool, as_json: bool, **conditions: Any,
) -> int:  # fmt: skip
    """Measure this stack over a TAP beside the kernel's over veth: the same programs, the same machine, one run.

    "netower" is the stack that runs as a process of its own, "inline" the one that runs in the measured program.

    Each end is a process of its own, and the figures are what a program sees. A figure is the median of several
    samples, taken in turns from the two stacks; its ratio is netower's to the kernel's. Needs root or user namespaces.

    \b
    Examples:
      netower bench                        everything, in under a minute
      netower bench --only rtt --pin       the round trip, with fixed CPUs
      netower bench --json > figures.json
      netower bench --simulation           idle hours, busy networks, memory
      netower bench --connections          an active connection beside 10,000 idle ones
      netower bench --path --plot path.png round trips of 1 to 100 ms, loss of 0 to 5 %, in a quarter of an hour
      netower bench --path --rtt 20 --loss 1% --seconds 20 --congestion bbr
      netower bench --fairness             two flows through one bottleneck
    """  # fmt: skip
    if simulation + connections + (path or fairness) > 1:
        raise click.UsageError("--simulation, --connections and --path measure different things: one at a time")
    if path or fairness:
        return path_cli.command(path, fairness, seconds, repeat, as_json, **conditions)
    seconds, repeat = seconds or SECONDS, repeat or REPETITIONS
    if simulation:
        return _simulation(repeat, as_json)
    measures = [measure for measure in MEASURES if not only or measure.name in only]
    placement = ends.Placement.pinned() if pin else ends.Placement()
    enter_private()
    if connections:
        return _connections(seconds, repeat, placement, as_json)
    try:
        with tempfile.TemporaryDirectory(prefix="netower-bench-") as directory:
            bench = Bench(measures, systems, seconds, repeat, placement, Path(directory))
            report = bench.run(progress=sys.stderr.isatty())
    except ends.MeasurementFailed as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        print_json(report)
    else:
        _print(report)
    return 1 if report["failures"] else 0


def _simulation(repeat: int, as_json: bool) -> int:
    from .simulation import measure

    try:
        figures = measure(repeat)
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None
    _print_figures(figures, as_json)
    return 0


def _connections(seconds: float, repeat: int, placement: ends.Placement, as_json: bool) -> int:
    from .connections import measure

    try:
        with tempfile.TemporaryDirectory(prefix="netower-bench-") as directory:
            figures = measure(seconds, repeat, placement, Path(directory))
    except ends.MeasurementFailed as error:
        raise click.ClickException(str(error)) from None
    _print_figures(figures, as_json)
    return 0


def _print_figures(figures: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({"machine": machine(), "figures": figures})
    else:
        rows = [[figure["title"], _number(figure["value"]), figure["unit"]] for figure in figures]
        print_table(["", "measured", "unit"], rows, right=["measured"])


def machine() -> dict[str, Any]:
    """What was measured on."""
    return {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}


class Bench:
    """One run: every measure, on every system, several times in turns."""

    def __init__(
        self, measures: list[Measure], systems: tuple[str, ...], seconds: float, repeat: int,
        placement: ends.Placement, directory: Path,
    ) -> None:  # fmt: skip
        self.measures = measures
        self.systems = systems
        self.seconds = seconds
        self.repeat = repeat
        self.placement = placement
        self.directory = directory
        self.failures: list[str] = []

    def run(self, *, progress: bool) -> dict[str, Any]:
        with ExitStack() as cleanup:
            rigs: dict[str, ends.Rig] = {
                system: cleanup.enter_context(self._rig(system)) for system in SYSTEMS if system in self.systems
            }
            memory = {"started": rigs["netower"].memory()} if "netower" in rigs else {}
            figures = []
            for measure in _watched(self.measures, progress):
                samples = self._sample(measure, rigs)
                figures += [compare(samples, figure) for figure in measure.figures]
            if memory:
                memory["finished"] = rigs["netower"].memory()
        return {
            "machine": machine(),
            "placement": self.placement.text,
            "mtu": ends.MTU,
            "seconds": self.seconds,
            "repeat": self.repeat,
            "figures": figures,
            "tunnel": self._tunnel(),
            "memory": memory,
            "failures": self.failures,
        }

    def _rig(self, system: str) -> Any:
        if system == "kernel":
            return ends.kernel_over_veth(self.placement)
        if system == "inline":
            return inline_over_tap(self.placement)
        return ends.stack_over_tap(self.placement, self.directory)

    def _tunnel(self) -> dict[str, float]:
        if "inline" not in self.systems or not any(measure.name.startswith("bulk") for measure in self.measures):
            return {}
        try:
            return tunnel(self.placement, TUNNEL_SIZE)
        except ends.MeasurementFailed as error:
            self.failures.append(str(error))
            return {}

    def _sample(self, measure: Measure, rigs: dict[str, ends.Rig]) -> dict[str, dict[str, list[float]]]:
        samples: dict[str, dict[str, list[float]]] = {system: {} for system in rigs}
        for _ in range(self.repeat):
            for system, rig in rigs.items():
                try:
                    result = measure.run(rig, self.seconds)
                except (ends.MeasurementFailed, ValueError) as error:
                    self.failures.append(f"{measure.name} on {system}: {error}")
                    continue
                for name, value in result.items():
                    samples[system].setdefault(name, []).append(value)
        return samples


def _watched(measures: list[Measure], progress: bool) -> Iterator[Measure]:
    if not progress:
        yield from measures
        return
    from rich.console import Console
    from rich.progress import Progress

    # No refreshing by itself: a thread that draws would disturb what is measured.
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("Measuring", total=len(measures))
        for number, measure in enumerate(measures):
            bar.update(task, completed=number, description=f"Measuring {measure.name}", refresh=True)
            yield measure


def _print(report: dict[str, Any]) -> None:
    systems = [system for system in SYSTEMS if system in report["figures"][0]]
    ratios = {system: name for system, name in RATIOS.items() if name in report["figures"][0]}
    columns = [
        "",
        *(title for system in systems for title in (system, *(["ratio"] if system in ratios else []))),
        "unit",
    ]
    rows = []
    for figure in report["figures"]:
        cells = []
        for system in systems:
            cells.append(_number(figure[system]))
            if system in ratios:
                cells.append(_ratio(figure[ratios[system]]))
        rows.append([figure["title"], *cells, figure["unit"]])
    print_table(columns, rows, right=columns[1:-1])
    print(f"MTU {report['mtu']}, median of {report['repeat']} samples of {report['seconds']} s; {report['placement']}")
    if report["tunnel"]:
        print(
            f"two programs, each with an embedded host, joined by a UDP socket: {report['tunnel']['bytes'] / 1e6:.0f} "
            f"MB intact, {report['tunnel']['gigabits']:.2f} Gbit/s"
        )
    if report["memory"]:
        start, end = report["memory"]["started"], report["memory"]["finished"]
        print(
            f"memory of the stack: {start['resident'] / 1e6:.1f} MB when started, {end['resident'] / 1e6:.1f} MB "
            f"at the end, {end['highest'] / 1e6:.1f} MB at its highest"
        )
    for failure in report["failures"]:
        click.echo(f"netower bench: {failure}", err=True)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
