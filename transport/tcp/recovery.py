"""What the sender does when segments get lost, and what an acknowledgment means to it.

The retransmission timer is RFC 6298's; fast retransmit and fast recovery are RFC 5681's and RFC 6582's (NewReno). How
large the window is meanwhile is the congestion controller's part (congestion.py).
"""

from __future__ import annotations

import errno
from math import inf
from typing import TYPE_CHECKING, Final

from . import output, timers
from .sequence import MASK
from .state import OPENING, State

if TYPE_CHECKING:
    from .connection import Connection

_DUPLICATES: Final = 3


def acknowledged(c: Connection, ack: int, echo: int) -> None:
    """SND.UNA < SEG.ACK: ``ack`` acknowledges something new (RFC 9293 §3.10.7.4, fifth).

    ``echo`` is the timestamp that the segment echoes.
    """
    now = c.tcp.scheduler.now
    settings = c.tcp.settings
    if c.rtt_seq:
        if ack >= c.rtt_seq:
            c.rtt.measured(now - c.rtt_time, settings.min_rto, settings.max_rto)
            c.rtt_seq = 0
    elif c.timestamps and c.retries and echo:  # RFC 7323 §4: the echo tells which transmission was acknowledged
        sample = (output.timestamp(c) - echo) & MASK
        if sample < 1 << 24:
            c.rtt.measured(sample / 1000, settings.min_rto, settings.max_rto)
    size = ack - c.snd_una
    flight = c.snd_max - ack
    c.snd_una = ack
    if c.snd_nxt < ack:
        c.snd_nxt = ack
    buffer = c.buffer
    buffer.acknowledge(ack if ack < buffer.end else buffer.end)
    c.retries = 0
    if c.recovering:
        _recover(c, ack, size, flight)
    else:
        c.duplicates = 0
        if c.cwnd_limited:
            c.congestion.acknowledged(size, c.mss)
    if flight:  # RFC 6298 §5.3
        c.unacknowledged_since = now
        c.retransmit_at = now + c.rtt.rto
        if c.retransmit_at < c.timer_when:
            timers.arm(c, c.retransmit_at)
    else:  # RFC 6298 §5.2
        c.retransmit_at = c.unacknowledged_since = inf
    c.path.confirm()
    if c.room_wanted:
        _make_room(c)


def _make_room(c: Connection) -> None:
    """Tell the writer once a third of the buffer is free; a buffer that is in the way of the window grows."""
    wanted = 2 * c.congestion.cwnd
    if wanted > c.snd_limit and not c.options.send_buffer:
        c.snd_limit = min(wanted, c.tcp.settings.max_send_buffer)
    if (c.buffer.end - c.buffer.start) * 3 <= c.snd_limit * 2:
        c.room_wanted = False
        c.notify = True


def _recover(c: Connection, ack: int, size: int, flight: int) -> None:
    """New data are acknowledged in fast recovery (RFC 6582 §3.2 (3))."""
    if ack >= c.recover:
        c.recovering = False
        c.duplicates = 0
        c.congestion.leave_recovery(flight, c.mss)
    else:
        c.congestion.partly_recovered(size, c.mss)
        output.retransmit_first(c)


def duplicate(c: Connection) -> None:
    """An ACK that acknowledges nothing new while data are on the way (RFC 5681 §2)."""
    c.duplicates += 1
    if c.recovering:
        c.congestion.duplicate(c.mss)
    elif c.duplicates == _DUPLICATES and c.snd_una > c.recover:  # RFC 6582 §3.2 (1) and (2)
        c.congestion.enter_recovery(c.snd_max - c.snd_una, c.mss)
        c.recovering = True
        c.recover = c.snd_max
        output.retransmit_first(c)
    c.mark()


def timed_out(c: Connection) -> None:
    """The retransmission timer fired (RFC 6298 §5.4 to 5.7)."""
    if c.retries >= _limit(c) or patience_is_over(c):
        c.reset(c.soft_error or errno.ETIMEDOUT)
        return
    settings = c.tcp.settings
    if c.state not in OPENING:
        c.congestion.timed_out(c.snd_max - c.snd_una, c.mss, again=c.retries > 0)
        c.recovering = False
        c.duplicates = 0
        c.recover = c.snd_max  # RFC 6582 §4
        c.snd_nxt = c.snd_una
        c.small_sent = min(c.small_sent, c.snd_una)
    elif c.retries == 2 and c.path.valid:
        c.reroute()
    c.retries += 1
    output.retransmit_first(c)
    c.retransmit_at = c.tcp.scheduler.now + min(c.rtt.rto * (1 << c.retries), settings.max_rto)  # RFC 6298 §5.5
    timers.arm(c, c.retransmit_at)


def too_big(c: Connection) -> None:
    """A segment was larger than the path carries (RFC 1191 §6.4): send what is on the way again, in smaller ones. That
    is no sign of congestion."""
    before = c.mss
    c.use_path(c.path)
    if c.mss < before and c.state not in OPENING:
        c.snd_nxt = c.snd_una
        c.rtt_seq = 0
        c.small_sent = min(c.small_sent, c.snd_una)
        c.mark()


def patience_is_over(c: Connection) -> bool:
    """RFC 9293 §3.8.3, RFC 5482: the user's own limit on how long data may stay unacknowledged."""
    limit = c.options.user_timeout
    return bool(limit) and c.tcp.scheduler.now - c.unacknowledged_since >= limit


def _limit(c: Connection) -> int:
    settings = c.tcp.settings
    if c.state is State.SYN_SENT:
        return settings.syn_retries if c.options.syn_retries is None else c.options.syn_retries
    if c.state is State.SYN_RECEIVED:
        return max(settings.synack_retries, c.options.defer_accept if c.deferred else 0)
    return settings.orphan_retries if c.orphan else settings.retries
