"""What an acknowledgment means to the sender, and what it does when segments get lost.

Theory of operation
===================
Nothing is kept while all goes well: an acknowledgment moves ``snd_una``, and that is all. With the first sign of
trouble (a SACK block, the third duplicate ACK of a peer without SACK, a time-out, a tail loss probe) the connection
gets a `Scoreboard`, and each acknowledgment is digested in full until everything is in order again:

1. What it delivers leaves the scoreboard, and tells RACK how recent the data are that arrive (rack.py).
2. What that shows to be lost is marked. The first loss starts a recovery, in which the window follows PRR (prr.py); it
   ends when everything that was sent before it has arrived.
3. At the end of the batch the sender fills the window with what is lost first, then with new data (output.py).

A time-out (RFC 6298) marks everything lost and starts slow start instead. A reduction that turns out to have had no
cause is taken back: if originals arrive after a time-out (F-RTO, RFC 5682), if an echoed timestamp is older than the
first retransmission (Eifel, RFC 3522), or if DSACKs report each retransmission (RFC 3708).

For a peer without SACK, duplicate ACKs are counted as RFC 5681 does, and partial ones tell the next loss (RFC 6582).
How small the window becomes is the congestion controller's part (congestion.py).
"""

from __future__ import annotations

import errno
from math import inf
from typing import TYPE_CHECKING, Final

from . import ecn, output, rack, tail_probe, timers, validation
from .scoreboard import AFTER_TIMEOUT, NEW_DATA, NO, Scoreboard
from .sequence import MASK, extend, older
from .state import OPENING, State

if TYPE_CHECKING:
    from .connection import Connection
    from .ranges import Range

_DUPLICATES: Final = 3


def acknowledged(c: Connection, ack: int, echo: int) -> None:
    """SND.UNA < SEG.ACK: ``ack`` acknowledges something new (RFC 9293 §3.10.7.4, fifth).

    ``echo`` is the timestamp that the segment echoes.
    """
    board = c.board
    if board is not None:
        _digest(c, board, ack, echo, [])
        return
    now = c.tcp.scheduler.now
    if c.rtt_seq and ack >= c.rtt_seq:
        settings = c.tcp.settings
        c.rtt.measured(now - c.rtt_time, settings.min_rto, settings.max_rto)
        c.rtt_seq = 0
    elif c.retries and c.timestamps and echo:
        _measure_echo(c, echo)
    size = ack - c.snd_una
    c.duplicates = 0
    if c.cwnd_limited or validation.in_use(c):
        c.congestion.acknowledged(size, c.mss, ack, c)
    _advance(c, ack, now, c.rtt.pto or c.rtt.rto)
    if c.rate is not None:
        c.rate.advanced(c, size, now)


def _advance(c: Connection, ack: int, now: float, patience: float) -> None:
    """Move SND.UNA, and with it the retransmission timer, to be due after ``patience``."""
    c.snd_una = ack
    if c.snd_nxt < ack:
        c.snd_nxt = ack
    buffer = c.buffer
    buffer.acknowledge(ack if ack < buffer.end else buffer.end)
    c.retries = 0
    sent = c.sent
    if ack < c.snd_max:  # RFC 6298 §5.3
        c.unacknowledged_since = now
        c.retransmit_at = now + patience
        if c.retransmit_at < c.timer_when:
            timers.arm(c, c.retransmit_at)
        if len(sent) > _LOG and sent[len(sent) >> 1][0] <= ack:
            del sent[: len(sent) >> 1]
    else:  # RFC 6298 §5.2
        c.retransmit_at = c.unacknowledged_since = inf
        sent.clear()
        c.counts.end_busy(now)
    c.path.confirm()
    if c.room_wanted:
        _make_room(c)


#: The log of transmissions is halved when it is longer than this and its first half is acknowledged.
_LOG: Final = 16


def _make_room(c: Connection) -> None:
    """Tell the writer once a third of the buffer is free; a buffer that is in the way of the window grows."""
    wanted = 2 * c.congestion.cwnd
    if wanted > c.snd_limit and not c.options.send_buffer:
        c.snd_limit = min(wanted, c.tcp.settings.max_send_buffer)
    if (c.buffer.end - c.buffer.start) * 3 <= c.snd_limit * 2:
        c.room_wanted = False
        c.notify = True
        if c.counts.short:
            c.counts.run_short(False, c.tcp.scheduler.now)


# -- in trouble --------------------------------------------------------------------------------------------------


def board_of(c: Connection) -> Scoreboard:
    """The connection's scoreboard, a new one if there was no trouble until now."""
    board = c.board
    if board is None:
        board = c.board = Scoreboard(c.snd_una)
        c.rtt_seq = 0
        if c.rack is None:
            c.rack = rack.Rack()
    return board


def selectively_acknowledged(c: Connection, ack: int, echo: int, blocks: list[Range]) -> None:
    """An acceptable ACK with the SACK blocks ``blocks``, as on the wire (RFC 2018 §3)."""
    near = c.snd_una
    extended = [(start, start + (end - start & MASK)) for start, end in ((extend(a, near), b) for a, b in blocks)]
    board = c.board
    if _is_duplicate_report(ack, extended):
        _report(c, extended.pop(0))
    # RFC 2018 §5: nothing that was not sent, nothing from before; the rest of a lie is found out by the time-out.
    extended = [block for block in extended if c.snd_una < block[0] < block[1] <= c.snd_max and block[1] > ack]
    if board is None and not extended:
        if ack > c.snd_una:
            acknowledged(c, ack, echo)
    else:
        _digest(c, board_of(c), max(ack, c.snd_una), echo, extended)
        c.mark()


def _is_duplicate_report(ack: int, blocks: list[Range]) -> bool:
    """Whether the first block is a DSACK (RFC 2883 §4)."""
    left, right = blocks[0]
    return right <= ack or (len(blocks) > 1 and blocks[1][0] <= left and right <= blocks[1][1])


def _report(c: Connection, block: Range) -> None:
    """A DSACK: ``block`` arrived twice."""
    board = c.board
    left, right = block
    if left < c.iss or right > c.snd_max or left >= right:
        return
    if c.rack is not None and c.retransmissions:
        c.rack.spurious(c.snd_una, c.snd_max)
    if board is None:
        return
    if right == board.tail_end:
        board.tail_end = 0  # RFC 8985 §7.4.2: the tail had not been lost
    if board.undo_from >= 0 and left >= board.undo_from and board.undo_left > 0:
        board.undo_left = max(board.undo_left - (right - left), 0)
        if not board.undo_left:
            _undo(c, board)


def _digest(c: Connection, board: Scoreboard, ack: int, echo: int, blocks: list[Range]) -> None:
    """An acknowledgment that matters while there is trouble."""
    una, now = c.snd_una, c.tcp.scheduler.now
    before = board.outside
    board.original_arrived, board.original_time = False, 0.0
    resent = len(board.resent)
    delivered = 0
    if ack > una:
        delivered = rack.delivered(c, board, una, ack, echo)
        board.sacked.remove(una, ack)
        board.judged = max(board.judged, ack)
        if len(board.resent) < resent:
            board.original_time = 0.0  # they may have waited for what was sent again
    for left, right in blocks:
        delivered += rack.delivered(c, board, left, right, echo)
    _measure(c, board, echo, moved=ack > una)
    if ack > una:
        _advance(c, ack, now, c.rtt.rto)
        delivered = _settle_departed(c, board, ack - una, delivered)
        tail_probe.acknowledged(c, board, ack)
    recovered = c.recovering
    _look_back(c, board, ack - una, echo)
    recovered = recovered and not c.recovering
    if board.reducing >= 0 or board.echo:
        ecn.progress(c, board, delivered)
    intact = board.lost.size
    lost = rack.detect(c, board) if c.sack else False
    if c.reorder_at < c.timer_when:
        timers.arm(c, c.reorder_at)
    if not recovered or lost:
        _set_window(c, board, ack - una, delivered, before, lost=lost)
    if c.rate is not None:
        c.rate.digested(c, delivered, max(board.lost.size - intact, 0), c.snd_max - una - before, now)
    if board.calm and not c.recovering:
        c.board = None
        if c.rtt.pto and c.snd_una < c.snd_max:
            c.retransmit_at = now + c.rtt.pto
            timers.arm(c, c.retransmit_at)


def _measure(c: Connection, board: Scoreboard, echo: int, *, moved: bool) -> None:
    settings, now = c.tcp.settings, c.tcp.scheduler.now
    if board.original_time:
        c.rtt.measured(now - board.original_time, settings.min_rto, settings.max_rto)
    elif moved and c.timestamps and echo:
        _measure_echo(c, echo)


def _measure_echo(c: Connection, echo: int) -> None:
    """RFC 7323 §4: the echo tells which transmission was acknowledged."""
    settings = c.tcp.settings
    sample = (output.timestamp(c) - echo) & MASK
    if sample < 1 << 24:
        c.rtt.measured(sample / 1000, settings.min_rto, settings.max_rto)


def _settle_departed(c: Connection, board: Scoreboard, moved: int, delivered: int) -> int:
    """Without SACK: what duplicate ACKs had told before is no news now (RFC 9937 §6.2)."""
    if not board.departed:
        return delivered
    known = min(board.departed, max(moved - c.mss, 0))
    board.departed = 0 if c.snd_una >= c.recover else min(board.departed - known, c.snd_max - c.snd_una)
    return delivered - known


def _look_back(c: Connection, board: Scoreboard, moved: int, echo: int) -> None:
    """Was the reduction without cause? Is recovery over?"""
    if board.undo_from >= 0 and moved and c.timestamps and echo and board.undo_left:
        stamp = int(board.resent_at * 1000) + c.timestamp_offset & MASK
        if older(echo, stamp):
            _undo(c, board)  # RFC 3522: the original was on its way still
    if board.after_timeout:
        if board.doubtful:
            _judge_timeout(c, board, moved)
        if c.snd_una >= c.recover:
            board.after_timeout = False
    elif c.recovering and c.snd_una >= c.recover:
        c.recovering = False
        c.duplicates = 0
        board.departed = 0
        board.undo_from = -1
        c.congestion.settle()
        assert c.rack is not None
        c.rack.recovered()


def _judge_timeout(c: Connection, board: Scoreboard, moved: int) -> None:
    """Was the time-out spurious (RFC 5682 §3.1)?"""
    if board.original_arrived:
        _undo(c, board)  # (3.b): not everything was lost
    elif board.doubtful == AFTER_TIMEOUT and moved and c.snd_nxt < min(c.buffer.end, c.snd_una + c.snd_wnd):
        board.doubtful = NEW_DATA  # (2.b)
    else:
        board.doubtful = NO  # (3.a)


def _set_window(c: Connection, board: Scoreboard, moved: int, delivered: int, before: int, *, lost: bool) -> None:
    """What this acknowledgment makes of the congestion window."""
    if not c.recovering and not board.after_timeout and board.lost.size:
        enter(c, board, c.snd_max - c.snd_una - before + moved)
    if c.recovering:
        if moved and not c.sack:  # RFC 6582 §3.2 (3): a partial acknowledgment
            board.lose(c.snd_una, min(c.snd_una + c.mss, c.snd_max))
        _proportional(c, board, delivered, safe=moved > 0 and not lost)
        if moved and not c.sack and not c.congestion.samples:
            c.congestion.cwnd = max(c.congestion.cwnd, c.snd_max - c.snd_una - board.outside + c.mss)
    elif board.reducing >= 0:
        _proportional(c, board, delivered, safe=moved > 0)
    elif moved:
        c.duplicates = 0
        if c.cwnd_limited or validation.in_use(c):
            c.congestion.acknowledged(moved, c.mss, c.snd_una, c)


def _proportional(c: Connection, board: Scoreboard, delivered: int, *, safe: bool) -> None:
    control = c.congestion
    if delivered > 0 and not control.samples:
        pipe = c.snd_max - c.snd_una - board.outside
        control.cwnd = board.prr.window(delivered, pipe, control.ssthresh, c.mss, safe=safe)


def enter(c: Connection, board: Scoreboard, flight: int) -> None:
    """Fast recovery begins, with ``flight`` bytes in the network."""
    remember(c, board)
    if board.reducing < 0:
        c.congestion.lost(c.snd_max - c.snd_una, c.mss)
        board.prr.start(flight)
        ecn.reduced(c)
    else:  # RFC 3168 §6.1.2: once for each window, whatever the signs
        board.reducing = -1
        board.prior_cwnd = board.prior_ssthresh = 0
    c.recovering = True
    c.recover = c.snd_max


def remember(c: Connection, board: Scoreboard) -> None:
    """Before a reduction: how to take it back."""
    control = c.congestion
    board.prior_cwnd, board.prior_ssthresh = control.cwnd, control.ssthresh
    board.undo_from, board.undo_left = c.snd_una, 0


def _undo(c: Connection, board: Scoreboard) -> None:
    """The reduction had no cause: take it back, and send nothing more again."""
    c.congestion.undo(board.prior_cwnd, board.prior_ssthresh)
    if board.prior_ssthresh:
        c.ecn &= ~ecn.REDUCED
    board.undo_from = -1
    board.after_timeout = False
    board.doubtful = NO
    board.lost.clear()
    board.judged = c.snd_una  # what is lost indeed will be judged so again
    c.recovering = False
    c.duplicates = 0
    c.tcp.counters["tcp.undone"] += 1


def duplicate(c: Connection) -> None:
    """An ACK that acknowledges nothing new while data are on the way (RFC 5681 §2), of a peer without SACK."""
    if c.sack:
        return
    c.duplicates += 1
    board = c.board
    if c.recovering:
        assert board is not None
        board.departed = min(board.departed + c.mss, c.snd_max - c.snd_una - board.lost.size)
        _proportional(c, board, c.mss, safe=False)
    elif c.duplicates == _DUPLICATES and c.snd_una > c.recover:  # RFC 6582 §3.2 (1) and (2)
        board = board_of(c)
        board.departed = min(_DUPLICATES * c.mss, c.snd_max - c.snd_una)
        board.lose(c.snd_una, min(c.snd_una + c.mss, c.snd_max))
        enter(c, board, c.snd_max - c.snd_una)
        _proportional(c, board, _DUPLICATES * c.mss, safe=False)
    c.mark()


def reordering_is_over(c: Connection) -> None:
    """What might have been late has had its time (RFC 8985 §6.3)."""
    board = c.board
    if board is not None and rack.detect(c, board) and not c.recovering and not board.after_timeout:
        enter(c, board, c.snd_max - c.snd_una - board.sacked.size)
        _proportional(c, board, c.mss, safe=False)
    c.mark()


# -- time-outs ---------------------------------------------------------------------------------------------------


def timed_out(c: Connection) -> None:
    """The retransmission timer fired (RFC 6298 §5.4 to 5.7)."""
    if c.rtt.pto and tail_probe.waits(c):
        return
    if c.retries >= _limit(c) or patience_is_over(c):
        c.reset(c.soft_error or errno.ETIMEDOUT)
        return
    settings = c.tcp.settings
    c.counts.time_outs += 1
    if c.state in OPENING:
        if c.retries == 2 and c.path.valid:
            c.reroute()
        output.send_syn(c)
        if c.state is State.SYN_SENT:
            ecn.reduced(c)
    else:
        board = board_of(c)
        if not c.retries:
            fresh = c.sack and not c.recovering and not board.after_timeout
            board.doubtful = AFTER_TIMEOUT if fresh else NO  # RFC 5682 §3.1 (1)
            remember(c, board)
        c.congestion.timed_out(c.snd_max - c.snd_una, c.mss, again=c.retries > 0 or board.reducing > c.snd_una)
        board.reducing = -1
        ecn.reduced(c)
        board.lose_everything(c.snd_una, c.snd_max)
        board.after_timeout = True
        board.tail_end = 0
        c.recovering = False
        c.duplicates = 0
        c.recover = c.snd_max  # RFC 6582 §4
        c.reorder_at = inf
        output.retransmit_first(c, board)
    c.retries += 1
    c.tcp.counters["tcp.timeouts"] += 1
    c.retransmit_at = c.tcp.scheduler.now + min(c.rtt.rto * (1 << c.retries), settings.max_rto)  # RFC 6298 §5.5
    timers.arm(c, c.retransmit_at)


def too_big(c: Connection) -> None:
    """A segment was larger than the path carries (RFC 1191 §6.4): send what is on the way again, in smaller ones. That
    is no sign of congestion."""
    before = c.mss
    c.use_path(c.path)
    if c.mss < before and c.state not in OPENING and c.snd_una < c.snd_max:
        board = board_of(c)
        board.lose_everything(c.snd_una, c.snd_max)
        board.after_timeout = True
        c.recovering = False
        c.recover = c.snd_max
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
