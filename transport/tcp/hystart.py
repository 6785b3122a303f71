"""HyStart++ (RFC 9406): leaving slow start when round trips get longer, before the queue overflows."""

from __future__ import annotations

from math import inf
from typing import Final

#: RFC 9406 §4.3; times are in seconds.
_MIN_THRESHOLD: Final = 0.004
_MAX_THRESHOLD: Final = 0.016
_SAMPLES: Final = 8
_GROWTH_DIVISOR: Final = 4
_ROUNDS: Final = 5


class HyStart:
    """Watches the shortest round trip of each round of slow start."""

    __slots__ = ("_baseline", "_current", "_last", "_rounds", "_samples", "_window_end")

    def __init__(self) -> None:
        self._window_end = -1
        self._last = self._current = inf
        self._samples = 0
        #: The round trip that conservative slow start began with; infinite outside of it.
        self._baseline = inf
        self._rounds = 0

    def growth(self, size: int, ack: int, snd_nxt: int, sample: float) -> int:
        """By how many bytes the window grows as ``ack`` acknowledges ``size`` after ``sample`` seconds (RFC 9406 §4.2).

        -1 to leave slow start.
        """
        if ack > self._window_end:
            self._window_end = snd_nxt
            self._last, self._current, self._samples = self._current, inf, 0
            if self._baseline < inf:
                self._rounds += 1
                if self._rounds >= _ROUNDS:
                    return -1
        self._current = min(self._current, sample)
        self._samples += 1
        if self._baseline < inf:
            if self._samples >= _SAMPLES and self._current < self._baseline:
                self._baseline = inf  # it was jitter
                return size
            return size // _GROWTH_DIVISOR
        if self._samples >= _SAMPLES and self._current < inf and self._last < inf:
            threshold = max(_MIN_THRESHOLD, min(self._last / 8, _MAX_THRESHOLD))
            if self._current >= self._last + threshold:
                self._baseline = self._current
                self._rounds = 0
        return size
