"""The retransmission time-out (RFC 6298 §5), and how long to go on (RFC 9293 §3.8.3)."""

from __future__ import annotations

import errno
from math import inf
from typing import TYPE_CHECKING, Final

from . import early, ecn, flight, newreno, output, segmentation, sizes, tail_probe, timers, undo
from .recovery import board_of
from .scoreboard import AFTER_TIMEOUT, NO
from .sequence import MASK
from .state import OPENING, State

if TYPE_CHECKING:
    from .connection import Connection
    from .scoreboard import Scoreboard

#: What time-outs are thought to begin with where their number stands for a time (Linux's TCP_RTO_MIN), in seconds.
_MODEL: Final = 0.2
#: A stream with fewer segments on the way, past its first slow start, is thin (Linux); it waits no longer each time.
_THIN: Final = 4
_THIN_RETRIES: Final = 6


def timed_out(c: Connection) -> None:
    """The retransmission timer fired (RFC 6298 §5.4 to 5.7)."""
    if tail_probe.waits(c):
        return
    # As on Linux, retransmissions into a closed window are probes of it, which may go on (RFC 9293 §3.8.6.1).
    opening = c.state in OPENING
    probing = not c.snd_wnd and not c.orphan and not opening
    if probing:
        if _refused_too_long(c):
            c.end(c.soft_error or errno.ETIMEDOUT)
            return
    elif _gives_up(c):
        # As on Linux without a RST: the peer, if it is there, is to find out by itself.
        c.end(c.soft_error or errno.ETIMEDOUT)
        return
    if not probing:
        c.counts.timed_out(c.tcp.scheduler.now, again=c.retries > 0)
    c.tcp.counters["tcp.timeouts"] += 1
    if opening:
        if c.retries == 2 and c.path.valid:
            c.reroute()
        if c.state is not State.SYN_SENT and not c.resent_since:
            c.resent_since = c.tcp.scheduler.now
        output.send_syn(c)
        if c.ecn and c.state is State.SYN_SENT:
            ecn.reduced(c)
    else:
        board = board_of(c)
        enter_loss(c, board)
        output.retransmit_first(c, board)
    c.retries += not probing
    _back_off(c)


def _refused_too_long(c: Connection) -> bool:
    """Whether the peer is silent behind its closed window, or the user's patience with it is over."""
    now, longest, patience = c.tcp.scheduler.now, 2 * c.rtt.limits.max_rto, c.options.user_timeout
    tried = now - c.resent_since if c.resent_since else 0.0
    if patience and tried > patience:
        return True
    longest = min(longest, patience or longest)
    return now - c.heard_at > longest and tried > longest


def _gives_up(c: Connection) -> bool:
    enough = _enough(c)
    if c.fast_open:
        early.timed_out(c, for_good=enough)
    return enough


def enter_loss(c: Connection, board: Scoreboard) -> None:
    """Slow start begins again. The threshold falls once for each window of data (RFC 5681 §3.1)."""
    repairing = c.recovering or board.after_timeout
    fresh = not repairing and c.snd_una >= board.reducing
    disordered = fresh and board.reducing < 0 < board.outside
    board.doubtful = AFTER_TIMEOUT if c.tcp.settings.frto and (not repairing or c.retries) else NO  # RFC 5682 §3.1 (1)
    now, memory = c.tcp.scheduler.now, c.rack
    assert memory is not None
    early = board.sacked.size
    arrived = early + board.departed
    # RFC 8985 §6.3: what was sent less than a round trip ago may still arrive, if RACK has seen data arrive.
    patience = (memory.rtt or c.rtt.latest) if c.sack and c.snd_una > c.iss + 1 else 0.0
    recent = now - patience
    end = _sent_before(c, recent)
    if board.sacked.around(c.snd_una) is not None:  # the peer has reneged: nothing that was told counts
        recent, end = inf, c.snd_max
    reducing = fresh or (repairing and c.snd_una >= c.recover) or (board.after_timeout and not c.retries)
    outstanding = c.snd_max - c.snd_una
    probed = int(board.tail_end > 0)
    newreno.forget(c, board)
    board.lose_everything(c.snd_una, end, recent)
    if early and not board.sacked.size:  # the peer has reneged: it will tell again
        c.counts.told_again += -(-early // c.mss)
        if c.rate is not None:
            c.rate.delivered -= early
    if reducing:
        undo.remember(c, probed=probed)
    c.congestion.timed_out(outstanding, c.mss, again=not reducing)
    c.congestion.cwnd = segmentation.in_flight(c, board) + c.mss
    if disordered and arrived >= c.tcp.settings.reordering * c.mss:
        memory.reordering = min(memory.reordering, c.tcp.settings.reordering)
    board.reducing = -1
    ecn.reduced(c)
    board.after_timeout = True
    board.timed_at = now
    board.tail_end = c.tail_probed = 0
    c.recovering = False
    c.recover = c.snd_max  # RFC 6582 §4
    c.reorder_at = inf


def _sent_before(c: Connection, time: float) -> int:
    """The number after what was sent for the first time before ``time``; the first segment in any case."""
    end = min(c.snd_una + c.mss, c.snd_max)
    for last, when in c.sent:
        if when > time:
            break
        end = max(end, last)
    return min(end, c.snd_max)


def _back_off(c: Connection) -> None:
    """RFC 6298 §5.5."""
    settings, now = c.tcp.settings, c.tcp.scheduler.now
    if c.state is State.SYN_SENT and c.retries <= settings.syn_linear_timeouts:
        pass  # as Linux: the first ones come at an even pace
    elif _linear(c) and c.retries <= _THIN_RETRIES and _thin(c):
        c.rtt.forget_back_off()
    else:
        c.rtt.back_off()
    wait = c.rtt.rto
    limit = c.options.user_timeout
    if limit and c.resent_since:
        wait = min(wait, max(c.resent_since + limit - now, 0.001))
    c.retransmit_at = now + wait
    timers.arm(c, c.retransmit_at)


def _linear(c: Connection) -> bool:
    timing = c.options.timing
    return c.tcp.settings.thin_linear_time_outs or (timing is not None and timing.thin_linear_time_outs)


def _thin(c: Connection) -> bool:
    segments = -(-(c.snd_max - c.snd_una) // c.mss)
    return c.state is State.ESTABLISHED and segments < _THIN and c.congestion.ssthresh < 1 << 30


def too_big(c: Connection) -> None:
    """A segment was larger than the path carries (RFC 1191 §6.4): send again, in smaller ones, what is on the way in
    such; the others have passed. That is no sign of congestion."""
    before = c.mss
    c.use_path(c.path)
    flight.keep_count(c, before)
    if c.state is State.SYN_SENT and c.snd_max > c.iss + 1 and sizes.announce(c) < c.announced_mss:
        output.send_syn(c)  # without the data, which were too much
        c.retransmit_at = c.tcp.scheduler.now + c.rtt.rto
    if c.mss < before and c.state not in OPENING and c.snd_max - c.snd_una > c.mss:
        board = board_of(c)
        board.resent.clear()
        board.tail_end = 0
        for start, end in flight.packets(c):
            if end - start > c.mss:
                board.lose(start, end)
        board.after_timeout = True
        c.recovering = False
        c.recover = c.snd_max
        c.mark()


def no_way(c: Connection, quote: bytes) -> None:
    """A router had no way for what a time-out sent again, the first segment: the path is gone for now, not congested,
    so the next attempt need not wait twice as long (RFC 6069 §4.1)."""
    if c.state in OPENING or not c.retries or not c.rtt.backoff or int.from_bytes(quote[4:8]) != c.snd_una & MASK:
        return
    c.rtt.take_back(c.tcp.settings.initial_rto)
    c.retransmit_at = max(c.sent_at + c.rtt.rto, c.tcp.scheduler.now)
    timers.arm(c, c.retransmit_at)


def patience_is_over(c: Connection) -> bool:
    """RFC 9293 §3.8.3, RFC 5482: the user's own limit on how long data may stay unacknowledged, from the first
    retransmission on as Linux counts."""
    limit = c.options.user_timeout
    return bool(limit) and c.retries > 0 and c.tcp.scheduler.now - c.resent_since >= limit - 1e-6


def _enough(c: Connection) -> bool:
    """Whether to give up (RFC 9293 §3.8.3: R2 is a time; the setting is how often one would send again in it)."""
    settings = c.tcp.settings
    if patience_is_over(c):
        return True
    if c.state in OPENING:
        return _unanswered(c)
    limit = settings.retries
    if c.orphan:
        limit = settings.orphan_retries
        if c.soft_error and c.rtt.rto >= c.rtt.limits.max_rto:
            limit = 0
    elif c.options.user_timeout:
        return False
    if not c.retries:
        return False
    return c.tcp.scheduler.now - c.resent_since >= _model(limit, c.rtt.limits.max_rto) - 1e-6


def _unanswered(c: Connection) -> bool:
    """Whether a SYN was sent often enough."""
    settings, own = c.tcp.settings, c.options.syn_retries
    if c.listener is not None or c.early:
        limit = own or settings.synack_retries + c.early  # as on Linux, once more if somebody uses it already
        return c.retries >= max(limit, c.options.defer_accept if c.deferred else 0)
    limit = own or settings.syn_retries
    if c.state is State.SYN_RECEIVED:
        return c.retries >= limit
    waited = c.tcp.scheduler.now - c.resent_since
    longest = _model(limit, c.rtt.limits.max_rto, settings.initial_rto)
    return c.retries >= limit + settings.syn_linear_timeouts or waited >= longest - 1e-6


def _model(times: int, longest: float, first: float = _MODEL) -> float:
    """How long so many retransmissions take, each twice as long after the one before."""
    doublings = int(longest / first).bit_length() - 1
    if times <= doublings:
        return ((2 << times) - 1) * first
    return ((2 << doublings) - 1) * first + (times - doublings) * longest
