"""Tail loss probes (RFC 8985 §7): when the last segments of a flight get lost, ask before the time-out does.

Until a probe is due the retransmission timer stands for both; which of the two it was is decided when it fires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import ecn, output, recovery, segmentation, timers

if TYPE_CHECKING:
    from .connection import Connection
    from .scoreboard import Scoreboard

#: What the acknowledgment of a single segment may be held back (RFC 8985 §7.2: TLP.max_ack_delay), in seconds.
_ACK_DELAY: Final = 0.2


def waits(c: Connection) -> bool:
    """The retransmission timer fired: whether it is not time yet for what a time-out does, since a probe is (or was)
    to go first."""
    if c.retries or c.snd_una == c.iss:
        return False
    now, rto = c.tcp.scheduler.now, c.rtt.rto
    due = c.unacknowledged_since + rto
    if c.board is not None or c.tail_probed > c.snd_una:
        if now >= due:
            return False
    else:
        due = c.sent_at + min(c.rtt.pto + _ACK_DELAY, rto)
        if now >= due or c.snd_max - c.snd_una > c.mss:
            _probe(c)
            due = now + rto
    c.retransmit_at = due
    timers.arm(c, due)
    return True


def _probe(c: Connection) -> None:
    """Send a new segment, or the last one again (RFC 8985 §7.3)."""
    c.tcp.counters["tcp.tail_probes"] += 1
    if not segmentation.send_one(c):
        end = c.snd_max
        board = recovery.board_of(c)
        board.tail_end = end
        output.retransmit(c, board, max(c.snd_una, end - c.mss), end)
    c.tail_probed = c.snd_max


def acknowledged(c: Connection, board: Scoreboard, ack: int) -> None:
    """SND.UNA has moved to ``ack``: if more than a probe's end, and no DSACK came, it had repaired a loss (§7.4.2)."""
    if board.tail_end and ack > board.tail_end:
        board.tail_end = 0
        if not c.recovering and not board.after_timeout and board.reducing < 0:
            c.congestion.lost(c.snd_max - c.snd_una, c.mss)
            c.congestion.settle()
            ecn.reduced(c)
