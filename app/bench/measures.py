"""What is measured: for each figure, which role either end plays and how the figure comes from what they report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from .ends import End, Rig

Report = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One number of a measure: ``higher`` says which way is better."""

    name: str
    title: str
    unit: str
    higher: bool
    compute: Callable[[Report, Report], float]  # from what the passive and the active end report


@dataclass(frozen=True)
class Measure:
    """Two roles that work with each other. The program on the measured stack listens, unless ``program_connects``."""

    name: str
    passive: str
    active: str
    endless: bool  # the passive role serves until it is terminated, and reports nothing
    program_connects: bool
    figures: tuple[Figure, ...]

    def run(self, rig: Rig, seconds: float) -> dict[str, float]:
        """Measure once. Raises MeasurementFailed."""
        listens, connects = (rig.peer, rig.program) if self.program_connects else (rig.program, rig.peer)
        passive, active = self._exchange(listens, connects, seconds)
        return {figure.name: figure.compute(passive, active) for figure in self.figures}

    def _exchange(self, listens: End, connects: End, seconds: float) -> tuple[Report, Report]:
        with listens.start(self.passive, listens.address, 0, seconds) as server:
            port = server.port()
            with connects.start(self.active, listens.address, port, seconds) as client:
                active = client.result(seconds)
            return ({} if self.endless else server.result(seconds)), active


def _gigabits(passive: Report, active: Report) -> float:
    if passive["bytes"] != active["bytes"]:
        raise ValueError(f"{active['bytes']} bytes were sent and {passive['bytes']} received")
    return float(passive["bytes"] * 8 / passive["seconds"] / 1e9)


def _per_second(passive: Report, active: Report) -> float:
    return float(active["count"] / active["seconds"])


def _reported(key: str) -> Callable[[Report, Report], float]:
    return lambda passive, active: float(active[key])


MEASURES: Final = (
    Measure(
        "bulk-in", "sink", "source", False, False,
        (Figure("bulk_in", "bulk, into the program", "Gbit/s", True, _gigabits),),
    ),
    Measure(
        "bulk-out", "sink", "source", False, True,
        (Figure("bulk_out", "bulk, out of the program", "Gbit/s", True, _gigabits),),
    ),
    Measure(
        "rtt", "echo", "round_trips", False, False,
        (
            Figure("rtt_median", "TCP round trip of one byte, median", "µs", False, _reported("median")),
            Figure("rtt_p99", "TCP round trip of one byte, 99th percentile", "µs", False, _reported("p99")),
        ),
    ),
    Measure(
        "accept", "accept", "connect", True, False,
        (Figure("accepts", "connections the program accepts and closes", "1/s", True, _per_second),),
    ),
    Measure(
        "connect", "accept", "connect", True, True,
        (Figure("connects", "connections the program makes and closes", "1/s", True, _per_second),),
    ),
    Measure(
        "udp", "reflect", "datagrams", True, False,
        (Figure("udp_echoes", "UDP echoes, 32 on their way", "1/s", True, _per_second),),
    ),
    Measure(
        "udp-single", "reflect", "datagram", True, False,
        (Figure("udp_single", "UDP echoes, one at a time", "1/s", True, _per_second),),
    ),
)  # fmt: skip


#: What the ratio of a system to the kernel is called in a report.
RATIOS: Final = {"netower": "ratio", "inline": "inline_ratio"}


def compare(samples: dict[str, dict[str, list[float]]], figure: Figure) -> dict[str, Any]:
    """The line of a figure: the median of each system's samples, and netower's ratio to the kernel."""
    medians = {system: median(values[figure.name]) for system, values in samples.items() if values.get(figure.name)}
    line: dict[str, Any] = {
        "name": figure.name,
        "title": figure.title,
        "unit": figure.unit,
        "better": "higher" if figure.higher else "lower",
        **{system: medians.get(system) for system in samples},
    }
    for system, name in RATIOS.items():
        if "kernel" in samples and system in samples:
            known = "kernel" in medians and system in medians
            line[name] = medians[system] / medians["kernel"] if known else None
    line["samples"] = {system: values.get(figure.name, []) for system, values in samples.items()}
    return line
