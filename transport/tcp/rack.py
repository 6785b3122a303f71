"""RACK (RFC 8985): a segment is lost when one that was sent sufficiently later has arrived.

The first transmissions are logged by the batch that sent them (`Connection.sent`), since a batch has one time. They
are ordered by time and by number alike, so a single number, `Scoreboard.judged`, parts those that were judged from
those that were not. Retransmissions are judged in the order of their times. So each range is looked at once for each
time that it is sent.
"""

from __future__ import annotations

from bisect import bisect_right
from math import inf
from typing import TYPE_CHECKING, Final

from . import flight, output
from .rtt import GRANULARITY
from .sequence import older

if TYPE_CHECKING:
    from .connection import Connection
    from .scoreboard import Scoreboard

#: RFC 8985 §6.2 step 4: a wider window is kept for so many recoveries.
_PERSIST: Final = 16
_WIDEST: Final = 255
#: Bits of ``TcpSettings.recovery``: no widening upon DSACKs; nothing is lost only because enough others arrived.
STATIC_WINDOW: Final = 2
NO_THRESHOLD: Final = 4
#: What a timer sent may have left later than was meant: of round trips that differ by less from the shortest one,
#: nobody can say that they were longer.
_AS_SHORT: Final = 1 + 1 / 512
#: Times this near to each other are the same, in seconds.
_GRAIN: Final = 1e-6


class Rack:
    """What RACK remembers of a connection."""

    __slots__ = ("_persist", "_round", "end", "reordered", "reordering", "rtt", "time", "widening")

    def __init__(self, reordering: int) -> None:
        #: How many segments may overtake one before it counts as lost, as far as was seen.
        self.reordering = reordering
        #: The transmission that was sent last among those that arrived: when, where it ended, its round trip.
        self.time = -inf
        self.end = 0
        self.rtt = 0.0
        #: How often segments were seen to arrive out of order.
        self.reordered = 0
        #: RACK.reo_wnd_mult.
        self.widening = 1
        self._persist = 0
        self._round = 0

    def arrived(self, time: float, end: int, now: float) -> None:
        """A transmission up to ``end`` at ``time`` has arrived (RFC 8985 §6.2 step 2)."""
        self.rtt = now - time
        if (time, end) > (self.time, self.end):
            self.time, self.end = time, end

    def overtaken(self, size: int, mss: int, most: int) -> None:
        """``size`` bytes behind one that had not been sent again arrived before it."""
        if size > self.reordering * mss:
            self.reordering = min(-(-size // mss), most)
        self.reordered += 1

    def spurious(self, una: int, snd_max: int) -> None:
        """A DSACK: something was sent again for nothing; wait longer, at most a step each round (step 4)."""
        if una >= self._round:
            self._round = snd_max
            self.widening = min(self.widening + 1, _WIDEST)
            self._persist = _PERSIST

    def persist(self) -> None:
        """A recovery was for nothing: keep the wider window for one more."""
        self._persist = min(self._persist + 1, _PERSIST)

    def recovered(self) -> None:
        """A recovery has ended."""
        if self._persist:
            self._persist -= 1
            if not self._persist:
                self.widening = 1


def delivered(c: Connection, board: Scoreboard, start: int, end: int, echo: int, highest: int) -> int:
    """``start`` to ``end`` are acknowledged, ``highest`` was before; how many bytes of it are news, with the padding of
    segments (RFC 8985 §6.2 steps 1 to 3)."""
    size, pieces = 0, c.pieces
    for left, right in board.sacked.add(start, end):
        size += right - left
        if pieces is not None and pieces.padding:
            size += pieces.missing(left, right)
        board.lost.remove(left, right)
        again, originals = board.resent.take(left, right), board.again.gaps(left, right)
        if len(board.former) and (former := board.former.take(left, right)):
            again = sorted(again + former)
        # As on Linux the round trip that counts is that of the last segment, whenever it was sent.
        original_last = bool(originals) and not (again and again[-1].end > originals[-1][1])
        if originals and not original_last:
            _original_arrived(c, board, originals[0][0], originals[-1][1], highest)
        for part in again:
            _resent_arrived(c, board, part.time, part.end, echo)
        if original_last:
            _original_arrived(c, board, originals[0][0], originals[-1][1], highest)
        board.highest = max(board.highest, right)
    return size


def _resent_arrived(c: Connection, board: Scoreboard, time: float, end: int, echo: int) -> None:
    now = c.tcp.scheduler.now
    board.latest_sent = max(board.latest_sent, time)
    earlier = echo and c.timestamps and older(echo, output.timestamp_at(c, time))
    shortest = c.rtt.shortest * (_AS_SHORT if time == board.timed_at else 1.0)
    if earlier or now - time < shortest - _GRAIN:
        return  # that was the first transmission (step 2)
    assert c.rack is not None
    c.rack.arrived(time, end, now)


def _original_arrived(c: Connection, board: Scoreboard, start: int, end: int, highest: int) -> None:
    rack = c.rack
    assert rack is not None
    if start < highest and c.sack:
        board.overtaken = min(board.overtaken, start)
    if start < c.recover:
        board.original_arrived = True
    time = sent_time(c, end - 1)
    rack.arrived(time, end, c.tcp.scheduler.now)
    board.original_time = min(board.original_time, sent_time(c, start))
    board.latest_time = max(board.latest_time, time)
    board.latest_sent = max(board.latest_sent, time)


def reordered(c: Connection, board: Scoreboard, highest: int) -> None:
    """An acknowledgment was looked at, or the SACK blocks of one: were those up to ``highest`` before others?"""
    if board.overtaken < highest and c.rack is not None:
        c.rack.overtaken(int(highest - board.overtaken), c.mss, c.tcp.settings.max_reordering)
    board.overtaken = inf


def sent_time(c: Connection, number: int) -> float:
    """When the batch left that sent ``number`` for the first time."""
    sent = c.sent
    if sent and number < sent[0][0]:
        return sent[0][1]
    index = bisect_right(sent, (number, inf))
    return sent[index][1] if index < len(sent) else c.sent_at


def _reordering_window(c: Connection, board: Scoreboard, rack: Rack) -> float:
    """RACK_update_reo_wnd (RFC 8985 §6.2 step 4), in seconds."""
    if not rack.reordered and (c.recovering or board.after_timeout or _many_arrived(c, board, rack)):
        return 0.0
    shortest = c.rtt.shortest
    return min(rack.widening * shortest / 4, c.rtt.srtt) if shortest < inf else 0.0


def _many_arrived(c: Connection, board: Scoreboard, rack: Rack) -> bool:
    """Whether as many segments have arrived behind a hole as make a loss (DupThresh)."""
    sacked, enough = board.sacked, rack.reordering
    if c.tcp.settings.recovery & NO_THRESHOLD:
        return False
    if len(sacked) >= enough or sacked.size > (enough - 1) * c.mss:
        return True
    return sum(flight.segments(c, start, end) for start, end in sacked) >= enough


def detect(c: Connection, board: Scoreboard) -> bool:
    """RACK_detect_loss (RFC 8985 §6.2 step 5): mark what is lost, and wait for what may be; whether there is more."""
    rack = c.rack
    assert rack is not None
    c.reorder_at = inf
    if rack.time == -inf:
        return False
    before = board.lost.size
    patience = rack.rtt + _reordering_window(c, board, rack)
    _judge_first(c, board, rack, patience)
    _judge_resent(c, board, rack, patience)
    return board.lost.size > before


def _judge_first(c: Connection, board: Scoreboard, rack: Rack, patience: float) -> None:
    sent, now = c.sent, c.tcp.scheduler.now
    index = bisect_right(sent, (board.judged, inf))
    while index < len(sent):
        end, time = sent[index]
        if time >= rack.time:
            if time > rack.time:
                return
            end = min(end, rack.end)
        if end <= board.judged:
            return
        if now - time + _GRAIN < patience:
            c.reorder_at = min(c.reorder_at, time + patience + GRANULARITY)
            return
        board.lose(board.judged, end)
        board.judged = board.struck = end
        index += 1


def _judge_resent(c: Connection, board: Scoreboard, rack: Rack, patience: float) -> None:
    now, resent = c.tcp.scheduler.now, board.resent
    while (entry := resent.oldest()) is not None:
        end = entry.end
        if entry.time >= rack.time:
            end = min(end, rack.end)
            if entry.time > rack.time or end <= entry.start:
                return
        if now - entry.time + _GRAIN < patience:
            c.reorder_at = min(c.reorder_at, entry.time + patience + GRANULARITY)
            return
        for part in resent.within(entry.start, end):
            if part.time == entry.time:
                resent.take(part.start, part.end)
                board.former.add(*part)
                board.resent_lost = True
                board.lose(part.start, part.end)
        if end < entry.end:
            return
