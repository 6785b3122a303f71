"""What an acknowledgment means to the sender, and what it does when segments get lost.

Theory of operation
===================
Nothing is kept while all goes well: an acknowledgment moves ``snd_una``, and that is all. With the first sign of
trouble (a SACK block, a duplicate ACK of a peer without SACK, a time-out, a tail loss probe) the connection gets a
`Scoreboard`, and each acknowledgment is digested in full until everything is in order again:

1. What it delivers leaves the scoreboard, and tells RACK how recent the data are that arrive (rack.py).
2. What that shows to be lost is marked. The first loss starts a recovery, in which the window follows PRR (prr.py); it
   ends when everything that was sent before it has arrived.
3. At the end of the batch the sender fills the window with what is lost first, then with new data (output.py).

A time-out (RFC 6298, timeouts.py) marks what may be lost and starts slow start instead. A reduction that turns out to
have had no cause is taken back (undo.py): if originals arrive after a time-out (F-RTO, RFC 5682), if an echoed
timestamp is older than the first retransmission (Eifel, RFC 3522), or if DSACKs report each retransmission (RFC 3708).

For a peer without SACK, duplicate ACKs are counted as RFC 5681 does, and partial ones tell the next loss (RFC 6582;
newreno.py). How small the window becomes is the congestion controller's part (congestion.py).

Where the RFCs leave a choice, the order of the steps, and what they do to the window, are Linux's (tcp_input.c): its
states of congestion control are here *Open* (no scoreboard, or nothing in it that is lost or arrived early),
*Disorder* (something is), *Recovery* (``recovering``) and *Loss* (``board.after_timeout``).
"""

from __future__ import annotations

from bisect import bisect_right
from math import inf
from typing import TYPE_CHECKING, Final

from . import (
    ecn,
    flight,
    mtu_probe,
    newreno,
    output,
    rack,
    segmentation,
    send_memory,
    tail_probe,
    timers,
    undo,
    validation,
)
from .scoreboard import NEW_DATA, NO, Scoreboard
from .sequence import MASK, extend

if TYPE_CHECKING:
    from .connection import Connection
    from .ranges import Range


def acknowledged(c: Connection, ack: int, echo: int) -> None:
    """SND.UNA < SEG.ACK: ``ack`` acknowledges something new (RFC 9293 §3.10.7.4, fifth).

    ``echo`` is the timestamp that the segment echoes.
    """
    board = c.board
    if c.search is not None:
        mtu_probe.acknowledged(c, c.search, ack)
    if board is not None:
        _digest(c, board, ack, echo, [])
        return
    now = c.tcp.scheduler.now
    una = c.snd_una
    rtt = c.rtt
    if una > c.iss:
        sent = c.sent
        if sent and sent[0][0] > una:
            end, since = sent[0]
        else:
            index = bisect_right(sent, (una, inf))
            end, since = sent[index] if index < len(sent) else (ack, c.sent_at)
        rtt.measured(now - since, ack, c.snd_nxt)
        if end < ack:
            rtt.follow(now - rack.sent_time(c, ack - 1))
    else:
        _measure_handshake(c, ack, echo)
    control, pieces = c.congestion, c.pieces
    full = ack - una
    if pieces is not None and pieces.padding:
        full += pieces.settle(ack)
    if c.cwnd_limited or (control.cwnd < control.ssthresh and validation.in_use(c)):
        control.acknowledged(full, c.mss, ack, c)
    patience = rtt.pto or rtt.rto
    if ack < c.snd_max and 2 * rtt.pto > rtt.rto:
        patience = tail_probe.patience(c, ack)
    _advance(c, ack, now, patience)
    if c.rate is not None:
        c.rate.advanced(c, full if pieces is not None else c.mss, now)  # a FIN alone is a segment


def _measure_handshake(c: Connection, ack: int, echo: int) -> None:
    since = c.sent[0][1] if c.sent and ack > c.iss + 1 else c.rtt_time
    if since and not c.retransmissions:
        c.rtt.measured(c.tcp.scheduler.now - since, ack, c.snd_nxt)
    elif c.timestamps and echo:
        _measure_echo(c, ack, echo)


def _advance(c: Connection, ack: int, now: float, patience: float) -> None:
    """Move SND.UNA, and with it the retransmission timer, to be due after ``patience``."""
    c.snd_una = ack
    if c.snd_nxt < ack:
        c.snd_nxt = ack
    buffer = c.buffer
    buffer.acknowledge(ack if ack < buffer.end else buffer.end)
    if c.retries:
        c.retries = 0
        if c.board is None or not c.board.after_timeout:
            c.counts.recovered(now)
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
        if buffer.start == buffer.end:
            c.counts.end_busy(now)
    c.path.confirm()
    if c.soft_error:
        c.soft_error = 0  # something gets through
    if c.room_wanted:
        _make_room(c)


#: How long a peer that seems to have reneged may take to say more, in seconds: half a round trip, or this.
_RENEGED: Final = 0.01
#: The log of transmissions is halved when it is longer than this and its first half is acknowledged.
_LOG: Final = 16


def _make_room(c: Connection) -> None:
    """Tell the writer once a third of the buffer is free; a buffer that is in the way of the window grows."""
    if c.grows:
        send_memory.follow(c)
    if (c.buffer.end - c.buffer.start) * 3 <= c.snd_limit * 2 and send_memory.writable(c):
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
        if c.rack is None:
            c.rack = rack.Rack(c.tcp.settings.reordering)
    return board


def selectively_acknowledged(c: Connection, ack: int, echo: int, blocks: list[Range]) -> None:
    """An acceptable ACK with the SACK blocks ``blocks``, as on the wire (RFC 2018 §3)."""
    near = c.snd_una
    extended = [(start, start + (end - start & MASK)) for start, end in ((extend(a, near), b) for a, b in blocks)]
    board = c.board
    duplicate = _is_duplicate_report(ack, extended)
    if duplicate:
        duplicate = _report(c, extended.pop(0))
    # RFC 2018 §5: nothing that was not sent, nothing from before, nor (as on Linux) what begins where the ACK ends; the
    # rest of a lie is found out by the time-out.
    extended = [
        flight.whole(c, start, end) for start, end in extended if max(ack, c.snd_una) < start < end <= c.snd_max
    ]
    extended = [block for block in extended if block[0] < block[1]]
    if board is None and not extended and not (duplicate and undo.all_reported(c)):
        if ack > c.snd_una:
            acknowledged(c, ack, echo)
    else:
        _digest(c, board_of(c), max(ack, c.snd_una), echo, sorted(extended), reported=duplicate)
        c.mark()


def _is_duplicate_report(ack: int, blocks: list[Range]) -> bool:
    """Whether the first block is a DSACK (RFC 2883 §4)."""
    left, right = blocks[0]
    return left < ack or (len(blocks) > 1 and blocks[1][0] <= left and right <= blocks[1][1])


def _report(c: Connection, block: Range) -> bool:
    """A DSACK: ``block`` arrived twice. Whether that can be."""
    board, left, right = c.board, *block
    if left < c.iss or right > c.snd_max or left >= right or right - left > c.max_snd_wnd:
        return False
    counts = c.counts
    counts.reported_twice += -(-(right - left) // c.mss)
    if counts.reported_twice > c.retransmissions:
        return False  # it was the network that doubled it
    counts.told_again += -(-(right - left) // c.mss)
    probe = board is not None and right == board.tail_end
    if probe and board is not None:
        board.tail_end = 0  # RFC 8985 §7.4.2: the tail had not been lost
    elif c.rack is not None and c.rack.reordered and not c.tcp.settings.recovery & rack.STATIC_WINDOW:
        c.rack.spurious(c.snd_una, c.snd_max)
    if board is not None and board.again.around(left) and board.sacked.around(left) and board.highest > left:
        # As on Linux: of what has arrived early the original was overtaken, and sent again for nothing.
        rack_of(c).overtaken(board.highest - left, c.mss, c.tcp.settings.max_reordering)
    undo.reported(c, left, right)
    return True


def _digest(
    c: Connection, board: Scoreboard, ack: int, echo: int, blocks: list[Range], *, reported: bool = False
) -> None:
    """An acknowledgment that matters while there is trouble; ``blocks`` in order, ``reported``: it has a DSACK too."""
    una, now = c.snd_una, c.tcp.scheduler.now
    moved = ack - una
    outstanding = c.snd_max - una - board.outside
    losses = board.losses
    calm = board.open and not c.recovering and board.reducing < 0 and not board.echo
    board.original_arrived = board.resent_lost = board.unsure = False
    delivered, early = _deliver(c, board, ack, echo, blocks)
    delivered += early
    if moved:
        full = moved + (c.pieces.missing(una, ack) if c.pieces is not None else 0)
        _advance(c, ack, now, c.rtt.rto)
        delivered = newreno.settle(c, board, full, delivered)
    if reported:
        delivered += c.mss  # what came for nothing has come, as Linux counts
    tail_probe.acknowledged(c, board, ack, only=not (moved or early))
    if moved and _reneges(c, board):
        board.unsure = True
    elif calm and moved and not early and not reported:
        c.reorder_at = inf  # as on Linux, nothing is out of the ordinary about this one
    else:
        judge(c, board, moved, echo, news=early > 0, duplicate=False)
    if board.reducing >= 0 or board.echo:
        ecn.progress(c, board, delivered)
    _set_window(c, board, delivered, safe=moved > 0 and board.losses == losses, moved=moved, news=early > 0)
    if early and c.room_wanted and send_memory.room(c) >= c.size_goal:
        c.notify = True  # nothing leaves the buffer, but there is room
    if c.rate is not None:
        c.rate.digested(c, delivered, board.losses - losses, outstanding, now)
    settle(c, board)


def settle(c: Connection, board: Scoreboard) -> None:
    """After an acknowledgment was digested: timers; is everything in order again?"""
    if c.reorder_at < c.timer_when:
        timers.arm(c, c.reorder_at)
    if board.open and not c.recovering:
        if board.calm:
            # An acknowledgment of what was sent again tells no round trip (RFC 6298 §3).
            if not board.again.size and c.reorder_at == inf:
                c.board = None
            c.resent_since = 0.0
        if c.rtt.pto and c.snd_una < c.snd_max:
            c.retransmit_at = min(c.tcp.scheduler.now + c.rtt.pto, c.retransmit_at)
            timers.arm(c, c.retransmit_at)


def _deliver(c: Connection, board: Scoreboard, ack: int, echo: int, blocks: list[Range]) -> tuple[int, int]:
    """Take out of the scoreboard what arrived, and measure its round trip; how many bytes are news: in order, early."""
    una, now = c.snd_una, c.tcp.scheduler.now
    delivered = early = 0
    sample = board.original_time = board.overtaken = inf
    latest = board.latest_time = board.latest_sent = -inf
    resent_acknowledged = False
    highest = board.highest
    for left, right in blocks:
        early += rack.delivered(c, board, left, right, echo, board.highest)
    rack.reordered(c, board, board.highest)
    early_time, latest = board.original_time, board.latest_time
    if ack > una:  # last, as on Linux: RACK's round trip is that of the last one looked at
        board.original_time = inf
        delivered = rack.delivered(c, board, una, ack, echo, highest)
        board.sacked.remove(una, ack)
        rack.reordered(c, board, board.highest if board.sacked.size else ack)
        board.judged = max(board.judged, ack)
        resent_acknowledged = board.again.remove(una, ack) > 0
        if not resent_acknowledged:  # else it may have waited for what was sent again (RFC 6298 §3)
            sample = board.original_time
            latest = latest if latest > -inf else board.latest_time
    if sample == inf:
        sample = early_time
    if sample < inf:
        c.rtt.measured(now - sample, ack, c.snd_nxt)
        c.rtt.follow(now - latest)
        c.congestion.measured(now - latest, now)
        if ack == una and now - sample > newreno.head_age(c, board):
            c.retransmit_at = now + c.rtt.rto
    elif ack > una and c.timestamps and echo:
        _measure_echo(c, ack, echo)
    if resent_acknowledged and not c.sack:
        board.original_arrived = False  # without SACK nobody knows which of them it was
    return delivered, early


def _reneges(c: Connection, board: Scoreboard) -> bool:
    """Whether the peer has dropped what it told to have (RFC 2018 §8): unless it says more soon, it is sent again."""
    if board.sacked.around(c.snd_una) is None:
        return False
    c.retransmit_at = c.tcp.scheduler.now + max(c.rtt.srtt / 2, _RENEGED)
    timers.arm(c, c.retransmit_at)
    return True


def _measure_echo(c: Connection, ack: int, echo: int) -> None:
    """RFC 7323 §4: the echo tells which transmission was acknowledged."""
    sample = (output.timestamp(c) - echo) & MASK
    if sample < 1 << 24:
        c.rtt.measured(max(sample, 1) / 1000, ack, c.snd_nxt)


# -- the states of congestion control -------------------------------------------------------------------------------


def judge(c: Connection, board: Scoreboard, moved: int, echo: int, *, news: bool, duplicate: bool) -> None:
    """What follows from an acknowledgment that moved SND.UNA by ``moved``; ``news``: it had new SACK blocks;
    ``duplicate``: it is a duplicate ACK (RFC 5681 §2) of a peer without SACK."""
    if board.echo and c.undo is not None:
        c.undo.ssthresh = 0  # this reduction is to stay
    if c.recovering and c.snd_una >= c.recover:
        newreno.forget(c, board)
        if _recovered(c, board, echo):
            return
    if c.recovering:
        if moved:
            if _undo_partially(c, board, echo, moved):
                return
        elif duplicate:
            newreno.departs(c, board)
        if c.recovering and undo.all_reported(c):
            rack_of(c).persist()
            undo.take_back(c, losses=False)
            c.recovering = False
    elif board.after_timeout:
        _judge_timeout(c, board, moved, echo, news=news, duplicate=duplicate)
    else:
        if moved:
            newreno.forget(c, board)
        if duplicate:
            newreno.departs(c, board)
        if undo.all_reported(c):
            rack_of(c).persist()
            undo.take_back(c, losses=False)
    _find_losses(c, board, moved)
    if board.after_timeout and not board.resent_lost:
        return
    if not c.recovering and board.ever_lost and (c.search is None or not mtu_probe.lost(c, c.search, board)):
        enter(c, board)


def rack_of(c: Connection) -> rack.Rack:
    """What RACK remembers; there is one since the first trouble."""
    assert c.rack is not None
    return c.rack


def _find_losses(c: Connection, board: Scoreboard, moved: int) -> None:
    if c.snd_una == c.snd_max:
        c.reorder_at = inf
    elif c.sack:
        rack.detect(c, board)
    else:
        newreno.find_loss(c, board, moved)


def _recovered(c: Connection, board: Scoreboard, echo: int) -> bool:
    """Everything from before the loss has arrived. True if the state has to stay nevertheless."""
    if undo.possible(c, echo):
        undo.take_back(c, losses=False)
    else:
        rack_of(c).recovered()
    if not c.sack and c.snd_una == c.recover:
        # RFC 6582 §3.2: duplicate ACKs of what had arrived already must not look like another loss
        if not board.resent.size:
            c.resent_since = 0.0
        return True
    if c.recovering and c.undo is not None and c.undo.marker >= 0:
        c.congestion.settle()
    c.recovering = board.after_timeout = False
    c.counts.recovered(c.tcp.scheduler.now)
    return False


def _undo_partially(c: Connection, board: Scoreboard, echo: int, moved: int) -> bool:
    """A part of what was lost has arrived. Was it just late? True if nothing more is to be judged for now."""
    if c.undo is None or c.undo.marker < 0 or not undo.delayed(c, echo):
        return False
    highest = board.highest if c.sack else c.snd_una
    if highest > c.snd_una - moved:
        rack_of(c).overtaken(highest - c.snd_una + moved, c.mss, c.tcp.settings.max_reordering)
    if board.resent.size:
        board.unsure = True  # what was sent again is on its way; nothing more is
        return True
    undo.take_back(c, losses=True)
    c.recovering = False
    c.resent_since = 0.0
    return False


def _judge_timeout(c: Connection, board: Scoreboard, moved: int, echo: int, *, news: bool, duplicate: bool) -> None:
    """After a time-out: was it spurious (RFC 5682 §3.1)? Is everything repaired?"""
    if moved and undo.possible(c, echo):
        _undo_timeout(c, board, spurious=False)
        return
    recovered = c.snd_una >= c.recover
    if board.doubtful:
        if board.original_arrived and c.undo is not None and c.undo.marker >= 0:
            _undo_timeout(c, board, spurious=True)  # (3.b): not everything was lost
            return
        if board.doubtful == NEW_DATA:
            if news or duplicate:
                board.doubtful = NO  # (3.a): the loss was real
        elif moved and not recovered:
            c.recover = c.snd_max
            if c.snd_nxt < min(c.buffer.end, c.snd_una + c.snd_wnd):
                board.doubtful = NEW_DATA  # (2.b)
                if c.pieces is not None:
                    c.pieces.push_now = True
                return
            board.doubtful = NO
    if recovered:
        _recovered(c, board, echo)
    elif not c.sack:
        if duplicate and c.snd_max > c.recover:
            newreno.departs(c, board)
        elif moved:
            newreno.forget(c, board)


def _undo_timeout(c: Connection, board: Scoreboard, *, spurious: bool) -> None:
    undo.take_back(c, losses=True)
    c.retries = 0
    board.doubtful = NO
    if not c.sack and c.snd_una == c.recover:
        return
    if spurious or c.sack:
        board.after_timeout = False
        c.counts.recovered(c.tcp.scheduler.now)


def _set_window(c: Connection, board: Scoreboard, delivered: int, *, safe: bool, moved: int, news: bool) -> None:
    """What this acknowledgment makes of the congestion window. ``safe``: it moved SND.UNA and told no further loss;
    ``news``: it told of early data."""
    if c.recovering or board.reducing >= 0:
        proportional(c, board, delivered, safe=safe)
    elif (c.cwnd_limited or validation.in_use(c)) and (
        moved or (news and rack_of(c).reordering > c.tcp.settings.reordering)
    ):
        c.congestion.acknowledged(max(delivered, 0), c.mss, c.snd_una, c)


def proportional(c: Connection, board: Scoreboard, delivered: int, *, safe: bool) -> None:
    """In recovery: the window after ``delivered`` bytes more arrived (RFC 9937)."""
    control = c.congestion
    if delivered > 0 and not control.samples:
        pipe = segmentation.in_flight(c, board)
        control.cwnd = board.prr.window(delivered, pipe, control.ssthresh, c.mss, safe=safe)


def enter(c: Connection, board: Scoreboard) -> None:
    """Fast recovery begins."""
    control = c.congestion
    arrived = board.tail_end and not board.resent.size  # as on Linux, a probe counts even if it has been acknowledged
    undo.remember(c, reducing=board.reducing < 0, probed=int(arrived))
    if board.reducing < 0:
        board.prr.start(control.cwnd)
        control.lost(c.snd_max - c.snd_una, c.mss)
        ecn.reduced(c)
        c.recover = c.snd_max
    else:  # RFC 3168 §6.1.2: once for each window, whatever the signs; as on Linux the window is that of the first
        c.recover, board.reducing = board.reducing, -1
    c.recovering = True
    board.after_timeout = False
    c.counts.recovered(c.tcp.scheduler.now)
    board.tail_end = 0
    c.tail_probed = 0


def duplicate(c: Connection) -> None:
    """An ACK that acknowledges nothing new: while data are on the way RFC 5681 §2 calls it a duplicate."""
    board = c.board
    if board is not None and board.tail_end:
        tail_probe.acknowledged(c, board, c.snd_una, only=True)
        settle(c, board)
    if not c.sack and c.snd_nxt > c.snd_una:
        board = board_of(c)
        known = board.departed
        judge(c, board, 0, 0, news=False, duplicate=True)
        _set_window(c, board, board.departed - known, safe=False, moved=0, news=False)
        settle(c, board)
        c.mark()


def reordering_is_over(c: Connection) -> None:
    """What might have been late has had its time (RFC 8985 §6.3)."""
    board = c.board
    if board is not None and rack.detect(c, board):
        board.timed_at = c.tcp.scheduler.now
        if not c.recovering and (c.search is None or not mtu_probe.lost(c, c.search, board)):
            enter(c, board)
            proportional(c, board, c.mss, safe=False)
        timers.arm(c, min(c.reorder_at, c.timer_when))
    c.mark()
