"""How fast data arrive at the peer: samples of the delivery rate (draft-cheng-iccrg-delivery-rate-estimation-00).

Whatever is sent takes along how much had arrived by then, and when the last of it was told. Its acknowledgment tells
how much has arrived since, and how long that took: the larger of the times that its sending and its acknowledging took.
A batch is sent at one time, so one entry in the log stands for all of it, retransmissions too.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from . import pacing

if TYPE_CHECKING:
    from .connection import Connection

_TIME: Final = itemgetter(1)
#: The log is halved when it is longer than this and its first half is acknowledged.
_LOG: Final = 16


class _Batch(NamedTuple):
    """What was known when a batch was sent: ``end`` is SND.MAX after it, ``time`` is when; then the rest of the
    draft's P.delivered, P.delivered_time, P.first_sent_time, P.is_app_limited."""

    end: int
    time: float
    delivered: int
    delivered_time: float
    first_sent: float
    app_limited: bool


class DeliveryRate:
    """The estimator of one connection, and its latest sample; sizes in bytes, small segments counting as full ones (as
    on Linux, which counts segments); times in seconds.

    ``delivered`` counts everything that has arrived. Of the last acknowledgment: ``acked`` (what it told to have
    arrived), ``lost`` (what it showed to be lost), ``inflight`` and ``prior_inflight`` (what was in the network after
    and before it), ``recovering`` and ``after_timeout`` (from which kind of loss the connection recovers), ``rtt`` (inf
    if none was measured). Of the sample that ended with it: ``size`` bytes arrived in ``interval`` (0: there is no
    sample) after ``prior_delivered``; ``app_limited`` if the user had left the window unfilled.
    """

    __slots__ = (
        "_delivered_time",
        "_first_sent",
        "_limited_until",
        "_log",
        "_since",
        "acked",
        "after_timeout",
        "app_limited",
        "delivered",
        "inflight",
        "interval",
        "lost",
        "noted",
        "noted_app_limited",
        "pace",
        "prior_delivered",
        "prior_inflight",
        "recovering",
        "rtt",
        "size",
    )

    def __init__(self, snd_max: int, now: float, *, begun: bool) -> None:
        """``begun``: data were sent before. Until then the user has limited what was sent (as on Linux that is so only
        for connections of a listener)."""
        #: Data below were sent before the log began.
        self._since = snd_max
        self._log: list[_Batch] = []
        self.delivered = 0
        self._delivered_time = self._first_sent = now
        #: Samples are limited by the user until ``delivered`` is above this; 0: they are not (C.app_limited).
        self._limited_until: float = 0 if begun else inf
        self.acked = self.lost = self.inflight = self.prior_inflight = 0
        self.recovering = self.after_timeout = False
        self.rtt = inf
        self.size = self.prior_delivered = 0
        self.interval = 0.0
        self.app_limited = False
        #: For TCP_INFO, bytes/s: the latest rate that was not limited by the user, or a larger one that was.
        self.noted = 0.0
        self.noted_app_limited = True
        #: Also for TCP_INFO: at what rate the window was (or would have been) paced after the last acknowledgment,
        #: bytes/s; inf: there was none.
        self.pace = inf

    @property
    def limited(self) -> bool:
        """What is sent now is less than the window would take."""
        return self._limited_until > 0

    def restart(self, now: float) -> None:
        """Nothing was on the way, and something is about to be sent (§3.2)."""
        self._first_sent = self._delivered_time = now

    def sent(self, c: Connection, now: float) -> None:
        """Something has been sent, for the first time or again."""
        log = self._log
        if log and log[-1].time == now:
            if log[-1].end != c.snd_max:
                log[-1] = log[-1]._replace(end=c.snd_max)
            return
        limited = self._limited_until > 0
        log.append(_Batch(c.snd_max, now, self.delivered, self._delivered_time, self._first_sent, limited))

    def check(self, c: Connection) -> None:
        """The user is about to write: has it left the window unfilled until now (§3.4)?"""
        outside = c.board.outside if c.board is not None else 0
        flight = c.snd_max - c.snd_una - outside + _padding(c)
        if c.unsent < c.mss and flight < c.congestion.cwnd and (c.board is None or not c.board.lost.size):
            self.limit(flight)

    def limit(self, flight: int) -> None:
        """Samples are not limited by the network until the ``flight`` bytes on the way have arrived."""
        self._limited_until = self.delivered + flight or 1

    def advanced(self, c: Connection, size: int, now: float) -> None:
        """SND.UNA has moved by ``size`` while there is no trouble."""
        una = c.snd_una
        log = self._log
        entry = None
        if una > self._since:
            index = bisect_right(log, (una - 1, inf))
            if index < len(log):
                entry = log[index]
        if una == c.snd_max:
            log.clear()
        elif len(log) > _LOG and log[len(log) >> 1].end <= una:
            del log[: len(log) >> 1]
        self.lost = 0
        self.inflight = c.snd_max - una + _padding(c)
        self.prior_inflight = self.inflight + size
        self.recovering = self.after_timeout = False
        self._sample(c, entry, size, now)

    def digested(self, c: Connection, delivered: int, lost: int, before: int, now: float) -> None:
        """An acknowledgment in trouble told that ``delivered`` bytes have arrived and ``lost`` ones have not; there
        were ``before`` bytes in the network before it."""
        board, log = c.board, self._log
        assert board is not None
        assert c.rack is not None
        entry = None
        if delivered > 0 and board.latest_sent > -inf:
            index = bisect_left(log, board.latest_sent, key=_TIME)
            if index < len(log) and log[index].time == board.latest_sent:
                entry = log[index]
        keep = bisect_right(log, (c.snd_una, inf))
        if keep > _LOG:
            del log[:keep]
        self.lost = lost
        self.inflight = c.snd_max - c.snd_una - board.outside
        self.prior_inflight = before
        self.recovering, self.after_timeout = c.recovering, board.after_timeout
        self._sample(c, entry, delivered, now)

    def _sample(self, c: Connection, entry: _Batch | None, acked: int, now: float) -> None:
        """GenerateRateSample (§3.3)."""
        self.acked = acked
        self.rtt = inf
        self.interval = 0.0
        if acked > 0:
            self.delivered += acked
            self._delivered_time = now
            if self.delivered > self._limited_until:
                self._limited_until = 0
        if entry is not None:
            _, time, self.prior_delivered, prior_time, first_sent, self.app_limited = entry
            self._first_sent = time
            self.rtt = now - time
            interval = max(time - first_sent, now - prior_time)
            if interval >= c.rtt.shortest or c.rtt.shortest == inf:  # else what arrived had been sent again for nothing
                self.interval = interval
                self.size = self.delivered - self.prior_delivered
                self._note()
        c.congestion.sampled(self, c.mss, c)
        if self.prior_inflight > 0:
            self.pace = pacing.rate(c)

    def _note(self) -> None:
        if self.interval > 0:
            rate = self.size / self.interval
            if not self.app_limited or rate >= self.noted:
                self.noted, self.noted_app_limited = rate, self.app_limited


def _padding(c: Connection) -> int:
    """How many bytes the small segments on the way are short of full ones."""
    return c.pieces.padding if c.pieces is not None else 0
