"""CUBIC (RFC 9438), with HyStart++ (RFC 9406): the window grows by the time since the last loss, not by round trips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .congestion import WindowBased
from .hystart import HyStart

if TYPE_CHECKING:
    from .congestion import Sender

_C: Final = 0.4
_BETA: Final = 0.7
_ALPHA: Final = 3 * (1 - _BETA) / (1 + _BETA)


class Cubic(WindowBased):
    """``cwnd`` and ``ssthresh`` are in bytes, as everywhere; the cubic's own numbers are in segments, as the RFC's."""

    __slots__ = (
        "_acked",
        "_due",
        "_epoch",
        "_fraction",
        "_hystart",
        "_k",
        "_origin",
        "_prior",
        "_rate",
        "_undo",
        "_w_est",
        "_w_max",
    )

    name = "cubic"

    def __init__(self, initial: int) -> None:
        super().__init__(initial)
        self._hystart: HyStart | None = HyStart()
        self._w_max = 0.0
        #: When the current congestion avoidance began; None before its first acknowledgment.
        self._epoch: float | None = None
        self._k = self._origin = self._w_est = self._prior = 0.0
        #: When to look at the clock again; until then the window grows by this for each acknowledged byte.
        self._due = self._rate = 0.0
        self._acked = 0
        #: Bytes of growth that do not make a whole one yet.
        self._fraction = 0.0
        self._undo: tuple[float, float | None, float, float] = (0.0, None, 0.0, 0.0)

    def acknowledged(self, size: int, mss: int, ack: int, sender: Sender) -> None:
        if self.cwnd < self.ssthresh:
            self._slow_start(size, ack, sender)
        else:
            self._avoid(size, mss, sender)

    def _slow_start(self, size: int, ack: int, sender: Sender) -> None:
        if self._hystart is not None:
            size = self._hystart.growth(size, ack, sender.snd_nxt, sender.age(ack - 1))
            if size < 0:
                self.ssthresh = self.cwnd
                self._hystart = None
                return
        self.cwnd = min(self.cwnd + size, self.ssthresh)

    def _avoid(self, size: int, mss: int, sender: Sender) -> None:
        self._acked += size
        if sender.now >= self._due:
            self._refresh(mss, sender)
        grown = size * self._rate + self._fraction
        whole = int(grown)
        self._fraction = grown - whole
        self.cwnd += whole

    def _refresh(self, mss: int, sender: Sender) -> None:
        """Where the curve is now, and how steep: a few times each round trip is enough."""
        now, srtt = sender.now, sender.rtt.srtt
        cwnd = self.cwnd / mss
        if self._epoch is None:
            self._begin(now, cwnd)
        assert self._epoch is not None
        time = now - self._epoch
        self._w_est += (1.0 if self._w_est >= self._prior else _ALPHA) * self._acked / self.cwnd  # RFC 9438 §4.3
        self._acked = 0
        self._due = now + srtt / 8
        if self._cubic(time) < self._w_est:
            self.cwnd = max(self.cwnd, int(self._w_est * mss))
            self._rate = 0.0
        else:
            self._rate = min(max(self._cubic(time + srtt) / cwnd - 1.0, 0.0), 0.5)  # §4.4, §4.5

    def _begin(self, now: float, cwnd: float) -> None:
        self._epoch = now
        self._acked = 0
        self._w_est = cwnd
        self._origin = max(self._w_max, cwnd)
        self._prior = self._origin
        self._k = ((self._origin - cwnd) / _C) ** (1 / 3)

    def _cubic(self, time: float) -> float:
        """W_cubic (RFC 9438 §4.2)."""
        return float(_C * (time - self._k) ** 3 + self._origin)

    def _reduce(self, mss: int) -> None:
        self._undo = (self._w_max, self._epoch, self._k, self._origin)
        cwnd = self.cwnd / mss
        self._w_max = cwnd * (1 + _BETA) / 2 if cwnd < self._w_max else cwnd  # RFC 9438 §4.7
        self._epoch = None
        self._due = 0.0
        self._hystart = None  # RFC 9406 §4.2: for the initial slow start
        self.ssthresh = max(self.cwnd // mss * 717 >> 10, 2) * mss  # RFC 9438 §4.6; 717/1024 is Linux's 0.7

    def lost(self, flight: int, mss: int) -> None:
        self._reduce(mss)

    def timed_out(self, flight: int, mss: int, *, again: bool) -> None:
        if not again:
            self._reduce(mss)
        self._w_max = 0.0  # RFC 9438 §4.8: the next epoch begins at the window it finds

    def undo(self, cwnd: int, ssthresh: int) -> None:
        self.cwnd, self.ssthresh = max(self.cwnd, cwnd), max(self.ssthresh, ssthresh)
        self._due = 0.0
        self._w_max, self._epoch, self._k, self._origin = self._undo  # RFC 9438 §4.9

    def idle(self, initial: int) -> None:
        self.cwnd = min(self.cwnd, initial)  # RFC 5681 §4.1
        self._due = 0.0
        self._epoch = None  # RFC 9438 §5.8: time in which nothing was sent does not count
