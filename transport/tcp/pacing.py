"""Pacing: data leave at a rate, in trains, rather than as fast as the window lets them go.

A connection is paced once its congestion controller asks for it (``pacing_rate``) or its user does
(SO_MAX_PACING_RATE), and from then on as long as it lives, as on Linux. Everything else here is like Linux's own
pacing inside TCP, too: a train is one packet, of what the rate carries in about a millisecond, but of two segments at
least where the windows let it; one that leaves late makes the next one come earlier, by half of its distance at most;
the first segments of a connection are not paced. But a program is woken much later at times than a timer in the kernel
fires, so a train that had to wait for that is made up for in full.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ...link.scheduler import Timer
    from .connection import Connection

#: A train is what the rate carries in this time, in seconds ...
TRAIN: Final = 1 / 1024
#: ... and on short round trips up to so many bytes more, which is also the largest packet that a link with segmentation
#: offload is handed: half of them for each step of the round trip (tcp_tso_rtt_log).
LARGEST: Final = 65215
#: Below this rate, bytes/s, a controller that measures its rate has trains of one segment.
SLOW: Final = 150_000.0
#: How late a wake-up may be that is made up for, in seconds.
_LATE: Final = 0.01
#: Segments of data that are sent before pacing begins.
_FREE: Final = 10


def rate(c: Connection) -> float:
    """At what rate ``c`` is paced, or would be, in bytes/s: the controller's, or by Linux's rule of thumb what carries
    the window in somewhat less than a round trip; capped by the user's maximum. inf: it is not known yet."""
    control = c.congestion
    paced: float = control.pacing_rate
    if paced == inf and c.rtt.srtt:
        settings = c.tcp.settings
        cwnd = control.cwnd
        ratio = settings.pacing_slow_start if cwnd * 2 < control.ssthresh else settings.pacing_avoidance
        paced = max(cwnd, c.snd_max - c.snd_una) / c.rtt.srtt * ratio
    limit = c.options.max_pacing_rate
    return paced if paced < limit else limit


def train(c: Connection, paced: float, least: int) -> int:
    """How many bytes may leave at once at the rate ``paced``: whole segments, and ``least`` of them at least."""
    shortest, mss = c.rtt.shortest, c.mss
    size: float = LARGEST
    if c.rtt.srtt or paced < inf:
        steps = int(shortest * 1e6) >> c.tcp.settings.tso_rtt_log if shortest < 1 else 64
        size = min(paced * TRAIN + (LARGEST >> min(steps, 64)), LARGEST)
    return max(int(size) // mss, least) * mss


class Pacer:
    """When the next train of a connection may leave."""

    __slots__ = ("_credit", "_rate", "_timer", "_woken_at", "release_at", "size")

    def __init__(self) -> None:
        #: When the next train may leave.
        self.release_at = self._woken_at = -inf
        self._timer: Timer | None = None
        #: How late the packet leaves that is being sent, the most bytes that it may have, and its rate.
        self._credit = 0.0
        self.size = 0
        self._rate = inf

    def opens(self, c: Connection) -> bool:
        """Whether a train may leave now: it begins. Else the connection is called when it may."""
        now = c.tcp.scheduler.now
        if now < self.release_at:
            self._wait(c)
            return False
        if now == self._woken_at:
            self._credit = 0.0
            self.release_at = max(self.release_at, now - _LATE)
        else:
            self._credit = now - self.release_at
            self.release_at = now
        self._rate = paced = rate(c) or inf  # as on Linux: no rate is no pacing
        least = 1 if c.congestion.samples and paced < SLOW else c.tcp.settings.min_tso_segments
        self.size = train(c, paced, least)
        return True

    def ends(self, c: Connection, size: int) -> bool:
        """A packet of ``size`` bytes has left: whether the next one has to wait."""
        if c.counts.data_segments_out >= _FREE:
            time = size / self._rate
            self.release_at += time - min(time / 2, self._credit)
        self._credit = 0.0
        if self.release_at <= c.tcp.scheduler.now:
            return False
        self._wait(c)
        return True

    def charge(self, c: Connection, size: int) -> None:
        """``size`` bytes have left although it was not their turn (a probe): what comes next waits for them."""
        if c.counts.data_segments_out < _FREE:
            return
        now = c.tcp.scheduler.now
        time = size / (rate(c) or inf)
        self.release_at = max(self.release_at, now) + time - min(time / 2, max(now - self.release_at, 0.0))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, c: Connection) -> None:
        if self._timer is None or not self._timer.pending:
            self._timer = c.tcp.scheduler.call_at(self.release_at, partial(self._wake, c))

    def _wake(self, c: Connection) -> None:
        self._woken_at = c.tcp.scheduler.now
        c.mark()
