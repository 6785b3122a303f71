"""The handshake: what a SYN says, and how an open is completed (RFC 9293 §3.5, §3.10.7.2 to .4)."""

from __future__ import annotations

import errno
from copy import copy
from math import inf
from typing import TYPE_CHECKING, Final

from . import acks, early, ecn, output, recovery, sack, segmentation, sizes, timers, window
from .header import ACK, ECE, RST, SYN
from .options import build_syn, build_timestamps
from .sequence import MASK, extend, older
from .state import Event, State
from .syn_cookies import had_ecn, put_state, take_state

if TYPE_CHECKING:
    from .connection import Connection
    from .options import Options
    from .segment import Segment

#: How soon a SYN is sent again whose answer was to another one, in seconds.
_SOON: Final = 0.002


def prepare(c: Connection) -> None:
    """Our SYN comes first: what it offers follows from the path alone."""
    c.use_path(c.path)
    window.configure(c)


def syn_arrives(c: Connection, segment: Segment) -> None:
    """The peer's SYN: where its stream begins, and which options both sides have."""
    options = segment.options
    window.start(c, segment.seq)
    if options.mss:
        c.peer_mss = options.mss
    if options.window_shift is None or not c.rcv_scaling:  # RFC 7323 §2.2: both or neither
        c.snd_shift = 0
        window.unscaled(c)
    else:
        c.snd_shift = options.window_shift
    if options.timestamp is None:  # RFC 7323 §3.2
        c.timestamps = False
    elif c.timestamps:
        c.ts_recent = options.timestamp
    c.sack = c.sack and options.sack_permitted
    ecn.syn_arrives(c, segment)
    c.snd_wnd = c.max_snd_wnd = segment.window  # never scaled in a SYN
    c.use_path(c.path)
    if c.state is State.SYN_RECEIVED:
        window.configure(c)
    c.snd_wl1, c.snd_wl2 = segment.seq, c.snd_una


def answered(c: Connection, segment: Segment) -> bool:
    """A segment arrives in SYN-SENT (RFC 9293 §3.10.7.3); whether its text is to be looked at."""
    flags = segment.flags
    if flags & ACK:  # first
        segment.ack = extend(segment.ack, c.snd_una)
        if not c.iss < segment.ack <= c.snd_max or _from_before(c, segment.options):
            _disbelieve(c, segment)
            return False
    if flags & RST:  # second; a RST without ACK may be anybody's
        if flags & ACK:
            c.end(errno.ECONNREFUSED)
        return False
    if not flags & SYN:  # fifth
        return False
    syn_arrives(c, segment)  # fourth
    text = False
    if flags & ACK:
        spurious = _first_arrived(c, segment)
        data_follow = bool(c.pingpong >= acks.PINGPONG or c.options.defer_accept or c.room_wanted)
        recovery.acknowledged(c, segment.ack, segment.options.timestamp_echo)
        c.follow(Event.SYN_ACK)
        _acknowledge_handshake(c, data_follow=data_follow)
        c.established(spurious=spurious)
        text = early.answered(c, segment)
    else:  # simultaneous open (RFC 9293 §3.5, figure 8)
        c.follow(Event.SYN)
        end, c.cookie = c.snd_max, None
        c.snd_nxt = c.snd_max = c.iss  # our SYN and ACK is no retransmission of our SYN: it is timed, too
        c.rtt_time = 0.0
        output.send_syn(c)
        c.snd_nxt = c.snd_max = end  # data of our SYN may still be acknowledged
    segment.seq += 1  # what follows the SYN
    segment.flags &= ~SYN
    return text


def _first_arrived(c: Connection, segment: Segment) -> bool:
    """Whether a SYN and ACK answers our first SYN, although others followed: it echoes that one's timestamp, or
    acknowledges its data, which went out just once (RFC 5682 §3.1)."""
    if segment.ack == c.snd_max > c.iss + 1:
        return c.tcp.settings.frto > 0
    echo = segment.options.timestamp_echo
    return c.timestamps and c.retransmissions > 1 and echo == output.timestamp_at(c, c.unacknowledged_since)


def _from_before(c: Connection, options: Options) -> bool:
    """Whether a segment echoes a timestamp that no SYN of ours had."""
    if not c.timestamps or options.timestamp is None or not options.timestamp_echo:
        return False
    return older(options.timestamp_echo, output.timestamp_at(c, c.resent_since)) or older(
        output.timestamp(c), options.timestamp_echo
    )


def _disbelieve(c: Connection, segment: Segment) -> None:
    """An ACK of what we did not send: the peer has an old connection in mind, which our RST ends. As on Linux, the SYN
    is then sent again."""
    if not c.retries and not c.iss < segment.ack <= c.snd_max:
        c.retransmit_at = c.tcp.scheduler.now + _SOON
        timers.arm(c, c.retransmit_at)
    if not segment.flags & RST:
        c.tcp.refuse(segment.packet, segment.flags, segment.seq, segment.ack, segment.length)


def _acknowledge_handshake(c: Connection, *, data_follow: bool) -> None:
    """The last ACK of the handshake; where data are to come soon, it waits for them (as on Linux)."""
    if data_follow:
        acks.enter_quick(c, c.tcp.settings.quick_acks)
        c.acknowledge_at = c.tcp.scheduler.now + acks.LONGEST
        timers.arm(c, c.acknowledge_at)
    else:
        c.must_acknowledge = True


def answer_with_cookie(c: Connection, segment: Segment) -> None:
    """Answer a SYN so that ``c``, which knows it, can be forgotten (RFC 4987 §3.6)."""
    tcp, now = c.tcp, c.tcp.scheduler.now
    marked = bool(c.ecn) and c.timestamps
    stamps = (put_state(output.timestamp(c), segment.options, ecn=marked), c.ts_recent) if c.timestamps else None
    # Without timestamps there is no room to remember what the peer can do.
    shift = c.rcv_shift if c.rcv_scaling and c.timestamps else None
    options = build_syn(c.announced_mss, shift, stamps, sack=c.sack and c.timestamps)
    iss = tcp.syn_cookies.make(c.key, segment.seq, c.peer_mss, now)
    tcp.counters["tcp.syn_cookies_sent"] += 1
    flags = SYN | ACK | ECE if marked else SYN | ACK
    offered = min(c.rcv_adv - c.rcv_acked, 65535)
    tos = c.options.traffic_class
    tcp.send_bare(segment.packet, iss, c.rcv_nxt, flags, window=offered, options=options, traffic_class=tos)


def recall_syn(c: Connection, segment: Segment) -> bool:
    """An ACK brings a cookie back: bring ``c`` to where it would be, had it been remembered. False if it is none."""
    tcp = c.tcp
    irs, iss = (segment.seq - 1) & MASK, (segment.ack - 1) & MASK
    mss = tcp.syn_cookies.check(c.key, irs, iss, tcp.scheduler.now)
    if not mss:
        return False
    c.start_sending(iss)
    syn = copy(segment)
    syn.seq = irs
    syn.options = take_state(mss, segment.options.timestamp, segment.options.timestamp_echo)
    c.options.defer_accept = 0  # it has been waited for long enough
    syn_arrives(c, syn)
    window.configure(c, mss)
    if tcp.settings.ecn and c.timestamps and had_ecn(segment.options.timestamp_echo):
        c.ecn = ecn.AGREED
    c.snd_nxt = c.snd_max = c.iss + 1
    c.counts.controls = 1
    return True


def expected(c: Connection, segment: Segment) -> bool:
    """A segment arrives in SYN-RECEIVED: SYNs are dealt with here. Whether it is to be looked at further."""
    flags = segment.flags & (SYN | ACK | RST)
    passive = c.listener is not None
    if passive and flags & (ACK | RST) == ACK and segment.ack != c.snd_max and not c.early:
        # Fifth, and as on Linux before all others: this is about another connection.
        c.tcp.refuse(segment.packet, segment.flags, segment.seq, segment.ack, segment.length)
        return False
    if segment.seq == c.irs and flags == SYN | ACK:
        if passive:
            tell(c, segment)  # RFC 5961 §4.2
            return False
        # In a simultaneous open the peer's SYN comes twice, then with the ACK of ours (RFC 9293 §3.5, figure 8).
        if segment.ack == c.snd_max:
            segment.flags &= ~SYN
            segment.seq += 1
            c.must_acknowledge = True
            sack.again(c, c.irs, c.rcv_nxt)
    elif segment.seq == c.irs and flags == SYN and passive:
        _answer_again(c)
        return False
    elif flags & (SYN | RST) == SYN and passive and c.rcv_nxt <= segment.seq <= c.rcv_adv:
        # Fourth, check the SYN bit (RFC 9293 §3.10.7.4): back to LISTEN.
        c.tcp.refuse(segment.packet, segment.flags, segment.seq, segment.ack, segment.length)
        if not c.early:
            c.end(errno.ECONNRESET)
        return False
    if passive and not c.early and _echoes_nonsense(c, segment):
        tell(c, segment)
        return False
    return True


def tell(c: Connection, segment: Segment) -> None:
    """Answer a segment that does not end the handshake by an ACK, with the window that our SYN and ACK offered; not too
    often those that may be such answers themselves (RFC 5961 §7)."""
    if (not segment.length or segment.flags & SYN) and c.tcp.is_too_soon(c):
        return
    offered = min((window.first(c)[0] if c.early else c.rcv_adv - c.rcv_acked) >> c.rcv_shift, 65535)
    stamps = build_timestamps(output.timestamp(c), c.ts_recent) if c.timestamps else b""
    tos = c.options.traffic_class
    c.tcp.send_bare(segment.packet, c.snd_max, c.rcv_nxt, ACK, window=offered, options=stamps, traffic_class=tos)


def _answer_again(c: Connection) -> None:
    """The peer's SYN again: our SYN and ACK was lost."""
    if not c.tcp.is_too_soon(c):
        output.send_syn(c)
        if not c.early:
            c.retransmit_at = c.tcp.scheduler.now + c.rtt.rto
            timers.arm(c, c.retransmit_at)


def _echoes_nonsense(c: Connection, segment: Segment) -> bool:
    """Whether a segment echoes a timestamp that no SYN and ACK of ours had."""
    options = segment.options
    if not c.timestamps or segment.flags & RST or not options.timestamp_echo:
        return False
    echo = options.timestamp_echo
    first, last = output.timestamp_at(c, c.rtt_time), output.timestamp_at(c, c.sent_at)
    return bool(c.rtt_time) and (older(echo, first) or older(last, echo))


def _count_from_here(c: Connection, segment: Segment) -> None:
    """As on Linux, where the connection begins now, with the SYN and this segment."""
    counts = c.counts
    counts.segments_out = 0
    counts.segments_in = 1 + segment.count
    counts.data_segments_in = segment.count if segment.payload else 0
    counts.rehashes = 0
    if counts.time_outs:
        counts.time_out_since = c.rtt_time


def completed(c: Connection, segment: Segment) -> bool:
    """An ACK arrives in SYN-RECEIVED (RFC 9293 §3.10.7.4, fifth); whether it opened the connection."""
    if not c.snd_una < segment.ack <= c.snd_max:
        c.tcp.refuse(segment.packet, segment.flags, segment.seq, segment.ack, segment.length)
        return False
    listener = c.listener
    if listener is not None and listener.full and not c.early:
        c.tcp.counters["tcp.accept_queue_full"] += 1
        if c.tcp.settings.abort_on_overflow:
            c.tcp.refuse(segment.packet, segment.flags, segment.seq, segment.ack, segment.length)
            c.end(0)
        return False  # as Linux: the peer is kept waiting, and our SYN and ACK will be sent again
    if listener is not None and not c.early and not segment.length and c.retries < c.options.defer_accept:
        c.deferred = True
        return False
    time_outs = c.early and c.retries
    if listener is not None and not c.early:
        _count_from_here(c, segment)
    c.follow(Event.ACK_OF_SYN)
    c.snd_wnd = segment.window << c.snd_shift
    if not c.early:
        c.max_snd_wnd = c.snd_wnd
        sizes.choose(c)
    c.snd_wl1, c.snd_wl2 = segment.seq, segment.ack
    c.challenged_at = -inf
    recovery.acknowledged(c, segment.ack, segment.options.timestamp_echo)
    echo = segment.options.timestamp_echo
    c.established(spurious=c.timestamps and bool(echo) and echo == output.timestamp_at(c, c.rtt_time))
    early.completed(c, time_outs=time_outs)
    if c.fin_queued:
        segmentation.send_data(c)  # as on Linux, before what the segment brings is looked at
    if listener is not None:
        c.listener = None
        listener.completed(c)
    return True
