"""Units as people write them: "20ms", "10Mbit", "1%", "64kB". A bare number is in the base unit."""

from __future__ import annotations

import math
import re
from typing import Final

Quantity = str | float

_WRITTEN: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-zµμ%/]*)\s*")

_TIMES: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_RATES: Final = {
    prefix + unit + ending: scale * bits
    for prefix, scale in (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9))
    for unit, bits in (("bit", 1.0), ("B", 8.0))
    for ending in ("", "/s")
    if unit == "bit" or ending
}
_SIZES: Final = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3}
_FRACTIONS: Final = {"%": 0.01, "‰": 0.001}


def seconds(value: Quantity, what: str = "time") -> float:
    """A time: "20ms", "1.5s", "2min", or seconds. Raises ValueError naming ``what`` and the text."""
    return _read(value, _TIMES, what)


def bits_per_second(value: Quantity, what: str = "rate") -> float:
    """A rate: "10Mbit", "64kbit/s", "1MB/s", or bit/s; 0 for no limit. Raises ValueError."""
    return _read(value, _RATES, what)


def size(value: Quantity, what: str = "size") -> int:
    """A size: "64kB" (64,000), "64KiB" (65,536), or bytes. Raises ValueError, also for half a byte."""
    number = _read(value, _SIZES, what)
    if number != int(number):
        raise ValueError(f"{what}: {value!r} is no whole number of bytes")
    return int(number)


def fraction(value: Quantity, what: str = "fraction") -> float:
    """A fraction or probability: "1%", or a number from 0 to 1. Raises ValueError."""
    number = _read(value, _FRACTIONS, what)
    if number > 1:
        raise ValueError(f"{what}: {value!r} is more than everything (1, or 100%)")
    return number


def _read(value: Quantity, units: dict[str, float], what: str) -> float:
    if isinstance(value, str):
        written = _WRITTEN.fullmatch(value)
        scale = (units.get(written[2]) if written[2] else 1.0) if written else None
        if written is None or scale is None:
            raise ValueError(f"{what}: {value!r} is not a number with one of the units {', '.join(units)}")
        # Divided where that is exact: 20 / 1000 is the 0.02 that people mean, 20 * 0.001 is not always.
        number = float(written[1])
        return number * scale if scale >= 1 else number / round(1 / scale)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{what}: {value!r} is neither a number from 0 up nor text such as '10{next(iter(units))}'")
    return float(value)
