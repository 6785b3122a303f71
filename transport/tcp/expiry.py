"""What happens when a connection's timers fire (RFC 9293 §3.8, §3.10.8)."""

from __future__ import annotations

import errno
from math import inf
from typing import TYPE_CHECKING

from . import acks, mtu_probe, output, recovery, segmentation, timeouts, timers
from .header import ACK
from .state import OPENING, State

if TYPE_CHECKING:
    from .connection import Connection


def wake(c: Connection) -> None:
    """A deadline may have passed: do what is due, and wait for the next."""
    c.timer = None
    c.timer_when = -inf  # deadlines that are set meanwhile may move again: one entry is made at the end
    now = c.tcp.scheduler.now
    if c.acknowledge_at <= now:
        acks.waited(c)
    if c.retransmit_at <= now:
        c.retransmit_at = inf
        if not _defers(c):
            _avoid_black_hole(c)
            timeouts.timed_out(c)
    if c.reorder_at <= now:
        c.reorder_at = inf
        recovery.reordering_is_over(c)
    if c.persist_at <= now:
        c.persist_at = inf
        _probe_window(c)
    if c.keepalive_at <= now:
        c.keepalive_at = inf
        _keep_alive(c)
    if c.give_up_at <= now:
        c.end(0)
    next_deadline = min(c.retransmit_at, c.reorder_at, c.persist_at, c.acknowledge_at, c.keepalive_at, c.give_up_at)
    c.timer_when = inf
    if next_deadline < inf:
        timers.arm(c, next_deadline)


def _defers(c: Connection) -> bool:
    """Whether the peer, whose ACK we have seen, just has not sent its first data yet. It is not reminded but for the
    last time (as Linux does for TCP_DEFER_ACCEPT): then its ACK opens the connection."""
    if not c.deferred or c.state is not State.SYN_RECEIVED or c.retries >= c.options.defer_accept - 1:
        return False
    c.retries += 1
    c.rtt.back_off()
    c.retransmit_at = c.tcp.scheduler.now + c.rtt.rto
    return True


def _avoid_black_hole(c: Connection) -> None:
    """RFC 4821 §7.7: time-outs of one segment again and again may mean that the path has become too narrow for it, and
    that the routers do not say so: send smaller ones."""
    settings = c.tcp.settings
    if settings.mtu_probing and c.retries >= settings.mtu_probe_retries and c.state not in OPENING:
        c.tcp.counters["tcp.black_hole_suspected"] += 1
        mtu_probe.shrink(c)


def _probe_window(c: Connection) -> None:
    """The persist timer: data wait and nothing is on the way (RFC 9293 §3.8.6.1).

    With a window, it is the override time-out of silly-window avoidance (§3.8.6.2.1) and of cork. Without one, the peer
    is made to say whether there is room by now. It may refuse forever, as long as it answers (MUST-37).
    """
    waiting = c.buffer.end + c.fin_queued - c.snd_nxt
    if not waiting or c.snd_nxt != c.snd_una:
        return
    settings = c.tcp.settings
    limit = settings.orphan_retries if c.orphan else settings.retries
    tries = c.persist_probes
    if c.orphan and timers.longest_wait(c):
        tries = max(tries, c.rtt.backoff)  # nobody is left who would wait forever
    now, patience = c.tcp.scheduler.now, c.options.user_timeout
    if c.persist_since == -inf:
        c.persist_since = now
    elif patience and now - c.persist_since >= patience - 1e-6:  # RFC 5482: as the user wants it
        tries = limit
    if tries >= limit:
        c.end(c.soft_error or errno.ETIMEDOUT)
        return
    if c.snd_wnd and segmentation.send_now(c):
        c.overridden = c.snd_max
        c.rtt.backoff = c.persist_probes = 0
        c.persist_since = -inf
        return
    c.persist_probes += 1
    c.rtt.backoff += 1
    output.probe(c)
    timers.set_persist(c)


def _silent_too_long(c: Connection) -> bool:
    """Whether enough probes went unanswered; the user's time-out, where set, takes the place of their number."""
    options = c.options
    if options.user_timeout:
        return c.keepalive_probes > 0 and c.tcp.scheduler.now - c.heard_at >= options.user_timeout
    return c.keepalive_probes >= options.keepalive_count


def _keep_alive(c: Connection) -> None:
    """RFC 9293 §3.8.4: ask a silent peer for a sign of life, with a segment just below the window."""
    options, now = c.options, c.tcp.scheduler.now
    if c.heard_at >= now - options.keepalive_interval:
        c.keepalive_probes = 0
    if c.state in OPENING or c.snd_una != c.snd_max or c.unsent:
        c.keepalive_at = now + options.keepalive_idle  # retransmissions and probes find out
    elif not c.keepalive_probes and now < c.heard_at + options.keepalive_idle:
        c.keepalive_at = c.heard_at + options.keepalive_idle
    elif _silent_too_long(c):
        c.reset(c.soft_error or errno.ETIMEDOUT)
        return
    else:
        c.keepalive_probes += 1
        output.transmit(c, c.snd_una - 1, 0, ACK)
        c.keepalive_at = now + options.keepalive_interval
    timers.arm(c, c.keepalive_at)
