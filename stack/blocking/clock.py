"""The clocks of a simulated host, and sleeping: the functions of ``time``."""

from __future__ import annotations

import time
from typing import Any, Final

from .fiber import fallback, here
from .swaps import swapped

#: What time.time says when the network's clock is at 0: 2000-01-01, 00:00 UTC.
EPOCH: Final = 946684800
#: What a call costs that asks whether something has happened yet, in seconds: so a program that asks again and again
#: does not keep the clock from reaching that moment.
GLANCE: Final = 1e-6


def now() -> float:
    """The virtual time, in seconds."""
    return here().program.network.scheduler.now


def sleep(seconds: Any, /) -> None:
    """Sleep in virtual time."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    here().wait(max(float(seconds), GLANCE))


def install() -> None:
    swapped.name(time.sleep, fallback(time.sleep)(sleep))
    swapped.name(time.time, fallback(time.time)(lambda: EPOCH + now()))
    swapped.name(time.time_ns, fallback(time.time_ns)(lambda: EPOCH * 10**9 + round(now() * 1e9)))
    for clock in (time.monotonic, time.perf_counter):
        swapped.name(clock, fallback(clock)(now))
    for clock in (time.monotonic_ns, time.perf_counter_ns):
        swapped.name(clock, fallback(clock)(lambda: round(now() * 1e9)))
