"""HyStart++ (RFC 9406): leaving slow start when round trips get longer, before the queue overflows.

Round trips tell of the queue when it is there, and a round trip later. So a second sign counts, that of the original
HyStart, which Linux uses too: acknowledgments that follow each other without a pause for half of the round trip mean
that the path is as good as full. What follows from it is RFC 9406's, the conservative slow start, as the sign may come
too early. Also as in Linux, a round trip is held against the shortest of all rounds, not of the last one: a queue that
grows by less than the threshold each round is found too.
"""

from __future__ import annotations

from math import inf
from typing import Final

#: RFC 9406 §4.3; times are in seconds.
_MIN_THRESHOLD: Final = 0.004
_MAX_THRESHOLD: Final = 0.016
_SAMPLES: Final = 8
_GROWTH_DIVISOR: Final = 4
#: RFC 9406 recommends 5, in which the window may triple; Linux leaves slow start at once.
_ROUNDS: Final = 2
#: Acknowledgments this near to each other belong to one train, and what a train may be longer because its packets are
#: put together for the sake of offloads (both as in Linux), in seconds.
_PAUSE: Final = 0.002
_AGGREGATION: Final = 0.001


class HyStart:
    """Watches the shortest round trip, and the train of acknowledgments, of each round of slow start."""

    __slots__ = (
        "_baseline",
        "_began",
        "_conservative",
        "_current",
        "_heard",
        "_rounds",
        "_samples",
        "_shortest",
        "_window_end",
    )

    def __init__(self) -> None:
        self._window_end = -1
        self._current = self._shortest = inf
        self._samples = 0
        #: When the round began, and when the last acknowledgment of its train came.
        self._began = self._heard = 0.0
        self._conservative = False
        #: The round trip that conservative slow start began with, if that was why; else 0.
        self._baseline = 0.0
        self._rounds = 0

    def growth(self, size: int, ack: int, snd_nxt: int, sample: float, now: float) -> int:
        """By how many bytes the window grows as ``ack`` acknowledges ``size`` after ``sample`` seconds (RFC 9406 §4.2).

        -1 to leave slow start.
        """
        if ack > self._window_end:
            self._window_end = snd_nxt
            self._current, self._samples = inf, 0
            self._began = self._heard = now
            if self._conservative:
                self._rounds += 1
                if self._rounds >= _ROUNDS:
                    return -1
        self._current = min(self._current, sample)
        self._shortest = min(self._shortest, sample)
        self._samples += 1
        if self._conservative:
            if self._samples < _SAMPLES or self._current >= self._baseline:
                return size // _GROWTH_DIVISOR
            self._conservative = False  # it was jitter
        elif self._samples >= _SAMPLES and (self._delayed() or self._full(now)):
            self._conservative = True
            self._rounds = 0
        if now - self._heard <= _PAUSE:
            self._heard = now
        return size

    def _delayed(self) -> bool:
        """Whether round trips have become longer."""
        shortest = self._shortest
        self._baseline = self._current
        return self._current >= shortest + max(_MIN_THRESHOLD, min(shortest / 8, _MAX_THRESHOLD))

    def _full(self, now: float) -> bool:
        """Whether a train of acknowledgments is as long as half of the round trip."""
        self._baseline = 0.0
        return now - self._heard <= _PAUSE and now - self._began > (self._shortest + _AGGREGATION) / 2
