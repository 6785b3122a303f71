"""SEGMENT ARRIVES (RFC 9293 §3.10.7), for a connection that exists.

`receive` is the short way in: the next data, or a new acknowledgment of data, on a connection that is established or
has just been closed (header prediction). Everything else is judged step by step by `segment_arrives`. Nothing is sent
from here but duplicate ACKs and RSTs: what a segment asks for is done once, at the end of the batch
(`Connection.mark`).
"""

from __future__ import annotations

import errno
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

from . import acks, ecn, opening, output, recovery, right_sizing, sack, timers, urgent, validation, window
from .header import ACK, CWR, ECE, FIN, HEADER_SIZE, RST, SYN, URG
from .options import ALIGNED, TIMESTAMPS_ALIGNED
from .reassembly import Reassembly
from .segment import Segment
from .sequence import MASK, extend, older
from .state import RECEIVING, Event, State

if TYPE_CHECKING:
    from ...link.packet import Packet
    from .connection import Connection

_JUDGED: Final = FIN | SYN | RST | ACK | URG | ECE | CWR
_HALF: Final = 1 << 31
_ANYTHING: Final = 1 << 62
#: In-order pieces smaller than this are put together, so that a slow reader does not hoard frames.
_SMALL: Final = 2048
#: A timestamp older than this says nothing any more (RFC 7323 §5.5).
_TIMESTAMP_LIFE: Final = 24 * 86400.0
#: Ticks of the fastest clock that peers may have, in a second (as Linux has it).
_FASTEST_TICKS: Final = 1200


def receive(self: Connection, packet: Packet, start: int, seq: int, ack: int, flags: int, window: int) -> None:
    """A segment arrives; ``start`` is where its payload begins, the rest is as on the wire."""
    data = packet.buffers[0]
    size = packet.end - start
    rcv_nxt = self.rcv_nxt
    counts = self.counts
    segments = -(-size // packet.segment_size) if packet.segment_size else 1
    una = self.snd_una
    moved = (ack - una) & MASK
    counts.segments_in += segments
    counts.data_segments_in += segments if size else 0
    if (
        una + moved < self.predicted
        and flags & _JUDGED == ACK
        and seq == rcv_nxt & MASK
        and moved <= self.snd_max - una
        and (not size or (size <= self.rcv_adv - rcv_nxt and not self.receive_ended))
        and self.rcv_charge <= self.rcv_buffer
        and self.reassembly is None
        and (not self.ecn or not size or ecn.is_usual(self, packet))
    ):
        echo = 0
        if self.timestamps:
            if start - packet.offset != 32:
                segment_arrives(self, Segment(packet, start, seq, ack, flags, window))
                return
            kind, stamp, echo = ALIGNED.unpack_from(data, packet.offset + HEADER_SIZE)
            if kind != TIMESTAMPS_ALIGNED or (stamp - self.ts_recent) & MASK >= _HALF:
                segment_arrives(self, Segment(packet, start, seq, ack, flags, window))
                return
            if rcv_nxt == self.rcv_acked:
                self.ts_recent = stamp
        elif start - packet.offset != HEADER_SIZE:
            segment_arrives(self, Segment(packet, start, seq, ack, flags, window))
            return
        window <<= self.snd_shift
        news = window > self.snd_wnd or not window or rcv_nxt != self.snd_wl1  # of two windows the larger is the later
        if moved:
            recovery.acknowledged(self, una + moved, echo)
        elif not size and not news and (self.board is not None or not self.sack):
            recovery.duplicate(self)
        if window != self.snd_wnd and (moved or news):
            self.snd_wnd = window
            if window > self.max_snd_wnd:
                self.widen(window)
            if not moved:
                validation.window_changes(self)
        self.snd_wl1 = rcv_nxt
        self.snd_wl2 = self.snd_una
        if self.persist_at < inf and (moved or not size):
            timers.probe_answered(self)
        self.heard_at = self.tcp.scheduler.now
        if size:
            deliver(self, memoryview(data)[start : packet.end])
            acks.arrived(self, size, packet.segment_size or size, start - packet.offset, flags, echo)
        if not self.dirty:
            self.dirty = True
            self.tcp.mark(self)
        return
    segment_arrives(self, Segment(packet, start, seq, ack, flags, window))


def predict(c: Connection) -> None:
    """In this state, which acknowledgments may take the short way? In FIN-WAIT-1 those of all but our FIN."""
    if c.options.least_hop_limit:
        c.predicted = 0
    elif c.state is State.ESTABLISHED:
        c.predicted = _ANYTHING
    else:
        c.predicted = c.buffer.end + 1 if c.state is State.FIN_WAIT_1 else 0


def deliver(c: Connection, piece: memoryview) -> None:
    """``piece`` is next in the stream."""
    size = len(piece)
    c.rcv_nxt += size
    c.readable += size
    received = c.received
    if not received:
        c.received = deque((piece,))
    elif size < _SMALL and len(received[-1]) < _SMALL:
        received[-1] = memoryview(b"".join((received[-1], piece)))
    else:
        received.append(piece)
    c.notify = True


def segment_arrives(c: Connection, segment: Segment) -> None:
    """RFC 9293 §3.10.7.3 and .4, step by step."""
    if segment.options.signed:
        c.tcp.counters["tcp.signed"] += 1  # as on Linux, not taken without the key
        return
    if c.options.least_hop_limit and c.options.least_hop_limit > segment.hop_limit:
        return
    if c.state is State.SYN_SENT:
        if not opening.answered(c, segment):
            return
    elif not _first_to_fifth(c, segment):
        return
    if c.state in RECEIVING:
        if segment.flags & URG:
            urgent.arrives(c, segment)
        if segment.payload or segment.flags & FIN or segment.seq != c.rcv_nxt:
            _text_arrives(c, segment)
    c.mark()


def _first_to_fifth(c: Connection, segment: Segment) -> bool:
    """Check the sequence number, RST, SYN and ACK (RFC 9293 §3.10.7.4); whether there may be new text."""
    silence = c.tcp.scheduler.now - c.heard_at
    segment.seq = extend(segment.seq, c.rcv_nxt)
    segment.ack = extend(segment.ack, c.snd_una)
    if c.state is State.SYN_RECEIVED:
        if not opening.expected(c, segment):
            return False
    elif not segment.flags & (ACK | RST | SYN):
        return False  # fifth, and as on Linux before all others
    old, length = _old_timestamp(c, segment, silence), segment.length
    if old and not length and segment.seq < c.rcv_nxt:
        return False  # an ACK that others have overtaken: as on Linux no reason for another one
    if old or not _acceptable(c, segment, length):
        _refuse(c, segment)
        return False
    if segment.flags & RST:
        _reset_arrives(c, segment)
        return False
    # Third, check security: no compartments here.
    if segment.flags & SYN:
        c.tcp.challenge(c)  # fourth; RFC 5961 §4.2
        return False
    if not segment.flags & ACK or not _ack_arrives(c, segment):
        return False
    _remember_timestamp(c, segment)
    if length and segment.seq + length <= c.rcv_nxt:
        _comes_again(c, segment)
        return False
    if c.state in _CLOSED_BY_PEER and segment.seq < c.rcv_nxt < segment.end:
        # Data from both sides of the FIN: as on Linux, there is no making sense of such a peer.
        c.tcp.refuse(segment.packet, segment.flags, segment.seq, segment.ack, segment.length)
        _reset(c)
        return False
    return True


def _old_timestamp(c: Connection, segment: Segment, silence: float) -> bool:
    """RFC 7323 §5.3 R1: protection against wrapped sequence numbers. As on Linux, a tick makes nothing old."""
    stamp = segment.options.timestamp
    if not c.timestamps or stamp is None or segment.flags & RST or not older(stamp + 1 & MASK, c.ts_recent):
        return False
    return silence < _TIMESTAMP_LIFE and not _overtaken(c, segment, stamp)


def _overtaken(c: Connection, segment: Segment, stamp: int) -> bool:
    """Whether it is a duplicate ACK that later segments have overtaken: as on Linux it still says something."""
    if segment.length or segment.seq != c.rcv_nxt or segment.ack != c.snd_una or not segment.flags & ACK:
        return False
    window = segment.window << c.snd_shift
    news = c.snd_wl1 < segment.seq or window > c.snd_wnd or not window
    return not news and (c.ts_recent - stamp) & MASK <= c.rtt.rto * _FASTEST_TICKS


def _remember_timestamp(c: Connection, segment: Segment) -> None:
    """RFC 7323 §4.3 (2): echo the timestamp of the segment that the next ACK begins with."""
    stamp = segment.options.timestamp
    if c.timestamps and stamp is not None and segment.seq <= c.rcv_acked and not older(stamp, c.ts_recent):
        c.ts_recent = stamp


def _acceptable(c: Connection, segment: Segment, length: int) -> bool:
    """First, check the sequence number (RFC 9293 §3.10.7.4) of a segment that takes up ``length`` of them.

    A segment at the very edge of the window is let through for its ACK and RST (MUST-66); its text is cut away later.
    One that goes beyond the edge is dropped whole, as on Linux; unless nothing waits to be read: then it is taken
    whole, for the sake of peers that do not look at the window. One that ends where we have acknowledged to or later is
    heard, as on Linux, although it brings no text.
    """
    end = segment.seq + length
    if segment.flags & (RST | SYN) or c.state is State.SYN_RECEIVED:
        fresh = end >= c.rcv_nxt + (length > 0)
    else:
        fresh = end >= c.rcv_acked
    if not length:
        return fresh and segment.seq <= c.rcv_adv
    if segment.seq + len(segment.payload) > c.rcv_adv > c.rcv_nxt and c.readable:
        return False
    return fresh and (segment.seq < c.rcv_adv or segment.seq == c.rcv_nxt)


def _refuse(c: Connection, segment: Segment) -> None:
    """Not acceptable: say where we are, and drop it."""
    c.tcp.counters["tcp.unacceptable"] += 1
    if segment.flags & RST:
        if segment.seq == c.rcv_nxt - 1 and c.state in _CLOSED_BY_PEER:
            _reset(c)  # as on Linux: some hosts reset with their FIN's own number
        return
    if segment.flags & SYN:
        c.tcp.challenge(c)  # RFC 5961 §4.2
        return
    if c.state is State.SYN_RECEIVED and c.listener is not None:
        opening.tell(c, segment)
        return
    if not segment.length and c.tcp.is_too_soon(c):  # RFC 5961 §7
        return
    if segment.length and segment.seq < c.rcv_nxt:
        _comes_again(c, segment)
    c.must_acknowledge = True
    c.mark()


def _comes_again(c: Connection, segment: Segment) -> None:
    """Text that is there already, or a part of it: say so, and where we are."""
    acks.strange(c)
    sack.again(c, segment.seq, min(segment.end, c.rcv_nxt))
    c.mark()


def _reset_arrives(c: Connection, segment: Segment) -> None:
    """Second, check the RST bit (RFC 9293 §3.10.7.4, RFC 5961 §3.2)."""
    if segment.seq != c.rcv_nxt and segment.seq != _end_of_early_data(c):
        if c.state is State.SYN_RECEIVED and c.listener is not None:
            opening.tell(c, segment)
        else:
            c.tcp.challenge(c)
    else:
        _reset(c)


def _end_of_early_data(c: Connection) -> int | None:
    """Where the peer's stream is known to have come to by SACK. Its next RST has this number, which as on Linux counts
    as exact: it is as hard to guess."""
    if c.reassembly is None or not c.sack:
        return None
    return max((end for _, end in c.reassembly.latest), default=None)


def _reset(c: Connection) -> None:
    if c.early and c.listener is not None:
        c.listener.reset_early(c)
    c.end(errno.EPIPE if c.state is State.CLOSE_WAIT else errno.ECONNRESET)


_CLOSED_BY_PEER: Final = frozenset({State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK})


def _ack_arrives(c: Connection, segment: Segment) -> bool:
    """Fifth, check the ACK field; False if the segment goes no further."""
    ack = segment.ack
    if c.state is State.SYN_RECEIVED:
        if not opening.completed(c, segment):
            return False
    elif not max(c.snd_una - c.max_snd_wnd, c.iss + c.counts.passive) <= ack <= c.snd_max:
        c.tcp.challenge(c)  # RFC 5961 §5.2; as on Linux a client's SYN counts as what might not be acknowledged
        return False
    c.heard_at = c.tcp.scheduler.now
    window, una = segment.window << c.snd_shift, c.snd_una
    # As on Linux, of two segments with the same numbers the one with the larger window is the later one.
    news = c.snd_wl1 < segment.seq or (c.snd_wl1 == segment.seq and (window > c.snd_wnd or not window))
    if c.ecn and segment.flags & (ECE | CWR):
        ecn.flags_arrive(c, segment)
    if c.sack and segment.options.sack:
        recovery.selectively_acknowledged(c, ack, segment.options.timestamp_echo, segment.options.sack)
    elif ack > c.snd_una:
        recovery.acknowledged(c, ack, segment.options.timestamp_echo)
    elif ack == c.snd_una and not segment.length and not news:
        recovery.duplicate(c)  # RFC 5681 §2; a window that is no news is no sign of anything else, as on Linux
    if ack > una or (ack == una and news):
        if ack == una and window != c.snd_wnd:
            validation.window_changes(c)
        c.snd_wnd = window
        if window > c.max_snd_wnd:
            c.widen(window)
        c.snd_wl1, c.snd_wl2 = segment.seq, ack
    if c.persist_at < inf:
        timers.probe_answered(c)
    if c.fin_queued and c.snd_una > c.buffer.end:
        return _fin_acknowledged(c, segment)
    return True


def _fin_acknowledged(c: Connection, segment: Segment) -> bool:
    if c.state is State.FIN_WAIT_1:
        c.follow(Event.ACK_OF_FIN)
        c.tell()
        if c.orphan and c.options.fin_timeout == 0:  # the user wants no FIN-WAIT-2: as on Linux, the peer is told
            c.tcp.refuse(segment.packet, segment.flags, segment.seq, segment.ack, segment.length)
            c.end(0)
            return False
        if c.orphan:
            timers.limit_fin_wait(c)
    elif c.state is State.CLOSING:
        c.follow(Event.ACK_OF_FIN)
        c.rest()
        return False
    elif c.state is State.LAST_ACK:
        c.end(0)
        return False
    return True


def _text_arrives(c: Connection, segment: Segment) -> None:
    """Seventh, process the segment text; eighth, check the FIN bit."""
    seq, payload = segment.seq, segment.payload
    end = seq + len(payload)
    if end > c.rcv_nxt and c.receive_ended and c.state is not State.ESTABLISHED:
        # RFC 9293 §3.6.1 and RFC 1122 §4.2.2.13: nobody will read this. (As on Linux, data are still taken while our
        # own stream is open.)
        c.tcp.refuse(segment.packet, segment.flags, segment.seq, segment.ack, segment.length)
        c.end(errno.ECONNRESET)
        return
    if end > c.rcv_adv and (c.readable or (c.rcv_adv == c.rcv_nxt and c.reassembly is None)):
        # (If all the memory is taken by what is early, nothing but this opens the window again.)
        payload = payload[: max(c.rcv_adv - seq, 0)]
        end = seq + len(payload)
        acks.strange(c)
    elif segment.flags & FIN and seq <= c.rcv_nxt:
        c.fin_seq = end
    if c.ecn and end > c.rcv_nxt and payload:
        ecn.data_arrives(c, segment.packet)
    if seq > c.rcv_nxt:
        _out_of_order(c, segment, payload)
        if segment.flags & FIN and end == seq + len(segment.payload):
            c.fin_seq = end
        return
    if end > c.rcv_nxt:
        if seq < c.rcv_nxt:
            sack.again(c, seq, c.rcv_nxt)
            c.rcv_tail = 0  # as on Linux it gets memory of its own
        if not _keep(c) and c.readable:
            return  # else what is early takes all the memory, and would wait for this forever
        deliver(c, payload[c.rcv_nxt - seq :])
        full, echo = segment.packet.segment_size or len(payload), segment.options.timestamp_echo
        acks.arrived(c, len(payload), full, segment.header_size, segment.flags, echo)
        if c.reassembly is not None:
            _fill(c, c.reassembly)
        c.rcv_adv = max(c.rcv_adv, c.rcv_nxt)
    elif payload:
        sack.again(c, seq, end)
        acks.strange(c)
    if c.rcv_nxt == c.fin_seq:
        _fin_arrives(c)


def _out_of_order(c: Connection, segment: Segment, payload: memoryview) -> None:
    if (payload or segment.flags & FIN) and _keep(c):
        if c.reassembly is None:
            c.reassembly = Reassembly()
        c.reassembly.insert(segment.seq, payload)
        c.counts.early_segments += segment.count
        size = len(payload)
        if payload:
            options = segment.header_size - HEADER_SIZE
            acks.measure(c, size, segment.packet.segment_size or size, segment.header_size, segment.flags)
            if c.sack:
                window.grow(c, size, options)
            window.charge_early(c.reassembly, segment.seq, size, options)
        sizing = right_sizing.measure(c, size, segment.options.timestamp_echo if payload else 0)
        right_sizing.want(c, sizing.space, sizing.space)
        if c.sack:
            sack.early(c, c.reassembly, segment.seq, segment.seq + size)
        else:
            # RFC 5681 §4.2: a duplicate ACK for each segment, at once, so that the peer can tell how many arrived. The
            # last one may ride on data.
            for _ in range(min(segment.count, 3) - (not c.must_acknowledge)):
                output.acknowledge(c)
            c.must_acknowledge = True


def _keep(c: Connection) -> bool:
    """Whether there is memory for more. If not, the window is closed: what the peer may send has turned out to
    need more than it should."""
    used = window.used(c)
    if used <= c.rcv_buffer or window.make_room(c):
        return True
    if c.readable:  # reading will open it again
        c.rcv_adv = c.rcv_nxt
    c.must_acknowledge = True
    return False


def _fill(c: Connection, reassembly: Reassembly) -> None:
    before, charge = reassembly.size, reassembly.charge
    twice, passed = reassembly.before(c.rcv_nxt), 0 <= c.fin_seq < c.rcv_nxt
    if twice is not None and c.dsack is None:
        sack.again(c, twice[0], twice[1] + (passed and twice[1] == c.fin_seq))
    if passed:
        c.fin_seq = -1  # as on Linux, what was sent later counts
    pieces = reassembly.take(c.rcv_nxt, c.fin_seq)
    reassembly.charge = charge * reassembly.size // before if before else 0
    moved, size = charge - reassembly.charge, sum(map(len, pieces))
    for piece in pieces:
        window.charge_again(c, len(piece), moved * len(piece) // size, apart=twice is not None)
        deliver(c, piece)
        if twice is not None:
            c.rcv_tail, twice = (0 if len(reassembly) else reassembly.tail), None
    if not len(reassembly) or c.rcv_nxt == c.fin_seq:
        if c.fin_seq < 0:
            c.reassembly = None
        acks.repaired(c)


def _fin_arrives(c: Connection) -> None:
    """Eighth, check the FIN bit."""
    c.rcv_nxt += 1
    c.fin_seq = -1
    c.at_end = True
    c.reassembly = c.dsack = None
    c.telling = False  # as on Linux, what came twice either
    if c.state is State.ESTABLISHED:
        c.pingpong = acks.PINGPONG  # our FIN may follow at once, and carry the acknowledgment
    else:
        c.must_acknowledge = True
    c.follow(Event.FIN)
    c.tell()
    if c.state is State.TIME_WAIT:
        output.acknowledge(c)
        c.rest()
