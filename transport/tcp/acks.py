"""When to acknowledge (RFC 9293 §3.8.6.3, RFC 5681 §4.2): what the RFCs leave open, as Linux does.

Theory of operation
===================
An ACK waits for an answer to ride on, or for more data, but no longer than ``ato``, which follows the time between
segments. It does not wait

- for more than one full segment (``rcv_mss``: what the peer seems to send as one);
- while quick ACKs are left: at the start, for the sake of the peer's slow start, and after anything strange;
- when the user has read everything, and the peer has pushed it (PSH, or a short segment): it has no more to say;
- when data arrive early or twice, or fill a gap. But after three ACKs in a row that tell early data (the peer has
  its three duplicates) the next ones tell several segments each, for a fraction of the round trip.

A user that writes soon after data came in has a conversation (``pingpong``): quick ACKs are of no use then, until an
ACK has waited in vain.

Arrival calls what is here for each segment with data, which only takes notes. What to do is decided at the end of the
batch (`due`), so a batch has one ACK; and when the user reads (`read`).
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from . import output, right_sizing, timers, window
from .header import FIN, HEADER_SIZE, PSH, SYN, URG
from .state import State

if TYPE_CHECKING:
    from .connection import Connection
    from .reassembly import Reassembly

#: TCP_ATO_MIN and TCP_DELACK_MIN, TCP_DELACK_MAX, and HZ / 2: RFC 9293 §3.8.6.3 allows no more. In seconds.
SHORTEST: Final = 0.04
LONGEST: Final = 0.2
_SOON: Final = SHORTEST / 2
_HALF_SECOND: Final = 0.5
#: A moment that leaves an answer time to take along the acknowledgment of a FIN before which no data came.
_TICK: Final = 0.002
#: With this much of ``pingpong`` there is a conversation.
PINGPONG: Final = 1
#: A segment with less than this (TCP_MIN_RCVMSS, and for one without PSH, TCP_MIN_MSS) says nothing of the peer's MSS.
LEAST_MSS: Final = 536
_TINY_MSS: Final = 88
#: A pushed segment with less than this needs no look at what it may say: every MSS is larger.
_LITTLE: Final = 64
_DUPLICATES: Final = 3
#: Smaller segments do not let the window grow, unless they come early.
_GROWING: Final = 128
_TIMESTAMPS_SIZE: Final = 12
_ENDS: Final = FIN | SYN | PSH | URG


def arrived(c: Connection, size: int, full: int, header: int, flags: int, echo: int) -> None:
    """The next data are there: ``size`` bytes in segments of ``full`` bytes with TCP headers of ``header`` bytes, which
    echo the timestamp ``echo`` (or 0)."""
    window.charge(c, size, header - HEADER_SIZE)
    if flags & PSH and full < _LITTLE:
        c.last_size = 0
        c.pushed = 2 if c.pushed else 1
    elif full == c.rcv_mss and not flags & PSH:
        c.last_size = 0
    else:
        measure(c, size, full, header, flags)
    sizing = c.right_sizing
    if sizing is None or c.rcv_nxt >= sizing.window_end or (echo != sizing.echo and size >= c.rcv_mss):
        right_sizing.arrived(c, size, echo)
    elif echo:
        sizing.echo = echo
    now = c.heard_at
    gap = now - c.data_at
    c.data_at = now
    ato = c.ato
    if gap <= _SOON and ato:
        if ato != SHORTEST:
            c.ato = (ato + SHORTEST) / 2
    elif not ato:
        c.ato = SHORTEST
        quicken(c, c.tcp.settings.quick_acks)
    elif gap < ato:
        c.ato = min(ato / 2 + gap, c.rtt.rto)
    elif gap > c.rtt.rto:
        quicken(c, c.tcp.settings.quick_acks)  # the peer may have restarted slowly
    if c.rcv_ssthresh < c.rcv_clamp and size >= _GROWING:
        window.grow(c, size, header - HEADER_SIZE)


def measure(c: Connection, size: int, full: int, header: int, flags: int) -> None:
    """Guess what a full segment of the peer is: the longest yet, or what came twice in a row."""
    last, c.last_size = c.last_size, 0
    if full >= c.rcv_mss:
        if full > c.rcv_mss:
            c.rcv_mss = min(full, c.advertised_mss)
            window.rescale(c, size, header - HEADER_SIZE)
        if flags & PSH and not c.pushed:
            c.pushed = 1
        return
    full += header
    if full >= LEAST_MSS + HEADER_SIZE or (full >= _TINY_MSS + HEADER_SIZE and not flags & _ENDS):
        c.last_size = full = full - HEADER_SIZE - (_TIMESTAMPS_SIZE if c.timestamps else 0)
        if full == last:
            c.rcv_mss = full
            return
    c.pushed = 2 if c.pushed else 1


def quicken(c: Connection, most: int) -> None:
    """Acknowledge the next segments at once, unless there is a conversation: half of what the window holds, or so."""
    left = (c.rcv_adv - c.rcv_acked) // (2 * c.rcv_mss) or 2
    c.quick = max(c.quick, min(left, most))


def enter_quick(c: Connection, most: int) -> None:
    """Something is out of the ordinary: acknowledge the next segments at once, conversation or not."""
    quicken(c, most)
    c.pingpong = silent(c)
    c.ato = SHORTEST


def silent(c: Connection) -> int:
    """``pingpong`` of a user that does not answer: so many answers have to come before there is a conversation."""
    return PINGPONG - c.tcp.settings.answers_in_conversation


def strange(c: Connection) -> None:
    """Data arrived twice, or where there is no room for them: acknowledge at once, and the next segments too."""
    enter_quick(c, c.tcp.settings.quick_acks)
    c.must_acknowledge = True


def repaired(c: Connection) -> None:
    """The last gap is filled: acknowledge at once (RFC 5681 §4.2), and the next segments too, as the path loses some.

    The latter Linux leaves out. The peer's window is small now: a tail that is alone, or is sent again, would wait for
    an ACK that waits for more.
    """
    c.must_acknowledge = True
    if c.tcp.settings.quick_after_gap:
        quicken(c, c.tcp.settings.quick_acks)


def due(c: Connection, owed: int) -> bool:
    """At the end of a batch: whether to acknowledge now. If not, the timer will see to the ``owed`` bytes; they are
    judged once, whatever else there is to do meanwhile."""
    if c.rcv_nxt == c.delayed and c.reassembly is None:
        return False
    if owed > c.rcv_mss and (not c.readable or window.select(c) >= c.rcv_adv - c.rcv_acked):
        return True  # if the window cannot keep up, reading will tell that it has moved
    if c.quick and c.pingpong < PINGPONG:
        return True
    reassembly = c.reassembly
    if reassembly is not None and len(reassembly):
        return _early_due(c, reassembly)
    return c.tcp.settings.quick_ack or _delay(c)


def _early_due(c: Connection, reassembly: Reassembly) -> bool:
    settings = c.tcp.settings
    if reassembly.compressed >= settings.compressed_acks:
        return True
    if reassembly.duplicates_of != c.rcv_nxt:
        reassembly.duplicates_of, reassembly.duplicates = c.rcv_nxt, 0
    if reassembly.duplicates < _DUPLICATES:
        reassembly.duplicates += 1
        return True
    round_trip = c.right_sizing.rtt if c.right_sizing is not None else 0.0
    round_trip = min(round_trip, c.rtt.srtt) or round_trip or c.rtt.srtt
    if not round_trip:
        return True
    reassembly.compressed += 1
    if reassembly.compressed == 1:
        _wait(c, min(settings.compression_delay, round_trip / 20))
    return False


def _delay(c: Connection) -> bool:
    ato = c.ato or _TICK
    if ato > SHORTEST:
        most = LONGEST if c.pushed or c.pingpong >= PINGPONG else _HALF_SECOND
        if c.rtt.srtt:
            most = min(most, max(c.rtt.srtt, SHORTEST))
        ato = min(ato, most, LONGEST)
    if c.options.timing is not None:
        ato = min(ato, c.options.timing.max_delay, c.options.timing.min_rto)
    if c.acknowledge_at <= c.tcp.scheduler.now + ato / 4:
        return True  # the timer is about to fire
    _wait(c, ato)
    c.delayed = c.rcv_nxt
    return False


def _wait(c: Connection, delay: float) -> None:
    when = c.tcp.scheduler.now + delay
    if when < c.acknowledge_at:
        c.acknowledge_at = when
        if when < c.timer_when:
            timers.arm(c, when)


def waited(c: Connection) -> None:
    """The timer fired: nothing came for the ACK to ride on."""
    c.acknowledge_at = inf
    if c.reassembly is None or not c.reassembly.compressed:
        if c.pingpong < PINGPONG:
            c.ato = min(c.ato * 2, c.rtt.rto)
        else:
            c.pingpong = silent(c)
            c.ato = SHORTEST
    output.acknowledge(c)


def sent(c: Connection) -> None:
    """An acknowledgment of something leaves."""
    if c.quick:
        c.quick -= 1
        if not c.quick:
            c.ato = SHORTEST
    c.pushed = 0
    if c.reassembly is not None:
        c.reassembly.compressed = 0
        c.reassembly.untold = False


def read(c: Connection) -> bool:
    """The user has read, and data were not acknowledged yet: whether that is done now."""
    owed = c.rcv_nxt - c.rcv_acked
    if owed <= c.rcv_mss and (c.readable or not c.pushed or (c.pushed == 1 and c.pingpong >= PINGPONG)):
        return False
    c.must_acknowledge = True
    c.mark()
    return True


def choose(c: Connection, quickly: bool, *, lasting: bool) -> None:
    """TCP_QUICKACK: acknowledge at once, what has been read and the next segments (without ``lasting`` only the
    former); or have a conversation."""
    c.pingpong = silent(c) if quickly else PINGPONG
    if quickly and c.rcv_nxt > c.rcv_acked and c.state in _OPEN:
        c.pushed = c.pushed or 1
        read(c)
        c.pingpong = silent(c) if lasting else PINGPONG


_OPEN: Final = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})
