"""What goes out of what was written: as much as the windows take, in packets as large as is good for the path.

This is Linux's way through the choices that RFC 9293 §3.7.4 and §3.8.6 leave: a packet is at most half of the
congestion window, and about a millisecond's worth at the connection's pace; the last small segment waits while another
small one is on the way (Nagle's algorithm as Minshall changed it); a piece that could be larger soon waits for the next
acknowledgment (the same idea for whole packets). What is larger than a segment is cut by the link, or here if the link
does not do that; a push or FIN is at the end of a packet, and so is a push of every packet of several segments.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from . import flight, mtu_probe, output, pacing, rack, sizes, timers, validation
from .congestion import UNLIMITED
from .header import ACK, FIN, PSH
from .pieces import FEW, PUSH, RECORD, SHIFT, Pieces
from .scoreboard import NEW_DATA, NO

if TYPE_CHECKING:
    from .connection import Connection
    from .scoreboard import Scoreboard

#: When a small segment waits: never, until uncorked, not this once.
_NODELAY: Final = 1
_CORK: Final = 2
_NOW: Final = 4
#: What a packet waits for: room in a window, or nothing but more data.
_CONGESTION: Final = -1
_PEER: Final = -2
_NEITHER: Final = -3
_PACE: Final = -4
_SMALL: Final = -5
#: Without a part of the window to go by, so many segments are deferred at most (Linux's tcp_max_tso_deferred_mss).
_MOST_DEFERRED: Final = 3
#: How long after a packet another may still be deferred, and how near the next acknowledgment must be, in seconds.
_RECENT: Final = 0.001


def written(c: Connection, *, more: bool, record: bool) -> None:
    """The user has added bytes to the send buffer; ``more``: and will add to them at once; ``record``: and a record
    ends with them."""
    pieces, end = c.pieces, c.buffer.end
    if pieces is None:
        pieces = c.pieces = Pieces(c.snd_nxt)
    pieces.held_for = _heard(c) if more else None
    if record:
        pieces.end_record(end, c.snd_una)
    if c.snd_una == c.snd_max and c.tcp.scheduler.now - c.sent_at > c.rtt.rto:
        validation.after_idle(c)
    flags = 0 if more and not _overdue(c, pieces, end) else PUSH
    pieces.write(c.snd_nxt, end, c.size_goal, flags | RECORD if record else flags)


def _heard(c: Connection) -> tuple[int, int, int]:
    """What changes with each segment that arrives, unless it has the next data and nothing else that is news."""
    counts = c.counts
    return c.snd_una, c.snd_wnd, counts.segments_in - counts.data_segments_in + counts.early_segments


def _overdue(c: Connection, pieces: Pieces, end: int) -> bool:
    """Whether the peer should be told to hand over what it has (as Linux does for half of the largest window)."""
    return end > pieces.pushed + (c.max_snd_wnd >> 1)


def unsent_room(c: Connection, low_water: int) -> int:
    """What a write would take while no more than ``low_water`` bytes are to wait unsent. As on Linux that decides
    whether another piece is begun: one that was is filled up."""
    goal, unsent, pieces = c.size_goal, c.unsent, c.pieces
    if unsent < low_water:
        return max(sendable(c) - unsent, 0) + -(-low_water // goal) * goal
    if pieces is None or not pieces.queue or pieces.written or pieces.queue[-1] & RECORD:
        return 0
    begin, end = pieces.last(c.snd_nxt)
    return max(goal - (end - begin), 0)


def sendable(c: Connection) -> int:
    """How many bytes may go out now, of more than enough: whole segments, and as the last packet what is left of the
    peer's window, if that is a segment."""
    mss, allowed = c.mss, _quota(c) * c.mss
    window = c.snd_una + c.snd_wnd - c.snd_nxt
    if allowed <= window:
        return max(allowed, 0)
    packet = max(min(largest(c), c.congestion.cwnd // mss >> 1), 1) * mss
    last = window % min(packet, c.size_goal)
    return max(window - last if last < mss else window, 0)


def send_data(c: Connection) -> None:
    """Send what windows and pacing let go: what is lost first, then new data, then the FIN."""
    board, pacer = c.board, c.pacer
    if pacer is not None and not pacer.opens(c):
        return
    if c.telling or c.option_room:
        sizes.leave_room(c)
    pieces = c.pieces
    if board is not None and board.resends and not output.retransmit_lost(c, board):
        if pieces is not None and c.snd_nxt < c.buffer.end:
            validation.sent(c, pieces, limited=True)
        return
    before = c.snd_nxt
    if pieces is not None:
        if c.snd_una == c.snd_max and c.congestion.ssthresh < UNLIMITED:
            now = c.tcp.scheduler.now
            c.congestion.resumed(now - c.sent_at, now)
        why = _send_written(c, pieces)
        if (why == _PEER) != c.counts.held:
            c.counts.hold(why == _PEER, c.tcp.scheduler.now)
        if c.snd_nxt > before or why == _CONGESTION:
            validation.sent(c, pieces, limited=why == _CONGESTION)
    end = c.buffer.end
    if c.fin_queued and _fin_is_next(c) and _quota(c) > 0:
        _send_fin(c, pieces)
    if c.snd_nxt > before:
        output.log(c, c.snd_nxt - before)
    elif board is not None and board.doubtful == NEW_DATA and c.snd_max == c.recover:
        board.doubtful = NO  # RFC 5682 §3.1 (2.b): there is no new data that could be sent
        output.retransmit_lost(c, board)
    if c.room_wanted and c.snd_nxt == end and not c.cwnd_limited and not c.counts.short and not c.room:
        c.counts.run_short(True, c.tcp.scheduler.now)
    if c.snd_nxt < end + c.fin_queued and c.snd_nxt == c.snd_una and c.persist_at == inf:
        c.persist_probes = 0
        c.persist_since = -inf
        timers.set_persist(c, first=True)


def _send_written(c: Connection, pieces: Pieces) -> int:
    """Send what was written; why no more of it."""
    options = c.options
    nagle = _NODELAY if options.nodelay else 0
    if options.cork or (pieces.held_for is not None and pieces.held_for == _heard(c)):
        nagle |= _CORK
    if pieces.push_now:
        nagle |= _NOW
    queue, why = pieces.queue, 0
    if len(queue) == 1 and not pieces.written and 0 < (size := (queue[0] >> SHIFT) - c.snd_nxt) <= c.mss:
        why = _send_small(c, pieces, nagle, size)
    elif queue or pieces.written:
        most = largest(c)
        if pieces.written:
            why = _cut_written(c, pieces, nagle, most)
        if queue and why != _PACE and why != _SMALL:
            why = _send(c, pieces, nagle, most)
    pieces.push_now = False
    return why


def _send_small(c: Connection, pieces: Pieces, nagle: int, size: int) -> int:
    """A short way for what is one segment, and the last: why no more goes out, as `_send` has it."""
    if c.search is not None or c.pacer is not None or c.fin_queued:
        return _send(c, pieces, nagle, largest(c))
    quota, una, start, missing = _quota(c), c.snd_una, c.snd_nxt, c.mss - size
    if quota <= 0:
        return _CONGESTION
    end = start + size
    if end > una + c.snd_wnd:
        return _PEER
    if missing:
        if nagle != _NODELAY and not nagle & _NOW and _waits(c, pieces, nagle):
            return _NEITHER
        pieces.pad(end, missing)
        if c.board is not None:
            c.board.prr.sent += missing
    push, packets = pieces.queue.pop() & PUSH, pieces.packets
    packets.append(end << 1 | push)
    if len(packets) > FEW:
        pieces.forget(una)
    c.snd_nxt = end
    output.transmit(c, start, size, ACK | PSH if push else ACK)
    return 0 if quota > 1 else _CONGESTION


def _fin_is_next(c: Connection) -> bool:
    end = c.buffer.end
    return _ends(c) and c.snd_nxt == end and end < c.snd_una + c.snd_wnd


def _send_fin(c: Connection, pieces: Pieces | None) -> None:
    end = c.snd_nxt
    c.snd_nxt = end + 1
    c.counts.controls += 1
    c.counts.data_sent_at = c.sent_at
    if pieces is not None:
        pieces.packets.append(end + 1 << 1)
        pieces.pad(end + 1, c.mss - 1)
    output.transmit(c, end, 0, FIN | ACK)


def send_one(c: Connection) -> bool:
    """Send a packet of new data, or the FIN, if there are any and the peer has room for it (a tail loss probe): a
    segment, whatever the congestion window, or as on Linux more if only the wish to send more at once held it back."""
    pieces = c.pieces
    if pieces is None or not pieces.queue:
        if not _fin_is_next(c):
            return False
        _send_fin(c, pieces)
        output.log(c, 1)
        return True
    most = max(min(_quota(c), largest(c)), 1)
    size = pieces.first(c.snd_nxt, most * c.mss)
    limit = _allowed(c, pieces, _NODELAY, size, most, 0, most)
    if limit > 0:
        _send_first(c, pieces, size, limit)
        output.log(c, limit)
        validation.sent(c, pieces, limited=_quota(c) <= 0)
    return limit > 0


def send_now(c: Connection) -> bool:
    """Send what the peer's window takes, small or not: silly-window avoidance has waited long enough."""
    pieces = c.pieces
    if pieces is None or not pieces.queue:
        return False
    end = pieces.queue[pieces.head] >> SHIFT
    limit = min(end, c.snd_una + c.snd_wnd, c.snd_nxt + c.mss) - c.snd_nxt
    if limit <= 0:
        return False
    pieces.pushed = max(pieces.pushed, end)
    small = pieces.small
    _send_first(c, pieces, end - c.snd_nxt, limit, ACK | PSH)
    pieces.small = small  # as on Linux it is no reason for another to wait
    output.log(c, limit)
    return True


def _cut_written(c: Connection, pieces: Pieces, nagle: int, most: int) -> int:
    """Cut large writes into pieces, sending while they are: what goes out makes room in the last piece. Returns why no
    more went out."""
    goal = c.size_goal
    why = 0
    for write in pieces.written:
        end = write >> SHIFT
        if most * c.mss >= goal:
            edge = _send_whole(c, pieces, end, goal)
            if edge - c.snd_nxt > most * c.mss and len(pieces.written) == 1 and not c.fin_queued:
                pieces.written.clear()
                return _send_tail(c, pieces, write, nagle)
        goes_on = False
        while pieces.cut(c.snd_nxt, end, goal, goes_on=goes_on):
            goes_on = True
            copied = pieces.queue[-1] >> SHIFT
            if copied == end:
                break
            if _overdue(c, pieces, copied):
                pieces.push()
                why = why or _send(c, pieces, _NOW, most)
            elif not why and len(pieces.queue) - pieces.head == 1:
                why = _send(c, pieces, _NOW, most, once=True)
        if flags := write & (PUSH | RECORD):
            pieces.push(flags)
    pieces.written.clear()
    return why


def _send_whole(c: Connection, pieces: Pieces, end: int, goal: int) -> int:
    """A short way for large writes: where nothing is in the way, each piece goes out as it is cut. A piece that waits
    is filled up first. Returns up to where the windows go, 0 if something is in the way."""
    cwnd, queue, packets = c.congestion.cwnd, pieces.queue, pieces.packets
    una, start, mss = c.snd_una, c.snd_nxt, c.mss
    if c.board is not None or c.pacer is not None or c.snd_up > una or cwnd < 2 * goal or c.search is not None:
        return 0
    if queue and (len(queue) - pieces.head > 1 or queue[-1] & RECORD):
        return 0
    edge = una + min(c.snd_wnd, (cwnd - pieces.padding) // mss * mss)
    limit = min(end - 1, edge)
    first, patience = start, c.max_snd_wnd >> 1
    alike = c.tso_size >= goal > mss and not c.ecn and not c.telling
    while (after := start + goal) <= limit:
        flags = ACK
        if after > pieces.pushed + patience:
            pieces.pushed = after
            flags = ACK | PSH
        c.snd_nxt = after
        if alike:
            packets.append(after << 1 | (flags != ACK))
        else:
            _transmit(c, pieces, start, goal, flags)
        start = after
    if alike and start > first:
        output.transmit_train(c, first, goal, (start - first) // goal)
    if queue and start >= queue[-1] >> SHIFT:
        pieces.drop_first()
    if len(packets) > FEW:
        pieces.forget(una)
    return edge


def _send_tail(c: Connection, pieces: Pieces, write: int, nagle: int) -> int:
    """Send the last piece of a large write, which the windows take; but a small segment at its end may have to wait.
    Why no more went out."""
    start, end, flags = c.snd_nxt, write >> SHIFT, ACK
    if pieces.queue:
        pieces.drop_first()  # what waited has become part of this
    if write & PUSH:
        pieces.pushed = end
    small = (end - start) % c.mss
    if small and not nagle & _NOW and _waits(c, pieces, nagle):
        pieces.queue.append(write)
        end -= small
    elif write & PUSH:
        flags = ACK | PSH
    if start < end:
        c.snd_nxt = end
        _transmit(c, pieces, start, end - start, flags)
    return _SMALL if pieces.queue else 0


def _ends(c: Connection) -> bool:
    """Whether a FIN goes after the last byte; before the handshake is over only if nobody is left, as on Linux."""
    return c.fin_queued and (not c.early or c.orphan)


def _quota(c: Connection) -> int:
    """How many segments the congestion window takes."""
    board, mss = c.board, c.mss
    flight = c.snd_nxt - c.snd_una - c.early  # a SYN on its way does not count
    if board is not None:
        flight = in_flight(c, board) - c.early
    elif c.pieces is not None and c.pieces.padding:
        c.pieces.settle(c.snd_una)
        flight += c.pieces.padding
    return (c.congestion.cwnd // mss or 1) - -(-flight // mss)


def in_flight(c: Connection, board: Scoreboard) -> int:
    """How much is in the network, in bytes, each segment counting as a full one (`Pieces.padding`); and twice, as on
    Linux, if it was sent again for nothing."""
    flight, pieces = c.snd_max - c.snd_una - board.outside + board.resent.pardoned, c.pieces
    if pieces is not None and pieces.padding:
        pieces.settle(c.snd_una)
        flight += pieces.padding - sum(
            pieces.missing(*gone) for ranges in (board.sacked, board.lost) for gone in ranges
        )
    return max(flight, 0)


def _send(c: Connection, pieces: Pieces, nagle: int, most: int, *, once: bool = False) -> int:
    """Send packets of ``most`` segments at most from the head of the queue, as long as nothing holds them back; why it
    stopped. ``once``: send one packet, which does not wait to become larger."""
    queue, mss, pacer = pieces.queue, c.mss, c.pacer
    while queue and queue[pieces.head] >> SHIFT <= c.snd_nxt:
        pieces.drop_first()  # it went with the SYN
    quota = _quota(c)
    if c.search is not None and not once:
        if mtu_probe.probe(c, pieces, c.search, quota) == mtu_probe.WAIT:
            return _CONGESTION
        quota = _quota(c)
    waits = 0 if once else most
    half = c.congestion.cwnd // mss >> 1 or 1
    if most > half:
        most = half
    while queue:
        if quota <= 0:
            return _CONGESTION
        segments = most if most < quota else quota
        size = pieces.first(c.snd_nxt, segments * mss)
        limit = _allowed(c, pieces, nagle, size, segments, waits, quota)
        if limit <= 0:
            return limit
        _send_first(c, pieces, size, limit)
        quota -= -(-limit // mss)
        if pacer is not None and pacer.ends(c, limit):
            return _PACE
        if once:
            break
    return 0 if quota > 0 else _CONGESTION


def _allowed(c: Connection, pieces: Pieces, nagle: int, size: int, segments: int, largest: int, quota: int) -> int:
    """How much of the first piece, which has ``size`` bytes, goes as one packet of at most so many ``segments``; if
    none, what it waits for. ``largest`` segments are worth waiting for, ``quota`` are what the congestion window takes.
    """
    mss, window = c.mss, c.snd_una + c.snd_wnd - c.snd_nxt
    last = len(pieces.queue) - pieces.head == 1
    if size <= mss:
        fin = last and _ends(c) and not pieces.written
        if size + fin > window:
            return _PEER
        small = size < mss and last and not fin and not nagle & _NOW
        return _NEITHER if small and _waits(c, pieces, nagle) else size
    if mss > window:
        return _PEER
    record = pieces.queue[pieces.head] & RECORD
    if largest and (reason := _defers(c, size, window, quota * mss, largest * mss, last=last, record=record)):
        return reason
    if c.snd_up > c.snd_una:
        return mss  # each segment has an urgent pointer of its own
    most = segments * mss
    if most <= window and not last:
        return min(most, size)
    needed = min(size, window)
    if most <= needed:
        return most
    # A small segment at the end goes along unless it has to wait.
    rest = needed % mss
    return needed - rest if rest and _waits(c, pieces, nagle) else needed


def _send_first(c: Connection, pieces: Pieces, size: int, limit: int, flags: int = ACK) -> None:
    """Send ``limit`` bytes of the ``size`` bytes of the first piece; with the last ones the FIN, if that comes next."""
    start = c.snd_nxt
    c.snd_nxt = start + limit
    if limit == size:
        if pieces.queue[pieces.head] & PUSH:
            flags = ACK | PSH
        pieces.drop_first()
        if not pieces.queue and _ends(c) and not pieces.written:
            c.snd_nxt += 1
            flags |= FIN
    _transmit(c, pieces, start, limit, flags)


def _transmit(c: Connection, pieces: Pieces, start: int, size: int, flags: int) -> None:
    """Send one packet, segment by segment if the link has to have it so."""
    packets = pieces.packets
    packets.append(c.snd_nxt << 1 | bool(flags & PSH))
    if len(packets) > FEW:
        pieces.forget(c.snd_una)
    if size > c.mss:
        flags |= PSH  # as Linux does, so that a receiver that puts segments together knows when to stop waiting
    if size % c.mss or flags & FIN:
        missing = flight.short(c, start, c.snd_nxt)
        pieces.pad(c.snd_nxt, missing)
        if c.board is not None:
            c.board.prr.sent += missing
    step = c.tso_size
    while size > step:
        output.transmit(c, start, step, ACK)
        start += step
        size -= step
    output.transmit(c, start, size, flags)


def largest(c: Connection) -> int:
    """The most segments in a packet: about a millisecond's worth, and more where a round trip is so short that many
    packets cost more than bursts do."""
    pacer = c.pacer
    if pacer is not None:
        return pacer.size // c.mss
    settings = c.tcp.settings
    if c.rtt.shortest * 1e6 < 1 << settings.tso_rtt_log:
        return pacing.LARGEST // c.mss
    return pacing.train(c, pacing.rate(c), settings.min_tso_segments) // c.mss


def _waits(c: Connection, pieces: Pieces, nagle: int) -> bool:
    """Whether the last, small segment waits (RFC 9293 §3.7.4, SHOULD-7): only one such is on the way at a time. Urgent
    data do not wait."""
    una = c.snd_una
    return c.snd_up <= una and bool(nagle & _CORK or (not nagle and una < c.snd_nxt and pieces.small > una))


def _defers(c: Connection, size: int, window: int, allowed: int, largest: int, *, last: bool, record: int) -> int:
    """Whether a piece of ``size`` bytes waits for the next acknowledgment, since it could be larger then, up to
    ``largest``; and for what: ``window`` is what the peer's window takes, ``allowed`` the congestion window."""
    if c.recovering or (c.board is not None and c.board.after_timeout):
        return 0
    limit = min(window, allowed)
    if limit >= largest or (not last and limit >= size) or _is_share(c, limit):
        return 0
    now, srtt = c.tcp.scheduler.now, c.rtt.srtt
    if now - c.sent_at > _RECENT or c.snd_una == c.snd_nxt:
        return 0
    if srtt - (now - rack.sent_time(c, c.snd_una)) > min(srtt / 2, _RECENT):
        return 0  # the acknowledgment will not come soon
    if limit <= size:
        return _CONGESTION if allowed < window else _PEER
    return 0 if (last and c.fin_queued) or record else _NEITHER


def _is_share(c: Connection, limit: int) -> bool:
    """Whether so many bytes are enough of a window to be sent at once."""
    divisor = c.tcp.settings.tso_window_divisor
    if divisor:
        return limit >= min(c.snd_wnd, c.congestion.cwnd) // divisor
    return limit > _MOST_DEFERRED * c.mss
