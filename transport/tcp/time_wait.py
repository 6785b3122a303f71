"""TIME-WAIT: what is left of a connection while its last segments may still be on their way (RFC 9293 §3.6.1)."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

from ...link.packet import PARTIAL, Packet
from ...net.checksum import pseudo_header_sum
from . import options as wire_options
from .header import ACK, CHECKSUM_OFFSET, FIN, HEADER, HEADER_SIZE, RST, SYN, TCP
from .segment import Segment
from .sequence import MASK, extend, older
from .state import State

if TYPE_CHECKING:
    from ...link.scheduler import Timer
    from ...net.address import Address
    from .connection import Connection
    from .protocol import Tcp

#: Connections leave TIME-WAIT in groups, this many seconds apart at least.
_GRAIN: Final = 0.25


class TimeWait:
    """Holds a connection's addresses and ports, and answers its peer, until ``expires`` on the scheduler's clock."""

    __slots__ = (
        "answered_at",
        "expires",
        "key",
        "rcv_nxt",
        "since",
        "snd_nxt",
        "tcp",
        "timestamp_offset",
        "timestamps",
        "ts_recent",
        "window",
    )

    state = State.TIME_WAIT

    def __init__(self, c: Connection, expires: float) -> None:
        self.tcp: Tcp = c.tcp
        self.key = c.key
        self.snd_nxt = c.snd_nxt
        self.rcv_nxt = c.rcv_nxt
        self.timestamps = c.timestamps
        self.timestamp_offset = c.timestamp_offset
        self.ts_recent = c.ts_recent
        #: What the window field of our last ACK was.
        self.window = min((c.rcv_adv - c.rcv_nxt) >> c.rcv_shift, 65535)
        self.answered_at = -inf
        self.since = c.tcp.scheduler.now
        self.expires = expires

    @property
    def local(self) -> tuple[Address, int]:
        """This end's address and port: the key has them, and there are many of us."""
        size = len(self.key) // 2 - 2
        return self.key[size : 2 * size], int.from_bytes(self.key[-2:])

    @property
    def remote(self) -> tuple[Address, int]:
        """The peer's address and port."""
        size = len(self.key) // 2 - 2
        return self.key[:size], int.from_bytes(self.key[-4:-2])

    def receive(self, packet: Packet, start: int, seq: int, ack: int, flags: int, window: int) -> None:
        """SEGMENT ARRIVES in TIME-WAIT (RFC 9293 §3.10.7.4)."""
        if flags & RST:
            # Second, check the RST bit (RFC 9293 §3.10.7.4, RFC 5961 §3.2); RFC 1337 §3 would rather not.
            if seq == self.rcv_nxt & MASK and not self.tcp.settings.time_wait_ignores_rst:
                self.tcp.time_wait.release(self)
            return
        segment = Segment(packet, start, seq, ack, flags, window)
        if flags & (SYN | ACK) == SYN and self._newer(segment):
            if not self.tcp.reopen(self, segment):
                self._acknowledge(packet)
            return
        if flags & FIN and extend(segment.seq, self.rcv_nxt) + segment.length == self.rcv_nxt:
            self.expires = self.tcp.scheduler.now + self.tcp.settings.time_wait
        alone = not flags & (FIN | SYN) and not segment.payload
        if alone and seq == self.rcv_nxt & MASK and not self._older(segment):
            if self.timestamps and segment.options.timestamp is not None:
                self.ts_recent = segment.options.timestamp
            return
        if alone or flags & SYN:
            now = self.tcp.scheduler.now
            if now - self.answered_at < self.tcp.settings.challenge_interval:  # RFC 5961 §7
                return
            self.answered_at = now
        self._acknowledge(packet)

    def _older(self, segment: Segment) -> bool:
        """RFC 7323 §5.3 R1."""
        stamp = segment.options.timestamp
        return self.timestamps and stamp is not None and older(stamp, self.ts_recent)

    def _newer(self, segment: Segment) -> bool:
        """Whether a SYN cannot be an old one (RFC 9293 §3.6.1, RFC 6191 §2)."""
        stamp = segment.options.timestamp
        if self.timestamps and stamp is not None and stamp != self.ts_recent:
            return older(self.ts_recent, stamp)
        return extend(segment.seq, self.rcv_nxt) > self.rcv_nxt

    def _acknowledge(self, packet: Packet) -> None:
        """The last ACK again: the peer may not have got it."""
        local, remote = self.local, self.remote
        try:
            path = self.tcp.internet.path(remote[0], local[0])
        except OSError:
            return
        options = b""
        if self.timestamps:
            stamp = (int(self.tcp.scheduler.now * 1000) + self.timestamp_offset) & MASK
            options = wire_options.build_timestamps(stamp, self.ts_recent)
        size = HEADER_SIZE + len(options)
        pseudo = pseudo_header_sum(local[0], remote[0], TCP, size)
        header = HEADER.pack(
            local[1], remote[1], self.snd_nxt & MASK, self.rcv_nxt & MASK, size << 10 | ACK, self.window, pseudo, 0
        )
        answer = Packet([bytearray(header + options)], checksum=PARTIAL)
        answer.checksum_offset = CHECKSUM_OFFSET
        path.send(answer, TCP)


class TimeWaits:
    """All connections of a host that are in TIME-WAIT.

    All wait equally long, so the queue is in the order of their expiry, but for the few that had to start again: they
    are put back when their turn comes. One timer serves all.
    """

    __slots__ = ("_queue", "_tcp", "_timer")

    def __init__(self, tcp: Tcp) -> None:
        self._tcp = tcp
        self._queue: deque[TimeWait] = deque()
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, c: Connection) -> None:
        """A connection enters TIME-WAIT; what stays of it takes over its addresses and its port."""
        tcp = self._tcp
        waiting = TimeWait(c, tcp.scheduler.now + tcp.settings.time_wait)
        tcp.ports.hold(c, waiting)
        tcp.connections[c.key] = waiting
        if len(self._queue) >= tcp.settings.max_time_wait:
            self.release(self._queue.popleft())
            tcp.counters["tcp.time_wait_overflow"] += 1
        self._queue.append(waiting)
        self._arm()

    def release(self, waiting: TimeWait) -> None:
        """The addresses and the port are free; the queue drops the object in its turn."""
        tcp = self._tcp
        if tcp.connections.get(waiting.key) is waiting:
            del tcp.connections[waiting.key]
            tcp.ports.release(waiting)

    def _arm(self) -> None:
        if self._timer is None and self._queue:
            scheduler = self._tcp.scheduler
            when = max(self._queue[0].expires, scheduler.now + _GRAIN)
            self._timer = scheduler.call_at(when, self._expire)

    def _expire(self) -> None:
        self._timer = None
        queue, now = self._queue, self._tcp.scheduler.now
        for _ in range(len(queue)):
            if queue[0].expires > now:
                break
            self.release(queue.popleft())
        if queue and queue[0].expires > now + self._tcp.settings.time_wait / 2:
            queue.rotate(-1)
        self._arm()
