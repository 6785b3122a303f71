"""Units as people write them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netower.stack.units import bits_per_second, fraction, seconds, size


@pytest.mark.parametrize(
    ("read", "written", "meant"),
    [
        (seconds, "20ms", 0.02),
        (seconds, "1.5 s", 1.5),
        (seconds, "2min", 120.0),
        (seconds, "1h", 3600.0),
        (seconds, "10us", 1e-5),
        (seconds, "10µs", 1e-5),
        (seconds, ".5", 0.5),
        (seconds, 7, 7.0),
        (bits_per_second, "10Mbit", 1e7),
        (bits_per_second, "10Mbit/s", 1e7),
        (bits_per_second, "64kbit", 64e3),
        (bits_per_second, "1MB/s", 8e6),
        (bits_per_second, 9600, 9600.0),
        (size, "64kB", 64000),
        (size, "64KiB", 65536),
        (size, "1.5kB", 1500),
        (size, 12, 12),
        (fraction, "1%", 0.01),
        (fraction, "100%", 1.0),
        (fraction, "0.03", 0.03),
        (fraction, 0.5, 0.5),
    ],
)
def test_what_is_written_is_what_is_meant(
    read: Callable[[str | float], float], written: str | float, meant: float
) -> None:
    assert read(written) == meant


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (seconds, "20 parsecs"),
        (seconds, "-1s"),
        (seconds, -1),
        (seconds, float("nan")),
        (seconds, float("inf")),
        (seconds, True),
        (seconds, None),
        (seconds, ""),
        (seconds, "ms"),
        (seconds, "1%"),
        (bits_per_second, "10MB"),
        (bits_per_second, "10ms"),
        (bits_per_second, "10mbit"),
        (size, "1.5"),
        (size, "10Mbit"),
        (fraction, "101%"),
        (fraction, 1.5),
        (fraction, "1ms"),
    ],
)
def test_nonsense_is_named(read: Callable[..., float], written: object) -> None:
    with pytest.raises(ValueError) as caught:
        read(written, "the thing")
    assert "the thing" in str(caught.value)
    assert repr(written) in str(caught.value)


@given(st.integers(0, 10**6))
def test_milliseconds_are_the_floats_that_people_write(number: int) -> None:
    assert seconds(f"{number}ms") == number / 1000
    assert fraction(f"{number % 101}%") == number % 101 / 100
