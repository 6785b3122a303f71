"""Tail loss probes (RFC 8985 §7): when the last segments of a flight get lost, ask before the time-out does.

Until a probe is due the retransmission timer stands for both; which of the two it was is decided when it fires.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from . import ecn, flight, newreno, output, rack, recovery, segmentation, sizes, timers

if TYPE_CHECKING:
    from .connection import Connection
    from .scoreboard import Scoreboard

#: Times this near to each other are the same, in seconds.
_GRAIN: Final = 1e-6


def waits(c: Connection) -> bool:
    """The retransmission timer fired: whether it is not time yet for what a time-out does, since a probe is (or was)
    to go first."""
    if not c.rtt.pto or c.retries or c.snd_una == c.iss:
        return False
    board = c.board
    if board is not None and board.sacked.around(c.snd_una) is not None:
        return False  # the peer has reneged (recovery.py)
    now, rto = c.tcp.scheduler.now, c.rtt.rto
    since, held = max(c.unacknowledged_since, c.sent_at), 0.0
    if c.pacer is not None and c.pacer.release_at > since:
        held = c.pacer.release_at - since  # as on Linux, what is paced may wait so much longer
    if board is not None and not _probes(c, board):
        due = c.unacknowledged_since + rto
        if now >= due:
            return False
    elif c.tail_probed > c.snd_una or c.overridden == c.snd_max or (board is not None and board.tail_end):
        due = _after_probe(c) + held
        if now >= due - _GRAIN:
            return False
    else:
        alone = flight.segments(c, c.snd_una, c.snd_max) == 1
        wait = 2 * c.rtt.srtt + c.rtt.limits.min_rto if alone and c.rtt.srtt else c.rtt.pto
        due = min(since + wait, _limit(c)) + held
        if now >= due - _GRAIN:
            if _probe(c):
                due = now + rto + (max(c.pacer.release_at - now, 0.0) if c.pacer is not None else 0.0)
            else:
                c.unacknowledged_since = rack.sent_time(c, c.snd_una)
                due = max(c.unacknowledged_since + rto, now)
    c.retransmit_at = due
    timers.arm(c, due)
    return True


def _after_probe(c: Connection) -> float:
    """A probe is on its way, or just what the override time-out has sent (expiry.py): when the time-out is due. As on
    Linux that counts from the probe, or from what is the first segment by now once others were acknowledged or sent;
    where that is over when more is sent, another probe is due, whose place it takes."""
    rto = c.rtt.rto
    if c.snd_max in (c.tail_probed, c.overridden) and c.sent_at >= c.unacknowledged_since:
        return c.sent_at + rto
    board = c.board
    first = rack.sent_time(c, c.snd_una) if board is None else c.tcp.scheduler.now - newreno.head_age(c, board)
    if first + rto <= c.sent_at > c.unacknowledged_since:
        return c.sent_at + c.rtt.pto
    return first + rto


def sent_more(c: Connection, board: Scoreboard) -> None:
    """New data went out: as on Linux the next probe takes the place of what RACK waited for. While it is not known what
    the last one has repaired, the time-out may be due earlier."""
    if not c.rtt.pto or not _probes(c, board):
        return
    c.reorder_at = inf
    if not board.open:
        due = c.sent_at + c.rtt.pto
    elif board.tail_end and not c.retries:
        due = _after_probe(c)
    else:
        return
    if due < c.retransmit_at:
        c.retransmit_at = due
        timers.arm(c, due)


def _probes(c: Connection, board: Scoreboard) -> bool:
    """Whether this is a time for probes: nothing seems to be lost; or (as on Linux) the window shrinks for an echo."""
    return not c.recovering and (board.open or (board.reducing >= 0 and not board.after_timeout))


def _limit(c: Connection) -> float:
    """Probes come no later than the time-out would. As on Linux that is counted from when the first segment on the way
    was sent, once others were sent after the last acknowledgment, unless that is over."""
    rto = c.rtt.rto
    if c.sent_at >= c.unacknowledged_since and (limit := rack.sent_time(c, c.snd_una) + rto) > c.sent_at:
        return limit
    return max(c.unacknowledged_since, c.sent_at) + rto


def patience(c: Connection, ack: int) -> float:
    """How long to wait after ``ack`` was acknowledged before `waits` is to be asked, in seconds."""
    pto = c.rtt.pto
    limit = rack.sent_time(c, ack) + c.rtt.rto - c.tcp.scheduler.now
    return min(pto, limit) if limit > 0 else pto


def _probe(c: Connection) -> bool:
    """Send a new segment, or the last one again (RFC 8985 §7.3), unless the peer's window has shrunk below it."""
    c.tail_probed = c.snd_max
    if not segmentation.send_one(c):
        if c.telling or c.option_room:
            sizes.leave_room(c)
        start, end, edge = flight.last_segment(c), c.snd_max, c.snd_una + c.snd_wnd
        if edge <= start != c.snd_una:
            return False
        if start < edge < min(c.buffer.end, end):
            end = edge
        board = recovery.board_of(c)
        board.tail_end = c.snd_max
        board.timed_at = c.tcp.scheduler.now
        output.retransmit(c, board, start, end)
    if c.pacer is not None:
        c.pacer.charge(c, c.mss)
    c.tcp.counters["tcp.tail_probes"] += 1
    c.tail_probed = c.snd_max
    return True


def acknowledged(c: Connection, board: Scoreboard, ack: int, *, only: bool) -> None:
    """After a probe that was a retransmission (§7.4.2): if ``ack`` is beyond its end, and no DSACK came, it had
    repaired a loss; if it says ``only`` what was known, probe and original have both arrived."""
    if not board.tail_end or ack < board.tail_end:
        return
    if ack > board.tail_end:
        board.tail_end = 0
        if c.undo is not None:
            c.undo.cwnd = c.congestion.cwnd  # as on Linux, what an undo gives back is the window before this
        c.congestion.lost(c.snd_max - c.snd_una, c.mss)
        c.congestion.settle()
        ecn.reduced(c)
    elif only:
        board.tail_end = 0
