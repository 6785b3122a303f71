"""Congestion-window validation: a window that was not used says little about the path (RFC 7661, RFC 2861).

As Linux does: the window grows only while it is in use, which is to say that more could not go out in the last window
of data (``Connection.cwnd_limited``), or in slow start that twice of what was out would not fit (RFC 7661 §4.2: pipeACK
is more than half of cwnd). It is kept while it is used in part, for any time, as RFC 7661 §4.3 does for five minutes;
after each retransmission time-out's time without sending it is halved, down to what a connection begins with (RFC 2861
§3.1, RFC 5681 §4.1), while ssthresh remembers three quarters of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import Connection
    from .pieces import Pieces


def sent(c: Connection, pieces: Pieces, *, limited: bool) -> None:
    """Data went out, or could not; ``limited``: the congestion window was why no more went out."""
    out = -(-(c.snd_nxt - c.snd_una + pieces.padding) // c.mss)
    if limited or c.snd_una >= pieces.usage_end or (not c.cwnd_limited and out > pieces.most_out):
        c.cwnd_limited = limited
        pieces.most_out = out
        pieces.usage_end = c.snd_nxt


def in_use(c: Connection) -> bool:
    """Whether slow start may go on: twice of what was out would not fit."""
    control, pieces = c.congestion, c.pieces
    return pieces is not None and control.cwnd < control.ssthresh and control.cwnd < 2 * pieces.most_out * c.mss


def window_changes(c: Connection) -> None:
    """The peer offers another window: as on Linux, data that waited for it may find that the connection was idle."""
    if c.snd_una == c.snd_max and c.snd_nxt < c.buffer.end and c.tcp.scheduler.now - c.sent_at > c.rtt.rto:
        after_idle(c)


def after_idle(c: Connection) -> None:
    """Data are about to go out while nothing is on the way, nor was sent for longer than a time-out: RFC 2861 §3.1, RFC
    5681 §4.1."""
    idle, rto = c.tcp.scheduler.now - c.sent_at, c.rtt.rto
    settings, control = c.tcp.settings, c.congestion
    if not settings.slow_start_after_idle or control.samples:
        return
    ssthresh = max(control.ssthresh, control.cwnd // 2 + control.cwnd // 4)
    initial = min(settings.initial_window * c.mss, control.cwnd)
    segments = control.cwnd // c.mss >> min(-int(-idle // rto) - 1, 64)
    control.idle(max(segments * c.mss, initial))
    control.ssthresh = ssthresh
