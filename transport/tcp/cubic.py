"""CUBIC (RFC 9438), with HyStart++: the window grows by the time since the last loss, not by round trips."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from .congestion import WindowBased
from .hystart import HyStart

if TYPE_CHECKING:
    from .congestion import Sender

_C: Final = 0.4
_BETA: Final = 0.7
#: Segments that are acknowledged while Reno's window, with CUBIC's factor, grows by one, for each eight segments of the
#: window: 8 / alpha of RFC 9438 §4.3, in Linux's rounding.
_RENO: Final = 15
#: While the window stays the same it is enough to look at the clock so often, in seconds (as Linux does), or once a
#: round trip where that is shorter: a small window would else stand still for many of them.
_PAUSE: Final = 1 / 32
#: The curve is looked at again after so long at the earliest, in seconds (as in Linux, a tick).
_TICK: Final = 0.001
#: How much slower the window grows in conservative slow start (RFC 9406 §4.3).
_CONSERVATIVE: Final = 4
#: Windows of fewer segments are not taken for too large (as in Linux).
_WIDE: Final = 16
#: How long after an epoch has begun round trips count again, in seconds (as in Linux).
_SETTLED: Final = 1.0
#: An epoch that begins without a former maximum grows by one for so many segments at least, as Linux has it.
_AFTER_TIMEOUT: Final = 20


class Cubic(WindowBased):
    """``cwnd`` and ``ssthresh`` are in bytes, as everywhere; the cubic's own numbers are in segments, as the RFC's, and
    whole ones as in Linux, where the window grows by a segment after so many that were acknowledged."""

    __slots__ = (
        "_acked",
        "_counted",
        "_delay",
        "_due",
        "_epoch",
        "_goal",
        "_hystart",
        "_k",
        "_looked",
        "_needed",
        "_origin",
        "_seen",
        "_undo",
        "_w_est",
        "_w_max",
    )

    name = "cubic"

    def __init__(self, initial: int) -> None:
        super().__init__(initial)
        self._hystart: HyStart | None = HyStart()
        #: The threshold before that ended slow start.
        self._goal = self.ssthresh
        self._w_max = 0
        #: When the current congestion avoidance began; None before its first acknowledgment.
        self._epoch: float | None = None
        self._k = 0.0
        self._origin = self._w_est = 0
        #: The shortest round trip of data, since the last time-out; those of an epoch's first second tell of its queue.
        self._delay = inf
        #: When the clock was looked at, and when to look again, unless the window is another than the ``_seen`` one.
        self._looked = self._due = 0.0
        self._seen = 0
        #: How many segments it takes until the window grows by one; bytes that were acknowledged towards that, and
        #: towards the growth of ``_w_est``.
        self._needed = 1
        self._counted = self._acked = 0
        self._undo: tuple[int, float | None, float, int] = (0, None, 0.0, 0)

    def acknowledged(self, size: int, mss: int, ack: int, sender: Sender) -> None:
        latest = sender.rtt.latest
        if latest < self._delay:
            self.measured(latest, sender.now)
        if self._hystart is not None and self._heed(self._hystart, size, mss, ack, sender):
            return
        cwnd = self.cwnd
        if cwnd < self.ssthresh:
            self.cwnd = min(cwnd + size, self.ssthresh)
            size -= self.cwnd - cwnd
            if not size:
                return
        self._acked += size
        if sender.now >= self._due or self.cwnd != self._seen:
            self._refresh(mss, sender)
        needed = self._needed * mss
        if self._counted >= needed:
            self._counted = 0
            self.cwnd += mss
        self._counted += size
        if self._counted >= needed:
            grown, self._counted = divmod(self._counted, needed)
            self.cwnd += grown * mss

    def _heed(self, hystart: HyStart, size: int, mss: int, ack: int, sender: Sender) -> bool:
        """End slow start if it is time, and grow conservatively (RFC 9406 §4.2) until that is certain: whether it did.
        If it was jitter slow start goes on."""
        before = hystart.stopped
        if not before and self.cwnd >= self.ssthresh:
            return False
        wide = self.cwnd >= _WIDE * mss
        stopped = hystart.stops(size, ack, sender.snd_nxt, sender.rtt.latest, sender.now, wide=wide)
        if hystart.over:
            self._hystart = None
        elif before and not stopped:
            self.ssthresh = self._goal
        elif stopped:
            if not before:
                self._goal = self.ssthresh
            self.cwnd += size // _CONSERVATIVE
            self.ssthresh = self.cwnd
            return True
        return False

    def _refresh(self, mss: int, sender: Sender) -> None:
        """Where the curve is, a round trip from now, and so how steep."""
        now = sender.now
        cwnd, needed = self.cwnd // mss, self._needed
        if self._epoch is None or now - self._looked >= _TICK:
            self._looked = now
            self._due = now + min(_PAUSE, self._delay)
            self._seen = self.cwnd
            if self._epoch is None:
                self._begin(now, cwnd)
            assert self._epoch is not None
            target = self._cubic(now - self._epoch + (self._delay if self._delay < inf else 0.0))
            needed = cwnd // (target - cwnd) if target > cwnd else 100 * cwnd  # §4.4, §4.5
            if not self._w_max:
                needed = min(needed, _AFTER_TIMEOUT)
        pace = (cwnd * _RENO >> 3) * mss  # §4.3; as on Linux alpha stays what it is beyond the former maximum
        if self._acked > pace:
            grown, self._acked = divmod(self._acked, pace)
            self._w_est += grown
        if self._w_est > cwnd:
            needed = min(needed, cwnd // (self._w_est - cwnd))
        self._needed = max(needed, 2)

    def _begin(self, now: float, cwnd: int) -> None:
        self._epoch = now
        self._w_est = cwnd
        self._origin = max(self._w_max, cwnd)
        self._k = ((self._origin - cwnd) / _C) ** (1 / 3)

    def _cubic(self, time: float) -> int:
        """W_cubic (RFC 9438 §4.2)."""
        distance = time - self._k
        size = int(_C * abs(distance) ** 3)
        return self._origin + (size if distance >= 0 else -size)

    def _reduce(self, mss: int) -> None:
        self._undo = (self._w_max, self._epoch, self._k, self._origin)
        cwnd = self.cwnd // mss
        self._w_max = int(cwnd * (1 + _BETA) / 2) if cwnd < self._w_max else cwnd  # RFC 9438 §4.7
        self._epoch = None
        self._looked = self._due = 0.0
        self._counted = self._acked = 0
        self._end_conservative()
        self.ssthresh = max(cwnd * 717 >> 10, 2) * mss  # RFC 9438 §4.6; 717/1024 is Linux's 0.7

    def _end_conservative(self) -> None:
        if self._hystart is not None and self._hystart.stopped:
            self._hystart = None

    def lost(self, flight: int, mss: int) -> None:
        self._reduce(mss)

    def timed_out(self, flight: int, mss: int, *, again: bool) -> None:
        if not again:
            self._reduce(mss)
        self._w_max = 0  # RFC 9438 §4.8: the next epoch begins at the window it finds
        self._delay = inf
        self._hystart = HyStart()
        self._epoch = None
        self._counted = self._acked = 0

    def undo(self, cwnd: int, ssthresh: int) -> None:
        self.cwnd, self.ssthresh = max(self.cwnd, cwnd), max(self.ssthresh, ssthresh)
        self._looked = self._due = 0.0
        self._w_max, self._epoch, self._k, self._origin = self._undo  # RFC 9438 §4.9

    def idle(self, initial: int) -> None:
        self.cwnd = min(self.cwnd, initial)  # RFC 5681 §4.1
        self._end_conservative()  # else the small window would become the threshold

    def measured(self, round_trip: float, now: float) -> None:
        if round_trip < self._delay and (self._epoch is None or now >= self._epoch + _SETTLED):
            self._delay = round_trip

    def resumed(self, pause: float, now: float) -> None:
        if self._epoch is not None:  # RFC 9438 §5.8: time in which nothing was sent does not count
            self._epoch = min(self._epoch + pause, now)
