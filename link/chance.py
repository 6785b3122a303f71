"""Chance: which packets an impairment picks, when it is left to a source of randomness."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from .packet import Packet


class Independent:
    """Picks each packet with ``probability``, whatever happened to the others."""

    __slots__ = ("_draw", "probability")

    def __init__(self, random: Random, probability: float) -> None:
        self._draw = random.random
        self.probability = probability

    def __call__(self, packet: Packet) -> bool:
        return self._draw() < self.probability


class GilbertElliott:
    """Picks in bursts: a line that is good or bad, and changes with each packet (E. O. Elliott, 1963).

    ``worsen`` is the probability to become bad, ``recover`` that to become good; in the bad state a packet is picked
    with ``bad``, in the good one with ``good``. Bursts last ``1 / recover`` packets on average, and the line is bad for
    ``worsen / (worsen + recover)`` of them.
    """

    __slots__ = ("_bad", "_draw", "_good", "_recover", "_state", "_worsen")

    def __init__(self, random: Random, worsen: float, recover: float, *, bad: float = 1.0, good: float = 0.0) -> None:
        self._draw = random.random
        self._worsen = worsen
        self._recover = recover
        self._bad = bad
        self._good = good
        self._state = False

    def __call__(self, packet: Packet) -> bool:
        changes = self._draw() < (self._recover if self._state else self._worsen)
        self._state ^= changes
        return self._draw() < (self._bad if self._state else self._good)
