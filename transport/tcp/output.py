"""What to send, and sending it (RFC 9293 §3.7.4, §3.8.6, §3.10.2)."""

from __future__ import annotations

from math import inf
from struct import Struct
from typing import TYPE_CHECKING, Final

from ...link.packet import PARTIAL, Packet
from . import acks, early, ecn, flight, sack, segmentation, sizes, tail_probe, timers, undo, urgent, window
from . import options as wire_options
from .header import ACK, CHECKSUM_OFFSET, FIN, HEADER, PSH, SEQUENCE_NUMBER, SEQUENCE_NUMBER_OFFSET, SYN, TCP
from .sequence import MASK
from .state import OPENING, State

if TYPE_CHECKING:
    from ...link.packet import Buffer
    from .connection import Connection
    from .scoreboard import Scoreboard

_DATA_OFFSET: Final = 5 << 12
#: A header whose only option is the timestamps: three words more.
_HEADER_TIMESTAMPS: Final = Struct(HEADER.format + "III")
_DATA_OFFSET_TIMESTAMPS: Final = 8 << 12
_NEVER: Final = inf


def flush(c: Connection) -> None:
    """At the end of a batch: data if there are any to send, which carry the acknowledgment; else that alone, if due."""
    if c.state in OPENING:
        if c.snd_nxt == c.iss:
            send_syn(c)
        if not c.early:
            if c.must_acknowledge:
                acknowledge(c)
            return
    if c.snd_nxt < c.buffer.end + c.fin_queued or c.board is not None:
        segmentation.send_data(c)
    owed = c.rcv_nxt - c.rcv_acked
    if c.must_acknowledge or ((owed or (c.reassembly is not None and c.reassembly.untold)) and acks.due(c, owed)):
        acknowledge(c)


def acknowledge(c: Connection) -> None:
    """Send an ACK that carries nothing else."""
    transmit(c, empty_seq(c), 0, ACK)


def empty_seq(c: Connection) -> int:
    """The sequence number of a segment without data: one that the peer accepts.

    That is after all that was ever sent, also while it is being sent again, unless it lies beyond a window that has
    closed since (or beyond the octet that probed it). As on Linux it may lie beyond by less than a unit of our scale.
    """
    edge = c.snd_una + c.snd_wnd
    return c.snd_max if c.snd_max < edge + (1 << c.rcv_shift) else max(edge, c.snd_una)


def log(c: Connection, size: int) -> None:
    """``size`` bytes that are new have gone out: remember when."""
    sent, now = c.sent, c.tcp.scheduler.now
    if sent and sent[-1][1] == now:
        sent[-1] = (c.snd_nxt, now)
    else:
        sent.append((c.snd_nxt, now))
    if c.rate is not None:
        c.rate.sent(c, now)
    if c.board is not None:
        c.board.prr.sent += size
        tail_probe.sent_more(c, c.board)


def retransmit_lost(c: Connection, board: Scoreboard) -> bool:
    """Send what is lost again, as far as the windows let it go; whether nothing is left (RFC 6675 §5, NextSeg)."""
    edge = c.snd_una + c.snd_wnd
    lost, mss = board.lost, c.mss
    pacer = c.pacer
    largest = max(segmentation.largest(c), 1) * mss
    while lost.size:
        start, end = lost.first()
        if end - start < mss:
            # What follows is joined to it as on Linux, lost or not.
            end = board.sacked.gaps(start, min(start + mss + 1, c.snd_max))[0][1]
        usable = c.congestion.cwnd - segmentation.in_flight(c, board)
        room = edge - start + (edge == c.buffer.end)
        if room <= 0 and start == c.snd_una:
            room = mss  # as on Linux, the first segment goes again whatever the window has become
        size = min(flight.boundary(c, start, end) - start, largest, room)
        if size > usable:
            size = usable - usable % mss
        if size <= 0:
            return False
        resend(c, board, start, start + size)
        if pacer is not None and pacer.ends(c, size):
            return False
    return True


def resend(c: Connection, board: Scoreboard, start: int, end: int) -> None:
    """`retransmit` what is lost."""
    if c.search is not None:
        c.search.size = 0  # what becomes of a probe says nothing any more
    undo.resent(c, end - start)
    board.prr.sent += -(-(end - start) // c.mss) * c.mss
    if start == c.snd_una:
        c.retransmit_at = c.tcp.scheduler.now + c.rtt.rto
    retransmit(c, board, start, end)


def retransmit(c: Connection, board: Scoreboard, start: int, end: int) -> None:
    """Send ``start`` to ``end`` again, as one packet; a FIN that is among them goes along."""
    now = c.tcp.scheduler.now
    board.lost.remove(start, end)
    board.former.take(start, end)
    board.resent.add(start, end, now)
    board.again.add(start, end)
    flight.part(c, start, end)
    flight.join(c, start, end)
    last = c.buffer.end
    flags = ACK | PSH if flight.pushed_at(c, start, end) else ACK
    if end > last:
        flags |= FIN
    end = min(end, last)
    if start < end:
        c.counts.data_sent_at = 0.0
    step = c.tso_size
    while end - start > step:
        transmit(c, start, step, ACK)
        start += step
    transmit(c, start, end - start, flags)
    if c.rate is not None:
        c.rate.sent(c, now)


def probe(c: Connection) -> None:
    """Ask whether a closed window has opened: with an old sequence number, as Linux does, and no data. The peer has to
    answer what it cannot accept (RFC 9293 §3.10.7.4, first)."""
    transmit(c, c.snd_una - 1, 0, ACK)


def retransmit_first(c: Connection, board: Scoreboard) -> None:
    """Send the earliest unacknowledged segment again, as far as the window has room, or all of it if there is none."""
    if c.telling or c.option_room:
        sizes.leave_room(c)
    end = flight.boundary(c, c.snd_una, c.snd_max)
    limit = c.snd_una + min(c.mss, c.snd_wnd or c.mss)
    if end > limit + (end > c.buffer.end == limit):
        end = limit
    if board.sacked.size:
        end = min(end, board.sacked.first()[0])
    c.snd_nxt = max(c.snd_nxt, end)
    resend(c, board, c.snd_una, end)


def send_syn(c: Connection) -> None:
    """Send a SYN, or after the peer's SYN a SYN and ACK, with the options of RFC 9293 §3.7.1, RFC 7323 and RFC 7413."""
    again, active = c.snd_nxt > c.iss, c.state is State.SYN_SENT
    options = _syn_options(c, again=again)
    flags, number = (SYN, 0) if active else (SYN | ACK, c.rcv_nxt & MASK)
    marks = ecn.syn_flags(c, again=again)
    if not again:
        c.rtt_time = c.tcp.scheduler.now
        if active:
            c.resent_since = c.rtt_time
    data = early.take_along(c) if active and c.early else 0
    after, size = c.iss + 1 + data, HEADER.size + len(options)
    c.snd_nxt = max(c.snd_nxt, after)
    offered = window.first(c)[0] if again and c.early else c.rcv_adv - c.rcv_acked
    field = min(offered, 65535)  # never scaled in a SYN (RFC 7323 §2.2)
    flags |= size << 10 | marks
    pseudo = _pseudo(c, size + data)
    header = HEADER.pack(c.local[1], c.remote[1], c.iss & MASK, number, flags, field, pseudo, 0) + options
    c.rcv_acked = c.rcv_nxt
    c.rcv_adv = max(c.rcv_adv, c.rcv_nxt + offered)
    c.must_acknowledge = False
    _account(c, c.iss, after)
    _send(c, [header, *c.buffer.slices(c.iss + 1, data)] if data else [header], 0)
    counts = c.counts
    counts.controls = 1
    if counts.passive:
        counts.segments_out -= 1  # as on Linux, where it is the listener's


def _syn_options(c: Connection, *, again: bool) -> bytes:
    if again and not c.counts.passive:
        c.announced_mss = min(c.announced_mss, sizes.announce(c))  # the path may have become narrower
    timestamps, selective = c.timestamps, c.sack
    if c.state is State.SYN_RECEIVED and c.listener is None:  # simultaneous: as on Linux, it offers what our SYN did
        settings = c.tcp.settings
        timestamps, selective = bool(timestamps or settings.timestamps), selective or settings.sack
    stamps = (timestamp(c), c.ts_recent) if timestamps else None
    shift = c.rcv_shift if c.rcv_scaling else None
    if again or c.cookie is None:  # RFC 7413 §4.1.3.1: the cookie may be why it is sent again
        return wire_options.build_syn(c.announced_mss, shift, stamps, sack=selective)
    experimental = bool(c.fast_open & early.EXPERIMENTAL)
    return wire_options.build_syn(c.announced_mss, shift, stamps, c.cookie, sack=selective, experimental=experimental)


def transmit(c: Connection, start: int, size: int, flags: int) -> None:
    """Send one packet: ``size`` bytes from sequence number ``start`` on, or none."""
    header = _header(c, start, size, flags)
    if c.snd_up > start:
        urgent.mark(c, header, start)
    telling = c.telling
    if telling and not _tell(c, header, size):
        flags &= ~ACK  # a segment of its own says what has arrived
    if flags & ACK:
        _acknowledges(c, size, telling=telling)
    if size or flags & FIN:
        _account(c, start, start + size + (flags & FIN))
        _send(c, [header, *c.buffer.slices(start, size)] if size else [header], size)
    else:
        _send(c, [header], 0)


def transmit_train(c: Connection, start: int, size: int, count: int) -> None:
    """Send ``count`` packets of new data from ``start`` on, of ``size`` bytes each and pushed, which differ in nothing
    but their numbers: nothing is urgent, marked, or to be told by options."""
    template = _header(c, start, size, ACK | PSH)
    _acknowledges(c, size)
    after = start + size * count
    _account(c, start, after)
    slices = c.buffer.slices
    for number in range(start, after, size):
        header = bytearray(template)
        SEQUENCE_NUMBER.pack_into(header, SEQUENCE_NUMBER_OFFSET, number & MASK)
        _send(c, [header, *slices(number, size)], size)


def _header(c: Connection, start: int, size: int, flags: int) -> bytearray:
    field = window.offer(c)
    if c.ecn:
        flags |= ecn.flags(c, start, size)
    if c.timestamps:
        return bytearray(
            _HEADER_TIMESTAMPS.pack(
                c.local[1],
                c.remote[1],
                start & MASK,
                c.rcv_nxt & MASK,
                _DATA_OFFSET_TIMESTAMPS | flags,
                field,
                _pseudo(c, size + 32),
                0,
                wire_options.TIMESTAMPS_ALIGNED,
                timestamp(c),
                c.ts_recent,
            )
        )
    return bytearray(
        HEADER.pack(
            c.local[1],
            c.remote[1],
            start & MASK,
            c.rcv_nxt & MASK,
            _DATA_OFFSET | flags,
            field,
            _pseudo(c, size + 20),
            0,
        )
    )


def _acknowledges(c: Connection, size: int, *, telling: bool = False) -> None:
    """A packet with ``size`` bytes acknowledges all that has arrived."""
    if c.rcv_nxt != c.rcv_acked or telling:
        acks.sent(c)
    if size and c.ato and c.tcp.scheduler.now - c.data_at < c.ato:
        c.pingpong += 1  # a conversation: acknowledgments ride on answers
    c.rcv_acked = c.rcv_nxt
    c.must_acknowledge = False
    c.acknowledge_at = _NEVER


def _tell(c: Connection, header: bytearray, size: int) -> bool:
    """Add SACK blocks to a header, unless data leave no room for them."""
    if size and sack.size(c) > c.option_room:
        return False
    blocks = sack.blocks(c)
    if blocks:
        header += wire_options.build_sack(blocks)
        header[12] = len(header) << 2
        header[16:18] = _pseudo(c, len(header) + size).to_bytes(2)
    return True


def _account(c: Connection, start: int, after: int) -> None:
    """Sequence numbers from ``start`` to ``after`` go out: measure their round trip, and expect their ACK."""
    now = c.tcp.scheduler.now
    c.sent_at = now
    if start < c.snd_max:
        count = -(-(after - start) // c.mss)
        c.retransmissions += count
        if (size := min(after, c.buffer.end) - max(start, c.iss + 1)) > 0:
            c.counts.bytes_resent += size
            c.counts.data_segments_resent += -(-size // c.mss)
        c.tcp.counters["tcp.retransmitted"] += count
    if after > c.snd_max:
        if c.snd_max == c.snd_una:
            c.unacknowledged_since = now
            if after > c.buffer.end and start > c.iss and c.buffer.start == c.buffer.end:
                c.counts.begin_busy(now)  # a FIN; data keep busy from the time they were written
            if c.rate is not None:
                c.rate.restart(now)
                if c.rate.limited:
                    c.congestion.restarted(c)
        c.snd_max = after
    if c.retransmit_at == _NEVER:  # RFC 6298 §5.1
        c.retransmit_at = now + (c.rtt.pto or c.rtt.rto)
        if c.retransmit_at < c.timer_when:
            timers.arm(c, c.retransmit_at)
    c.persist_at = _NEVER


def timestamp(c: Connection) -> int:
    """This connection's clock, in milliseconds (RFC 7323 §5.4)."""
    return (int(c.tcp.scheduler.now * 1000) + c.timestamp_offset) & MASK


def timestamp_at(c: Connection, time: float) -> int:
    """What that clock shows at ``time``."""
    return (int(time * 1000) + c.timestamp_offset) & MASK


def _pseudo(c: Connection, length: int) -> int:
    """The sum of the pseudo-header, folded: what a PARTIAL packet has for a checksum."""
    total = c.pseudo_sum + length
    return total if total < 65536 else total - 65535


def _send(c: Connection, buffers: list[Buffer], payload: int) -> None:
    counts = c.counts
    if payload:
        segments = 1 if payload <= c.mss else -(-payload // c.mss)
        counts.data_segments_out += segments
        counts.segments_out += segments
    else:
        counts.segments_out += 1
    path = c.path
    if not path.valid:
        if not c.reroute():
            return
        path = c.path
    packet = Packet(buffers, checksum=PARTIAL, segment_size=c.mss if payload > c.mss else 0)
    packet.checksum_offset = CHECKSUM_OFFSET
    options = c.options
    try:
        path.send(
            packet,
            TCP,
            hop_limit=options.hop_limit,
            traffic_class=options.traffic_class | c.ecn & ecn.CAPABLE,
            dont_fragment=options.dont_fragment,
        )
    except OSError as failure:
        # Too big for the path as it is by now: segments become smaller, and the timer sends this one again.
        c.soft_error = failure.errno or 0
        c.use_path(path)
