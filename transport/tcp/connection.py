"""One connection: its transmission control block (RFC 9293 §3.3.1), and the calls of its user (§3.10)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from . import (
    acks,
    arrival,
    controllers,
    early,
    expiry,
    mtu_probe,
    output,
    segmentation,
    send_memory,
    sizes,
    timers,
    window,
)
from .congestion import CongestionControl, Reno
from .counts import Counts
from .header import ACK, RST
from .rtt import RoundTrip
from .send_buffer import SendBuffer
from .sequence import MASK
from .state import OPENING, SENDING, Event, State, follow

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from random import Random

    from ...link.packet import Buffer
    from ...link.scheduler import Timer
    from ...net.address import Address
    from ...net.path import Path
    from .delivery import DeliveryRate
    from .listener import Listener
    from .mtu_probe import Search
    from .pacing import Pacer
    from .pieces import Pieces
    from .protocol import Tcp
    from .rack import Rack
    from .ranges import Range
    from .reassembly import Reassembly
    from .right_sizing import RightSizing
    from .scoreboard import Scoreboard
    from .settings import TcpOptions
    from .undo import Undo

#: What a peer takes that does not say (RFC 9293 §3.7.1, MUST-15 and MUST-16).
_DEFAULT_MSS = {4: 536, 16: 1220}
#: The value of tcp_timestamps with which all connections tell the host's clock.
_PLAIN_TIMESTAMPS = 2


class Connection:
    """A TCP connection, as its user sees it and as the protocol's other files work on it.

    The user's part: ``local`` and ``remote`` (packed address, port), ``state``, ``error`` (the errno of what ended the
    connection, 0 while it is fine), ``observer`` (called when something may have changed), ``received``
    (in-order data that wait to be consumed, ``readable`` bytes of them; another object once there were none),
    ``at_end`` (the peer's FIN was reached), ``options``, and the methods.

    Names of the TCB are the RFC's. Sequence numbers do not wrap (see sequence.py), sizes are in bytes, times in seconds
    on the scheduler's clock; a deadline that is off is infinite.
    """

    __slots__ = (
        "acknowledge_at",
        "advertised_mss",
        "announced_mss",
        "at_end",
        "ato",
        "board",
        "buffer",
        "challenged_at",
        "congestion",
        "cookie",
        "counts",
        "cwnd_limited",
        "data_at",
        "deferred",
        "delayed",
        "dirty",
        "dsack",
        "early",
        "ecn",
        "error",
        "fast_open",
        "fin_queued",
        "fin_seq",
        "full_mss",
        "give_up_at",
        "grows",
        "heard_at",
        "irs",
        "iss",
        "keepalive_at",
        "keepalive_probes",
        "kept",
        "key",
        "last_size",
        "listener",
        "local",
        "max_snd_wnd",
        "mss",
        "mss_limit",
        "must_acknowledge",
        "notify",
        "observer",
        "option_room",
        "options",
        "orphan",
        "overridden",
        "pacer",
        "path",
        "peer_mss",
        "persist_at",
        "persist_probes",
        "persist_since",
        "pieces",
        "pingpong",
        "predicted",
        "pseudo_sum",
        "pushed",
        "quick",
        "rack",
        "rate",
        "rcv_acked",
        "rcv_adv",
        "rcv_buffer",
        "rcv_charge",
        "rcv_clamp",
        "rcv_mss",
        "rcv_nxt",
        "rcv_ratio",
        "rcv_scaling",
        "rcv_shift",
        "rcv_ssthresh",
        "rcv_tail",
        "rcv_up",
        "readable",
        "reassembly",
        "receive_ended",
        "received",
        "recover",
        "recovering",
        "remote",
        "reorder_at",
        "resent_since",
        "retransmissions",
        "retransmit_at",
        "retries",
        "right_sizing",
        "room_wanted",
        "rtt",
        "rtt_time",
        "sack",
        "search",
        "sent",
        "sent_at",
        "size_goal",
        "snd_limit",
        "snd_max",
        "snd_nxt",
        "snd_shift",
        "snd_una",
        "snd_up",
        "snd_wl1",
        "snd_wl2",
        "snd_wnd",
        "soft_error",
        "state",
        "tail_probed",
        "tcp",
        "telling",
        "timer",
        "timer_when",
        "timestamp_offset",
        "timestamps",
        "ts_recent",
        "tso_size",
        "unacknowledged_since",
        "undo",
        "unsent_full",
    )

    #: How large segments and packets are, in bytes, and the sum of the addresses: `sizes` keeps them.
    announced_mss: int
    advertised_mss: int
    full_mss: int
    mss: int
    size_goal: int
    tso_size: int
    pseudo_sum: int

    def __init__(
        self, tcp: Tcp, path: Path, local: tuple[Address, int], remote: tuple[Address, int], options: TcpOptions
    ) -> None:
        settings = tcp.settings
        self.tcp = tcp
        self.path = path
        self.local = local
        self.remote = remote
        #: As a packet from the peer spells it: its address, ours, its port, ours.
        self.key = remote[0] + local[0] + remote[1].to_bytes(2) + local[1].to_bytes(2)
        self.options = options
        self.listener: Listener | None = None
        self.state = State.CLOSED
        self.error = 0
        #: The errno of the last ICMP error that a connection survives (RFC 1122 §4.2.3.9).
        self.soft_error = 0
        self.observer: Callable[[], None] | None = None
        self.notify = self.dirty = False
        self.counts = Counts()
        #: The user has closed the connection: nobody will read.
        self.orphan = False
        #: The user reads no more: after our FIN, data that still come are answered by RST.
        self.receive_ended = False
        #: Explicit Congestion Notification: bits, as ecn.py has them; 0 without.
        self.ecn = 0
        #: Acknowledgments of less than this may take the short way in, and the data that come with them.
        self.predicted = 0

        iss, offset = tcp.initial_numbers.choose(self.key, tcp.scheduler.now)
        self.timestamp_offset = 0 if settings.timestamps == _PLAIN_TIMESTAMPS else offset
        self.start_sending(iss)
        self.fin_queued = False
        self.congestion: CongestionControl = Reno(0)
        self.cwnd_limited = False
        #: ``mss_limit``: what a black hole on the path lets through, in bytes; 0: there is none (expiry.py).
        self.mss_limit = 0
        self.recovering = False
        self._start_recovery()
        self.peer_mss = _DEFAULT_MSS[len(remote[0])]
        self.timestamps = bool(settings.timestamps)
        self.snd_limit = options.send_buffer or settings.send_buffer
        #: The user was told to wait until more was acknowledged, or sent (``options.notsent_low_water``).
        self.room_wanted = self.unsent_full = False
        self.grows = True  # the send buffer, if it is in the user's way, as far as is known
        self.rtt = RoundTrip(settings.initial_rto, options.timing or settings)
        #: When the SYN was sent first.
        self.rtt_time = 0.0
        self.retries = self.retransmissions = 0
        self.unacknowledged_since = inf
        self.sent_at = 0.0
        self._start_opening()
        self._start_receiving()

        self.timer: Timer | None = None
        self.timer_when = inf
        self.retransmit_at = self.persist_at = self.acknowledge_at = self.keepalive_at = self.give_up_at = inf
        self.persist_probes = self.keepalive_probes = 0
        #: When the peer's closed window was asked about first.
        self.persist_since = -inf
        self.heard_at = tcp.scheduler.now

    def _start_opening(self) -> None:
        #: The user may send although the handshake is not over (RFC 7413): a client whose SYN waits for data to take
        #: along, a server after a SYN with a good cookie.
        self.early = False
        #: The Fast Open option of our SYN: a cookie, empty to ask for one, None: no option.
        self.cookie: bytes | None = None
        #: What became of Fast Open: bits, as early.py has them.
        self.fast_open = 0
        #: The handshake is complete but for data (``options.defer_accept``).
        self.deferred = False

    def _start_receiving(self) -> None:
        settings = self.tcp.settings
        self.received: deque[memoryview] = window.NOTHING
        self.readable = 0
        self.at_end = False
        #: What ``rcv_charge`` counts, if that is several pieces: where each begins in the stream, and its size.
        self.kept = window.NOTHING_KEPT
        self.reassembly: Reassembly | None = None
        self.fin_seq = -1
        self.irs = self.rcv_nxt = self.rcv_acked = self.rcv_adv = self.rcv_charge = self.rcv_up = 0
        #: How ACKs wait (acks.py): the peer's full segments as we guess, and the last shorter one; how long an ACK may
        #: wait, 0 before the first data; ACKs that do not wait; answers that came soon; 1 or 2: data were pushed.
        self.rcv_mss = acks.LEAST_MSS
        self.last_size = self.quick = self.pushed = 0
        self.ato = 0.0
        #: RCV.NXT when an ACK began to wait.
        self.delayed = -1
        self.rcv_buffer = self.rcv_ratio = self.rcv_clamp = self.rcv_ssthresh = self.rcv_shift = self.rcv_tail = 0
        self.right_sizing: RightSizing | None = None
        self.pingpong = acks.silent(self) if self.options.quick_ack else acks.PINGPONG
        self.must_acknowledge = False
        self.ts_recent = 0
        self.rcv_scaling = settings.window_scaling
        self.challenged_at = self.data_at = -inf

    def _start_recovery(self) -> None:
        #: Both ends speak SACK.
        self.sack = self.tcp.settings.sack
        #: What is known of lost and selectively acknowledged data: there as long as there is trouble.
        self.board: Scoreboard | None = None
        self.rack: Rack | None = None
        self.undo: Undo | None = None
        #: For larger segments (mtu_probe.py).
        self.search: Search | None = None
        #: When the first retransmission of this trouble left (Linux's retrans_stamp); 0: there is none.
        self.resent_since = 0.0
        #: Of each batch with new data that was not acknowledged: the number after them, and its time.
        self.sent: list[tuple[int, float]] = []
        #: The numbers after what was sent when a tail loss probe went, and when the override time-out sent something.
        self.tail_probed = self.overridden = 0
        #: Samples of the delivery rate where somebody wants them; the pacer of a connection that is paced.
        self.rate: DeliveryRate | None = None
        self.pacer: Pacer | None = None
        self.reorder_at = inf
        #: ACKs have SACK blocks: of what arrived early, and before all of what came twice (RFC 2883).
        self.telling = False
        #: What of each segment is left to SACK blocks, in bytes.
        self.option_room = 0
        self.dsack: Range | None = None

    def start_sending(self, iss: int) -> None:
        """Our stream begins at ``iss``."""
        #: How what was written is cut, once something was.
        self.pieces: Pieces | None = None
        self.iss = self.snd_una = self.snd_nxt = self.snd_max = self.recover = iss
        self.buffer = SendBuffer(iss + 1)
        self.snd_wnd = self.max_snd_wnd = self.snd_wl1 = self.snd_wl2 = 0
        self.snd_up = -1
        self.snd_shift = 0

    def restart_above(self, number: int) -> None:
        """Choose an initial sequence number above ``number``, where an earlier connection of the same addresses and
        ports ended (RFC 9293 §3.6.1)."""
        if (self.iss - number) & MASK >= 1 << 31 or self.iss == number:
            self.start_sending((number + 65537) & MASK)

    # -- the user's calls ----------------------------------------------------------------------------------------

    receive = arrival.receive
    consume = window.consume
    make_room = window.make_room_for
    clamp_window = window.clamp
    acknowledge_quickly = acks.choose
    wake = expiry.wake

    @property
    def room(self) -> int:
        """How many bytes `write` would take now, in bytes; 0 unless data can be sent in this state."""
        if (self.state not in SENDING and not self.early) or self.fin_queued:
            return 0
        if self.state is State.SYN_SENT:
            return max(early.room(self) - self.unacknowledged, 0)
        free = send_memory.room(self)
        low_water = self.options.notsent_low_water or self.tcp.settings.notsent_low_water
        return min(free, segmentation.unsent_room(self, low_water)) if low_water else free

    @property
    def writable(self) -> bool:
        """Whether a writer should be woken: there is room enough to be worth it, and no more than half of what may be
        unsent is (both as on Linux)."""
        if self.state not in SENDING:
            return self.room > 0  # Fast Open: room for data that go with the SYN
        low_water = self.options.notsent_low_water or self.tcp.settings.notsent_low_water
        if self.fin_queued or (low_water and self.unsent * 2 >= low_water):
            return False
        return send_memory.writable(self)

    def write(self, data: Buffer, *, more: bool = False, record: bool = False) -> None:
        """SEND (RFC 9293 §3.10.2): take all of ``data``, uncopied: the caller must not change them any more.

        ``more``: the user will write more at once, so a small segment may wait (MSG_MORE); ``record``: a record ends
        here, and no segment has bytes from both sides of its end (MSG_EOR).

        Data for a connection that is not open for sending are dropped; its user has seen ``state`` or ``error``.
        """
        if self.fin_queued or (self.state not in SENDING and self.state not in OPENING):
            return
        if self.rate is not None:
            self.rate.check(self)
        buffer = self.buffer
        if buffer.start == buffer.end:
            self.counts.begin_busy(self.tcp.scheduler.now)
        buffer.append(data)
        if low_water := self.options.notsent_low_water or self.tcp.settings.notsent_low_water:
            self.unsent_full = self.unsent * 2 >= low_water
        if len(data):
            segmentation.written(self, more=more, record=record)
            if not self.room_wanted and send_memory.crowded(self):
                self.room_wanted = True
        self.mark()

    def push(self, *, small: bool = True) -> None:
        """Send what waits only for more to come; or, with ``small``, for being a small segment."""
        if self.pieces is not None:
            self.pieces.push_now, self.pieces.held_for = small, None
            self.mark()

    def write_urgent(self, data: Buffer) -> None:
        """SEND with the urgent flag (RFC 9293 §3.10.2): the data stay in line, and the peer is told where the urgent
        ones end. RFC 6093 §5 advises new applications against it."""
        before = self.buffer.end
        self.write(data)
        if self.buffer.end > before:
            self.snd_up = self.buffer.end

    def shutdown(self) -> None:
        """CLOSE (RFC 9293 §3.10.4): send a FIN after what was written; data still arrive. Harmless when repeated."""
        if self.fin_queued or (self.state not in SENDING and self.state not in OPENING):
            return
        self.fin_queued = True
        if self.state in SENDING:
            self.follow(Event.CLOSE)
        self.mark()

    def shutdown_receive(self) -> None:
        """The user reads no more. Data that come while our own stream is open are taken as before, as on Linux; after
        our FIN they are answered by RST (RFC 9293 §3.6.1)."""
        self.receive_ended = True

    def close(self) -> None:
        """Nobody reads or writes any more: FIN after what was written, and RST if data wait unread or still come
        (RFC 9293 §3.6.1, RFC 2525 §2.17)."""
        self.observer = None
        if self.readable:
            self.abort()
        elif self.state is State.SYN_SENT:
            self.end(0)
        elif self.state is State.FIN_WAIT_2 and self.options.fin_timeout == 0:  # as Linux for a negative TCP_LINGER2
            self.abort()
        elif self.state not in _SILENT:
            self.orphan = self.receive_ended = True
            self.shutdown()
            if self.state is State.FIN_WAIT_2:
                timers.limit_fin_wait(self)

    def abort(self) -> None:
        """ABORT (RFC 9293 §3.10.5): RST, and the connection is gone; what was written and not sent is lost."""
        self.observer = None
        lost = self.readable > 0
        self.received, self.kept = window.NOTHING, window.NOTHING_KEPT
        self.readable = self.rcv_charge = 0
        self.reset(lost=lost)

    def options_changed(self) -> None:
        """Act on a change in ``options`` (nodelay and cork off send what they held back; keep-alive starts)."""
        self.rtt.limits = self.options.timing or self.tcp.settings
        arrival.predict(self)
        window.options_changed(self)
        if self.options.send_buffer:
            self.snd_limit = self.options.send_buffer
        if self.state is not State.CLOSED and self.state not in OPENING:
            controllers.change(self)
            timers.start_keepalive(self)
            self.mark()

    # -- for the other files of TCP ------------------------------------------------------------------------------

    use_path = sizes.use_path
    widen = sizes.widen

    def follow(self, event: Event) -> None:
        """Change the state."""
        self.state = follow(self.state, event)
        arrival.predict(self)

    def mark(self) -> None:
        """Look at this connection at the end of the batch: observer, data, acknowledgment."""
        if not self.dirty:
            self.dirty = True
            self.tcp.mark(self)

    def flush(self) -> None:
        """The end of a batch. The observer comes first: what it reads and writes goes out with the acknowledgment."""
        if self.notify:
            self.notify = False
            if self.observer is not None:
                self.observer()
        self.dirty = False
        if self.state not in _SILENT:
            output.flush(self)
        if self.unsent_full and self.writable:
            self.unsent_full = False
            self.tell()

    def tell(self) -> None:
        """Have the observer called at the end of the batch."""
        self.notify = True
        self.mark()

    def established(self, *, spurious: bool = False) -> None:
        """The handshake is over: everything that depends on what the peer said is known. ``spurious``: the first SYN
        had not been lost."""
        settings = self.tcp.settings
        if not self.early:
            controllers.start(self)
            send_memory.follow(self)
            window.open_up(self)
            mtu_probe.begin(self)
            if self.retransmissions > 1 and self.counts.time_outs and not spurious:
                self.congestion.cwnd = self.mss  # RFC 6928 §2: several SYNs were lost (for RFC 5681 §3.1 one is enough)
        self.early = False
        if not self.rtt.srtt:
            self.rtt.fall_back(0 if self.counts.passive else self.rtt.backoff)  # those were the listener's, on Linux
        self.recover = self.iss
        self.resent_since = 0.0
        self.rtt.follow_tails(self.sack and settings.early_retrans >= 3)
        self.retries = 0
        self.heard_at = self.data_at = self.sent_at = self.tcp.scheduler.now
        timers.start_keepalive(self)
        if self.fin_queued:
            self.follow(Event.CLOSE)  # RFC 9293 §3.10.4: a CLOSE in SYN-RECEIVED waits for ESTABLISHED
        self.tell()

    def reroute(self) -> bool:
        """Ask for a new path, as routes or addresses have changed; False where there is none."""
        self.mss_limit = 0
        try:
            self.use_path(self.tcp.internet.path(self.remote[0], self.local[0]))
        except OSError as failure:
            self.soft_error = failure.errno or 0
            return False
        return True

    def reset(self, error: int = 0, *, lost: bool = False) -> None:
        """End the connection with a RST, if the peer may know of it (RFC 9293 §3.10.5), or has to know that data were
        ``lost`` (RFC 2525 §2.17)."""
        if self.state in _RESET_ON_ABORT or (lost and self.state not in _SILENT):
            output.transmit(self, output.empty_seq(self), 0, RST | ACK)
        self.end(error)

    def end(self, error: int) -> None:
        """The connection is no more: forget it, and tell its user why."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self.predicted = 0
        self.error = error
        self.retire()
        if self.listener is not None:
            self.listener.forget(self)
        self.tcp.forget(self)
        self.tell()

    def rest(self) -> None:
        """In TIME-WAIT a small object takes this one's place, which is left to its user."""
        self.tcp.time_wait.add(self)
        self.retire()
        self.tell()

    def retire(self) -> None:
        """Nothing will be sent any more: drop the timers and the data."""
        timers.stop(self)
        if self.pacer is not None:
            self.pacer.stop()
        self.buffer = SendBuffer(self.buffer.end)
        self.reassembly = self.pieces = None
        self.sent.clear()

    # -- for its congestion controller (see `congestion.Sender`) -----------------------------------------------------

    @property
    def now(self) -> float:
        return self.tcp.scheduler.now

    @property
    def random(self) -> Random:
        return self.tcp.internet.random

    # -- for tools that show connections -------------------------------------------------------------------------

    @property
    def acknowledges_quickly(self) -> bool:
        """Whether this is no conversation, in which ACKs wait for answers to ride on (TCP_QUICKACK)."""
        return self.pingpong < acks.PINGPONG

    @property
    def urgent(self) -> int:
        """How many of the bytes that come next, from the first unread one on, are before the end of urgent data
        (MUST-33); some of them may not have arrived yet."""
        return max(self.rcv_up - (self.rcv_nxt - self.at_end - self.readable), 0) if self.rcv_up else 0

    @property
    def unsent(self) -> int:
        """Bytes that were written and not sent yet."""
        return max(self.buffer.end - self.snd_nxt, 0)

    @property
    def unacknowledged(self) -> int:
        """Bytes that were written and not acknowledged yet: the send queue."""
        return self.buffer.end - self.buffer.start


_SILENT = frozenset({State.CLOSED, State.TIME_WAIT})
#: RFC 9293 §3.10.5: in the other states there is nobody to tell, or the peer has closed already.
_RESET_ON_ABORT = frozenset(
    {State.SYN_RECEIVED, State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT}
)
