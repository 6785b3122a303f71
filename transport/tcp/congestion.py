"""Congestion control: how much may be on the way (RFC 5681, RFC 6582, RFC 6928).

What the sender does about a loss is one question (recovery.py), how large the window is another: this one. A controller
is told what happened and answers with its ``cwnd``; it sees no segments.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from random import Random

    from .delivery import DeliveryRate
    from .rtt import RoundTrip

UNLIMITED: Final = 1 << 30


class Sender(Protocol):
    """What a controller may ask: times in seconds, numbers as in the rest of TCP."""

    snd_nxt: int
    rtt: RoundTrip

    @property
    def now(self) -> float: ...

    @property
    def random(self) -> Random: ...


class CongestionControl(Protocol):
    """What the sender and its recovery need of a controller. Everything is in bytes."""

    cwnd: int
    ssthresh: int

    @property
    def name(self) -> str: ...

    @property
    def samples(self) -> bool:
        """Whether it works by samples of the delivery rate. Then ``cwnd`` is its own at all times, recovery included,
        and it is told of each acknowledgment by `sampled`."""

    @property
    def pacing_rate(self) -> float:
        """In bytes/s; inf: it does not ask for pacing."""

    def acknowledged(self, size: int, mss: int, ack: int, sender: Sender) -> None:
        """``size`` bytes up to ``ack`` were acknowledged outside of recovery, while the window was in full use."""

    def sampled(self, sample: DeliveryRate, mss: int, sender: Sender) -> None:
        """An acknowledgment has told what ``sample`` holds now; called where ``samples`` is set."""

    def restarted(self, sender: Sender) -> None:
        """Something is sent after a time in which nothing was on the way, as the user had written too little; called
        where ``samples`` is set."""

    def lost(self, flight: int, mss: int) -> None:
        """Acknowledgments told of a loss, with ``flight`` bytes not acknowledged: set ``ssthresh``.

        In the recovery that follows ``cwnd`` is the sender's (prr.py), unless ``samples`` is set. Thresholds of the
        others are whole segments, reckoned from the window: it grows only while it is in full use, so that it stands
        for the flight's size (RFC 5681 §3.1 (4), RFC 9438 §4.6), as on Linux.
        """

    def settle(self) -> None:
        """That recovery is over."""

    def timed_out(self, flight: int, mss: int, *, again: bool) -> None:
        """The retransmission timer fired; ``again``: in a window of data that had a loss before. ``cwnd`` is going to
        be a segment above what is still on the way."""

    def undo(self, cwnd: int, ssthresh: int) -> None:
        """The last reduction had no cause; ``cwnd`` and ``ssthresh`` are from before it."""

    def idle(self, initial: int) -> None:
        """Nothing was sent for longer than a retransmission time-out."""

    def measured(self, round_trip: float, now: float) -> None:
        """An acknowledgment has told a round trip while losses are repaired; else the sender's is the latest one."""

    def resumed(self, pause: float, now: float) -> None:
        """Something is sent ``pause`` seconds after the last time, with nothing on the way."""


def halved(cwnd: int, mss: int) -> int:
    """Half the window, in whole segments; two at least."""
    return max(cwnd // mss // 2, 2) * mss


class WindowBased:
    """What controllers have in common that do nothing but set a window."""

    __slots__ = ("cwnd", "ssthresh")

    samples = False
    pacing_rate = inf

    def __init__(self, initial: int) -> None:
        self.cwnd = initial
        self.ssthresh = UNLIMITED

    def settle(self) -> None:
        self.cwnd = self.ssthresh

    def sampled(self, sample: DeliveryRate, mss: int, sender: Sender) -> None:
        """A window needs no rate."""

    def restarted(self, sender: Sender) -> None:
        """`idle` is what matters to a window."""

    def measured(self, round_trip: float, now: float) -> None:
        """The time does not matter."""

    def resumed(self, pause: float, now: float) -> None:
        """Nor does it here."""


class Reno(WindowBased):
    """Slow start, congestion avoidance, and the window's part of fast recovery."""

    __slots__ = ("_acked",)

    name = "reno"

    def __init__(self, initial: int) -> None:
        super().__init__(initial)
        self._acked = 0

    def acknowledged(self, size: int, mss: int, ack: int = 0, sender: Sender | None = None) -> None:
        if self.cwnd < self.ssthresh:
            # RFC 5681 §3.1 counts segments; bytes are RFC 3465, without its limit L, as one ACK of a receiver that
            # coalesces stands for many segments.
            grown = min(self.cwnd + size, self.ssthresh)
            size -= grown - self.cwnd
            self.cwnd = grown
            if not size:
                return
        # RFC 5681 §3.1 (3): one segment for each window
        if self._acked >= self.cwnd:
            self._acked = 0
            self.cwnd += mss
        self._acked += size
        if self._acked >= self.cwnd:
            windows, self._acked = divmod(self._acked, self.cwnd)
            self.cwnd += windows * mss

    def lost(self, flight: int, mss: int) -> None:
        self.ssthresh = halved(self.cwnd, mss)
        self._acked = 0

    def timed_out(self, flight: int, mss: int, *, again: bool) -> None:
        if not again:
            self.ssthresh = halved(self.cwnd, mss)
        self._acked = 0

    def undo(self, cwnd: int, ssthresh: int) -> None:
        self.cwnd, self.ssthresh = max(self.cwnd, cwnd), max(self.ssthresh, ssthresh)

    def idle(self, initial: int) -> None:
        self.cwnd = min(self.cwnd, initial)  # RFC 5681 §4.1
