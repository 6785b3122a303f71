"""Congestion-window validation: a window that was not used says little about the path (RFC 2861, RFC 7661).

As Linux does: the window grows only while it is in use (``Connection.cwnd_limited``), in slow start as long as it is
less than twice of what was out (RFC 7661 §4.2: pipeACK is more than half of cwnd); after each retransmission time-out's
time without sending it is halved, down to what a connection begins with (RFC 2861 §3.1); and when it was not in full
use for so long, it loses half of what was not used (§3.2), while ssthresh remembers three quarters of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import Connection
    from .pieces import Pieces


def sent(c: Connection, pieces: Pieces, *, limited: bool) -> None:
    """Data went out, or could not; ``limited``: the congestion window was why no more went out."""
    out = -(-(c.snd_nxt - c.snd_una) // c.mss)
    if limited or c.snd_una >= pieces.usage_end or (not c.cwnd_limited and out > pieces.most_out):
        c.cwnd_limited = limited
        pieces.most_out = out
        pieces.usage_end = c.snd_nxt
    now = c.tcp.scheduler.now
    if c.cwnd_limited or in_use(c):
        pieces.used = 0
        pieces.used_at = now
        return
    pieces.used = max(pieces.used, out)
    if now - pieces.used_at >= c.rtt.rto and c.tcp.settings.slow_start_after_idle:
        _shrink(c, pieces)
        pieces.used_at = now


def in_use(c: Connection) -> bool:
    """Whether slow start may go on: twice of what was out would not fit."""
    control, pieces = c.congestion, c.pieces
    return pieces is not None and control.cwnd < control.ssthresh and control.cwnd < 2 * pieces.most_out * c.mss


def _shrink(c: Connection, pieces: Pieces) -> None:
    """RFC 2861 §3.2: the writer, or the peer's window, has been slower than the congestion window."""
    control = c.congestion
    if c.board is None and not c.room_wanted and not control.samples:
        used = max(pieces.used, c.tcp.settings.initial_window) * c.mss
        if used < control.cwnd:
            control.ssthresh = _remembered(c)
            control.cwnd = (control.cwnd + used) // 2 // c.mss * c.mss
        pieces.used = 0


def _remembered(c: Connection) -> int:
    """RFC 2861 §3: ssthresh keeps three quarters of the window."""
    control = c.congestion
    return max(control.ssthresh, control.cwnd // 2 + control.cwnd // 4)


def after_idle(c: Connection) -> None:
    """Nothing is on the way and data are about to go out: RFC 2861 §3.1, RFC 5681 §4.1."""
    idle, rto = c.tcp.scheduler.now - c.sent_at, c.rtt.rto
    settings, control = c.tcp.settings, c.congestion
    if idle <= rto or not settings.slow_start_after_idle or c.pieces is None or control.samples:
        return
    ssthresh = _remembered(c)
    initial = min(settings.initial_window * c.mss, control.cwnd)
    segments = control.cwnd // c.mss >> min(-int(-idle // rto) - 1, 64)
    control.idle(max(segments * c.mss, initial))
    control.ssthresh = ssthresh
    c.pieces.used = 0
    c.pieces.used_at = c.tcp.scheduler.now
