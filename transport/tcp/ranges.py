"""Sets of sequence numbers, as ranges: what was selectively acknowledged, what is lost, what arrived early.

A range is (first number, number after the last). Finding one is a binary search; what a call adds or removes it pays
for, and nothing else.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Range = tuple[int, int]


class Ranges:
    """Disjoint ranges in order, none of which touches the next; ``size`` is how many numbers they hold together."""

    __slots__ = ("_ends", "_starts", "size")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.size = 0

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Range]:
        return zip(self._starts, self._ends, strict=True)

    def first(self) -> Range:
        """The lowest range. Raises IndexError when there is none."""
        return self._starts[0], self._ends[0]

    @property
    def end(self) -> int:
        """The number after the highest. Raises IndexError when there is none."""
        return self._ends[-1]

    def around(self, number: int) -> Range | None:
        """The range that holds ``number``."""
        index = bisect_right(self._starts, number) - 1
        if index < 0 or self._ends[index] <= number:
            return None
        return self._starts[index], self._ends[index]

    def gaps(self, start: int, end: int) -> list[Range]:
        """What of ``start`` to ``end`` is not in the set."""
        found = []
        index = bisect_right(self._ends, start)
        starts = self._starts
        while start < end:
            if index == len(starts) or starts[index] >= end:
                found.append((start, end))
                break
            if starts[index] > start:
                found.append((start, starts[index]))
            start = self._ends[index]
            index += 1
        return found

    def add(self, start: int, end: int) -> list[Range]:
        """Put ``start`` to ``end`` in, and return what of it was not there before."""
        new = self.gaps(start, end)
        if new:
            starts, ends = self._starts, self._ends
            low = bisect_left(ends, start)  # the first range that touches
            high = bisect_right(starts, end)  # the first after it that does not
            if low < high:
                start = min(start, starts[low])
                end = max(end, ends[high - 1])
            starts[low:high] = (start,)
            ends[low:high] = (end,)
            self.size += sum(right - left for left, right in new)
        return new

    def remove(self, start: int, end: int) -> int:
        """Take ``start`` to ``end`` out, and return how many numbers of it were there."""
        starts, ends = self._starts, self._ends
        low = bisect_right(ends, start)
        high = bisect_left(starts, end)
        if low >= high or start >= end:
            return 0
        removed = sum(
            min(right, end) - max(left, start) for left, right in zip(starts[low:high], ends[low:high], strict=True)
        )
        rest = [
            (left, right)
            for left, right in ((starts[low], min(start, ends[low])), (max(end, starts[high - 1]), ends[high - 1]))
            if left < right
        ]
        starts[low:high] = [left for left, _ in rest]
        ends[low:high] = [right for _, right in rest]
        self.size -= removed
        return removed

    def clear(self) -> None:
        self._starts.clear()
        self._ends.clear()
        self.size = 0
