"""Losses as a peer without SACK lets them be seen: duplicate ACKs, and partial ones (RFC 5681 §3.2, RFC 6582).

Each duplicate ACK says that one segment has left the network; which one, nobody knows. They are counted in the
scoreboard, as if the peer had acknowledged so much selectively (`Scoreboard.departed`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import flight, rack

if TYPE_CHECKING:
    from .connection import Connection
    from .scoreboard import Scoreboard


def departs(c: Connection, board: Scoreboard) -> None:
    """A duplicate ACK: one segment more has arrived somewhere."""
    board.departed += c.mss
    _limit(c, board, 0)


def _limit(c: Connection, board: Scoreboard, acknowledged: int) -> None:
    """More duplicates than segments on the way: there was reordering."""
    flight, mss = c.snd_max - c.snd_una, c.mss
    if c.pieces is not None and c.pieces.padding:
        c.pieces.settle(c.snd_una)
        flight += c.pieces.padding
    most = max(flight - max(-(-board.ever_lost // mss) * mss, min(mss, flight)), 0)
    if board.departed > most:
        board.departed = most
        memory = c.rack
        assert memory is not None
        segments = -(-(flight + acknowledged) // mss)
        memory.reordering = min(segments, c.tcp.settings.max_reordering)
        memory.reordered += 1


def forget(c: Connection, board: Scoreboard) -> None:
    """Duplicate ACKs so far say nothing any more. As on Linux what they told stays counted as delivered."""
    c.counts.told_again += -(-board.departed // c.mss)
    board.departed = 0


def settle(c: Connection, board: Scoreboard, moved: int, delivered: int) -> int:
    """SND.UNA has moved: what duplicate ACKs had told before is no news now (RFC 9937 §6.2). How many bytes are."""
    if c.sack:
        return delivered
    known = board.departed
    board.departed = rest = max(known - max(moved - c.mss, 0), 0)
    _limit(c, board, moved)
    c.counts.told_again += -(-(rest - board.departed) // c.mss)
    return max(moved - known, min(c.mss, moved))


def find_loss(c: Connection, board: Scoreboard, moved: int) -> None:
    """The earliest segment is lost if enough others have arrived, or in recovery if an ACK ends before it."""
    if board.after_timeout:
        return
    memory = c.rack
    assert memory is not None
    if moved if c.recovering else board.departed >= memory.reordering * c.mss:
        end = flight.first_end(c)
        flight.part(c, end)
        board.lose(c.snd_una, end)


def head_age(c: Connection, board: Scoreboard) -> float:
    """How long ago the earliest segment on the way was sent, the last time it was."""
    parts = board.resent.within(c.snd_una, c.snd_una + 1)
    return c.tcp.scheduler.now - (parts[0].time if parts else rack.sent_time(c, c.snd_una))
