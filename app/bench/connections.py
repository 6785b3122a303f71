"""What connections cost that do nothing: the round trip of an active one beside few and beside many idle ones."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from . import ends
from .measures import MEASURES

IDLE_WORKER: Final = str(Path(__file__).with_name("idle_worker.py"))
#: How many idle connections there are, in turn.
FEW: Final = 10
MANY: Final = 10_000
#: For so long the stack's use of the CPU is watched while nothing happens, in seconds.
REST: Final = 2.0


def measure(seconds: float, repeat: int, placement: ends.Placement, directory: Path) -> list[dict[str, Any]]:
    """The figures, as `netower bench --connections` prints them. Raises MeasurementFailed."""
    with ExitStack() as cleanup:
        rig = cleanup.enter_context(ends.stack_over_tap(placement, directory))
        _idle(cleanup, rig, FEW)
        few, memory = _round_trip(rig, seconds, repeat), rig.memory()["resident"]
        _idle(cleanup, rig, MANY - FEW)
        each = (rig.memory()["resident"] - memory) / (MANY - FEW)
        many = _round_trip(rig, seconds, repeat)
        load = _load(rig)
    return [
        _figure("rtt_few", f"TCP round trip of one byte beside {FEW:,} idle connections, median", few, "µs"),
        _figure("rtt_many", f"the same beside {MANY:,}", many, "µs"),
        _figure("rtt_change", "how much longer that is", (many / few - 1) * 100, "%"),
        _figure("memory_each", "memory of the stack for each idle connection", each / 1e3, "kB"),
        _figure("idle_load", f"use of a CPU by the stack with {MANY:,} idle connections", load * 100, "%"),
    ]


def _figure(name: str, title: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": name, "title": title, "value": value, "unit": unit, "better": "lower"}


def _idle(cleanup: ExitStack, rig: ends.Rig, count: int) -> None:
    """Open so many connections from the peer to the program, which stay until the end."""
    worker = [sys.executable, IDLE_WORKER]
    program, peer = replace(rig.program, worker=worker), replace(rig.peer, worker=worker)
    holder = cleanup.enter_context(program.start("hold", program.address, 0, count))
    opener = cleanup.enter_context(peer.start("open", program.address, holder.port(), count))
    if opener.port() != count:
        raise ends.MeasurementFailed("not all connections were opened")


def _round_trip(rig: ends.Rig, seconds: float, repeat: int) -> float:
    (rtt,) = (measure for measure in MEASURES if measure.name == "rtt")
    return median(rtt.run(rig, seconds)["rtt_median"] for _ in range(repeat))


def _load(rig: ends.Rig) -> float:
    before = _cpu_time(rig)
    time.sleep(REST)
    return (_cpu_time(rig) - before) / REST


def _cpu_time(rig: ends.Rig) -> float:
    """Seconds of CPU that the stack has used."""
    assert rig.stack is not None
    fields = Path(f"/proc/{rig.stack.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
