"""The timers of a connection: several deadlines, one entry in the host's agenda.

A deadline is an attribute, and moving it costs a store. The agenda's entry is due no later than the earliest deadline;
when it fires too early, because the deadline has moved on since, it is set anew. So a connection that sends at full
speed, whose retransmission deadline moves with each ACK, touches the agenda a few times a second.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .connection import Connection

#: As on Linux (TCP_RTO_MIN), a closed window is not probed sooner, in seconds, whatever is chosen for time-outs.
_SHORTEST_PROBE: Final = 0.2


def arm(c: Connection, deadline: float) -> None:
    """Make sure that the connection wakes at ``deadline``."""
    if deadline < c.timer_when:
        if c.timer is not None:
            c.timer.cancel()
        c.timer_when = deadline
        c.timer = c.tcp.scheduler.call_at(deadline, c.wake)


def stop(c: Connection) -> None:
    """Turn every timer off."""
    c.retransmit_at = c.persist_at = c.acknowledge_at = c.keepalive_at = c.give_up_at = inf
    c.reorder_at = inf
    if c.timer is not None:
        c.timer.cancel()
        c.timer = None
    c.timer_when = inf


def start_keepalive(c: Connection) -> None:
    """RFC 9293 §3.8.4: off unless the user asks for it. It counts from when it is switched on."""
    if not c.options.keepalive:
        c.keepalive_at = inf
    elif c.keepalive_at == inf:
        c.keepalive_at = c.tcp.scheduler.now + c.options.keepalive_idle
        arm(c, c.keepalive_at)


def keepalive_idle_changed(c: Connection) -> None:
    """The user wants another ``options.keepalive_idle``."""
    if c.keepalive_at < inf:
        c.keepalive_at = max(max(c.heard_at, c.data_at) + c.options.keepalive_idle, c.tcp.scheduler.now)
        arm(c, c.keepalive_at)


def limit_fin_wait(c: Connection) -> None:
    """A connection that nobody reads does not wait for the peer's FIN forever."""
    limit = c.options.fin_timeout
    c.give_up_at = c.tcp.scheduler.now + (c.tcp.settings.fin_timeout if limit is None else limit)
    arm(c, c.give_up_at)


def probe_answered(c: Connection) -> None:
    """An ACK arrives while data wait for the window: where it stays too small for the next packet, the time to the next
    probe begins anew; else there is nothing to probe any more."""
    c.persist_probes = 0
    if min(c.buffer.end + c.fin_queued - c.snd_nxt, c.size_goal) > c.snd_wnd:
        set_persist(c)
    else:
        c.persist_at = inf
        c.persist_since = -inf
        c.rtt.backoff = 0


def set_persist(c: Connection, *, first: bool = False) -> None:
    """Wait for the window, longer each time: as on Linux time-outs and probes are counted together."""
    now = c.tcp.scheduler.now
    wait = min(_persist_wait(c, 0 if first else c.rtt.backoff), c.rtt.limits.max_rto)
    limit = c.options.user_timeout
    if limit and c.persist_since > -inf:
        wait = min(wait, max(c.persist_since + limit - now, 0.001))
    c.persist_at = now + wait
    arm(c, c.persist_at)


def _persist_wait(c: Connection, doublings: int) -> float:
    return max(c.rtt.rto, _SHORTEST_PROBE) * (1 << min(doublings, 16))


def longest_wait(c: Connection) -> bool:
    """Whether probes of the window have become as rare as they will."""
    return _persist_wait(c, c.rtt.backoff) >= c.rtt.limits.max_rto
