"""HyStart++ (RFC 9406): leaving slow start when round trips get longer, before the queue overflows.

Round trips tell of the queue when it is there, and a round trip later. So a second sign counts, that of the original
HyStart, which Linux uses too: acknowledgments that follow each other without a pause for half of the round trip mean
that the path is as good as full. Also as in Linux, a round trip is held against the shortest of all rounds, not of the
last one: a queue that grows by less than the threshold each round is found too. What follows is RFC 9406's conservative
slow start, as a sign may come too early; and slow start goes on if round trips become shorter again.

A process sees acknowledgments later than the kernel does, and several at once, when it was busy or had to wait for a
processor: so a pause counts only as far as what was acknowledged in it does not account for it, at the pace of the
round before.
"""

from __future__ import annotations

from math import inf
from typing import Final

#: RFC 9406 §4.3; times are in seconds.
_MIN_THRESHOLD: Final = 0.004
_MAX_THRESHOLD: Final = 0.016
_SAMPLES: Final = 8
#: Rounds of conservative slow start. RFC 9406 recommends 5, in which the window may triple; Linux has none.
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
        "_current",
        "_heard",
        "_pace",
        "_pending",
        "_rounds",
        "_samples",
        "_shortest",
        "_train",
        "_window_end",
        "over",
        "stopped",
    )

    def __init__(self) -> None:
        self._window_end = -1
        self._current = self._shortest = inf
        self._samples = 0
        #: When the round began, and when the last acknowledgment of its train came.
        self._began = self._heard = 0.0
        #: The bytes that the train has acknowledged since the round began, and those since it was heard last.
        self._train = self._pending = 0
        #: Seconds for each byte in the train of the round before; 0 while that is not known.
        self._pace = 0.0
        #: Slow start has ended; and it is certain that this was no jitter.
        self.stopped = self.over = False
        #: The round trip that it ended with, if that was why; else 0.
        self._baseline = 0.0
        self._rounds = 0

    def stops(self, size: int, ack: int, snd_nxt: int, sample: float, now: float, *, wide: bool) -> bool:
        """Whether slow start ends, as ``ack`` acknowledges ``size`` after ``sample`` seconds; ``wide``: the window is
        large enough for a sign. To be asked in slow start, and then until it is ``over``."""
        if ack > self._window_end:
            self._window_end = snd_nxt
            self._begin_round(now)
            if self.stopped:
                self._rounds += 1
                self.over = self._rounds >= _ROUNDS
        self._shortest = min(self._shortest, sample)
        if wide:
            self._current = min(self._current, sample)
            self._samples += 1
        in_train = self._follows(size, now)
        if self.stopped:
            self.stopped = self._samples < _SAMPLES or self._current >= self._baseline
        elif wide and (self._delayed() or (in_train and self._full(now))):
            self.stopped = True
            self._rounds = 0
        return self.stopped

    def _begin_round(self, now: float) -> None:
        self._current, self._samples = inf, 0
        if self._train:
            self._pace = (self._heard - self._began) / self._train
        self._began = self._heard = now
        self._train = self._pending = 0

    def _follows(self, size: int, now: float) -> bool:
        """Whether the acknowledgment of ``size`` bytes belongs to the train that the round began with."""
        if now == self._began:
            return True
        self._pending += size
        if now - self._heard > _PAUSE + self._pending * self._pace:
            return False
        self._heard = now
        self._train += self._pending
        self._pending = 0
        return True

    def _delayed(self) -> bool:
        """Whether round trips have become longer."""
        shortest = self._shortest
        self._baseline = self._current
        threshold = shortest + max(_MIN_THRESHOLD, min(shortest / 8, _MAX_THRESHOLD))
        return self._samples > _SAMPLES and self._current > threshold

    def _full(self, now: float) -> bool:
        """Whether a train of acknowledgments that has not ended yet is as long as half of the round trip."""
        self._baseline = 0.0
        return now - self._began > (self._shortest + _AGGREGATION) / 2
