"""The largest of the latest samples."""

from __future__ import annotations

from typing import Final


class MaxFilter:
    """The maximum of what was put in during the last ``length`` ticks of a clock that does not go back.

    What an equal or larger value followed is forgotten, so there is at most one value for each tick.
    """

    __slots__ = ("_length", "_values")

    def __init__(self, length: int) -> None:
        self._length: Final = length
        #: (tick, value), values falling.
        self._values: list[tuple[int, float]] = []

    @property
    def maximum(self) -> float:
        """0 before the first value."""
        return self._values[0][1] if self._values else 0.0

    def put(self, tick: int, value: float) -> None:
        values = self._values
        while values and values[-1][1] <= value:
            values.pop()
        if not values or values[-1][0] != tick:
            values.append((tick, value))
        oldest = tick - self._length
        while values[0][0] <= oldest:
            del values[0]
