"""Taking a reduction of the window back that had no cause (RFC 3522, RFC 3708, RFC 4015)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import ecn, flight, output
from .sequence import older

if TYPE_CHECKING:
    from .connection import Connection


class Undo:
    """What a connection remembers of its last reduction; it outlives the recovery, since DSACKs may come late."""

    __slots__ = ("cwnd", "left", "marker", "ssthresh")

    def __init__(self) -> None:
        #: The window before, and its threshold: 0 where the reduction is to stay in any case.
        self.cwnd = self.ssthresh = 0
        #: SND.UNA when the reduction began; -1: there is nothing to take back.
        self.marker = -1
        #: Retransmitted segments that no DSACK has reported; -1: nothing was sent again yet.
        self.left = -1


def remember(c: Connection, *, reducing: bool = True, probed: int = 0) -> None:
    """Recovery or slow start after a time-out begins: how to take it back.

    ``reducing``: the window is going to be reduced for it, and was not being reduced before. ``probed`` segments are
    on the way again besides those that the scoreboard knows of.
    """
    undo = c.undo
    if undo is None:
        undo = c.undo = Undo()
    board = c.board
    undo.marker = c.snd_una
    undo.left = probed + (-(-board.resent.size // c.mss) if board is not None else 0) or -1
    if not reducing:
        undo.ssthresh = 0
    else:
        control = c.congestion
        undo.cwnd = control.cwnd
        undo.ssthresh = control.ssthresh if c.recovering else max(control.ssthresh, control.cwnd * 3 // 4)


def resent(c: Connection, size: int) -> None:
    """``size`` bytes go out again."""
    if not c.resent_since:
        c.resent_since = c.tcp.scheduler.now
    undo = c.undo
    if undo is not None:
        undo.left = max(undo.left, 0) + -(-size // c.mss)


def reported(c: Connection, left: int, right: int) -> None:
    """A DSACK: ``left`` to ``right`` arrived twice. As on Linux, of what had not been acknowledged before only whole
    segments count, which were sent again."""
    undo, board = c.undo, c.board
    if undo is None or not 0 <= undo.marker < right or undo.left <= 0:
        return
    size = right - left
    if right > c.snd_una:
        left, right = flight.whole(c, max(left, c.snd_una), right)
        again = board.again.gaps(left, right) if board is not None else [(left, right)]
        size = max(right - left, 0) - sum(end - start for start, end in again)
    undo.left = max(undo.left + -size // c.mss, 0)


def all_reported(c: Connection) -> bool:
    """Whether each retransmission turned out to be needless (RFC 3708)."""
    return c.undo is not None and c.undo.marker >= 0 and not c.undo.left


def delayed(c: Connection, echo: int) -> bool:
    """Whether what was just acknowledged had been sent before the first retransmission: ``echo`` tells, the timestamp
    of the segment that arrived (RFC 3522)."""
    if not c.resent_since:
        return c.sack or c.snd_una < c.recover
    return bool(c.timestamps and echo and older(echo, output.timestamp_at(c, c.resent_since)))


def possible(c: Connection, echo: int) -> bool:
    """Whether there is a reduction that had no cause."""
    return c.undo is not None and c.undo.marker >= 0 and (not c.undo.left or delayed(c, echo))


def take_back(c: Connection, *, losses: bool) -> None:
    """Restore the window; ``losses``: nothing counts as lost any more either."""
    undo, board = c.undo, c.board
    assert undo is not None
    if losses and board is not None:
        board.forget_losses(c.snd_una)
        board.resent.pardon()
    if undo.ssthresh:
        c.congestion.undo(undo.cwnd, undo.ssthresh)
        c.ecn &= ~ecn.REDUCED
    undo.marker = -1
    c.tcp.counters["tcp.undone"] += 1
