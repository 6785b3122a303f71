"""LISTEN: taking connections (RFC 9293 §3.10.1, §3.10.7.2), with Linux's two queues."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

from . import early, opening, syn_cookies
from .connection import Connection
from .fast_open import EVERY_LISTENER
from .segment import differentiated
from .state import Event, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...net.address import Address
    from .protocol import Tcp
    from .segment import Segment
    from .settings import TcpOptions


#: How long a reset counts, in seconds.
_FORGIVING: Final = 60.0


class Listener:
    """Waits for connections at ``local``; an address of zeros stands for every address of the host.

    Connections whose handshake is under way are in the SYN queue, those that are open wait in the accept queue, whose
    length is ``backlog`` as Linux counts (one more than it says). While the accept queue is full, SYNs and the last
    ACKs of handshakes are dropped, and peers try again. While the SYN queue is full, SYNs are answered with cookies.
    ``observer`` is called when there is something to accept.
    """

    __slots__ = (
        "_accepted",
        "_opening",
        "_reset_early",
        "backlog",
        "cookie_sent_at",
        "dirty",
        "early",
        "local",
        "observer",
        "options",
        "tcp",
    )

    def __init__(self, tcp: Tcp, local: tuple[Address, int], backlog: int, options: TcpOptions) -> None:
        self.tcp = tcp
        self.local = local
        self.backlog = backlog
        #: What a new connection's options are a copy of.
        self.options = options
        if tcp.settings.fast_open & EVERY_LISTENER and not options.fast_open:
            options.fast_open = backlog
        self.observer: Callable[[], None] | None = None
        self.dirty = False
        #: When a SYN was last answered without remembering it (see syn_cookies.py).
        self.cookie_sent_at = -inf
        #: Connections that were opened by Fast Open, and whose handshakes are not over; whether they were accepted.
        self.early: dict[Connection, bool] = {}
        #: When those of them that were reset after they were accepted are forgiven: till then they count.
        self._reset_early: deque[float] = deque()
        self._opening: set[Connection] = set()
        self._accepted: deque[Connection] = deque()

    @property
    def state(self) -> State:
        return State.LISTEN

    @property
    def waiting(self) -> int:
        """How many connections wait to be accepted."""
        return len(self._accepted)

    @property
    def opening(self) -> int:
        """How many handshakes are under way."""
        return len(self._opening)

    @property
    def full(self) -> bool:
        """Whether the accept queue takes no more."""
        return len(self._accepted) > self.backlog

    @property
    def early_limit(self) -> int:
        """How many connections may be in ``early``; 0: Fast Open is off."""
        return self.options.fast_open

    def accept(self) -> Connection | None:
        """The connection that has waited longest, or None."""
        if not self._accepted:
            return None
        connection = self._accepted.popleft()
        if connection.early:
            self.early[connection] = True
        return connection

    def close(self) -> None:
        """Take no more connections; those that nobody accepted are reset."""
        self.tcp.forget_listener(self)
        for connection in list(self._opening):
            connection.listener = None
            connection.end(0)
        while self._accepted:
            self._accepted.popleft().abort()
        self._opening.clear()

    # -- for the other files of TCP ------------------------------------------------------------------------------

    def syn_arrives(self, segment: Segment, above: int | None = None) -> None:
        """A SYN for this listener (RFC 9293 §3.10.7.2, third). ``above``: where an earlier connection ended."""
        tcp = self.tcp
        mode, most, waiting = tcp.settings.syn_cookies, tcp.settings.max_syn_backlog, len(self._opening)
        crowded = waiting > self.backlog
        if self.full or (not mode and (crowded or most - waiting < most >> 2)):
            tcp.counters["tcp.listen_overflow"] += 1
            return
        c = self._connection(segment)
        if c is None:
            return
        if above is not None:
            c.restart_above(above)
        opening.syn_arrives(c, segment)
        if self.options.save_syn:
            c.options.saved_syn = segment.headers(link=self.options.save_syn > 1)
        if crowded or mode == syn_cookies.ALWAYS:
            self.cookie_sent_at = tcp.scheduler.now
            opening.answer_with_cookie(c, segment)
            return
        self._take(c)
        early.open_early(c, segment, self)
        c.mark()

    @property
    def expects_cookies(self) -> bool:
        """Whether a SYN was answered with a cookie so lately that it may come back."""
        return self.tcp.scheduler.now - self.cookie_sent_at <= syn_cookies.LIFETIME

    def cookie_arrives(self, segment: Segment) -> Connection | None:
        """An ACK for this listener: the connection, if it ends a handshake that nobody remembers (RFC 4987 §3.6)."""
        c = self._connection(segment)
        if c is None or not opening.recall_syn(c, segment):
            self.tcp.counters["tcp.syn_cookies_failed"] += 1
            return None
        self.tcp.counters["tcp.syn_cookies_received"] += 1
        self._take(c)
        return c

    def _connection(self, segment: Segment) -> Connection | None:
        """A connection for a segment's addresses and ports, that nobody knows yet; None without a way back."""
        tcp, packet = self.tcp, segment.packet
        local_port, remote_port = self.local[1], int.from_bytes(packet.buffers[0][packet.offset : packet.offset + 2])
        try:
            path = tcp.internet.path(packet.source, packet.destination)
        except OSError:
            return None
        local, remote = (packet.destination, local_port), (packet.source, remote_port)
        c = Connection(tcp, path, local, remote, self.options.inherited())
        if tcp.settings.reflect_tos:
            c.options.traffic_class = differentiated(segment.packet)
        c.state = State.LISTEN
        c.follow(Event.SYN)
        return c

    def _take(self, c: Connection) -> None:
        """Remember a connection while its handshake is under way."""
        c.listener = self
        c.counts.passive = True
        c.counts.segments_in = 1
        self._opening.add(c)
        self.tcp.adopt(c, self)

    def completed(self, connection: Connection) -> None:
        """A handshake is over."""
        if self.early.pop(connection, None) is None:
            self._deliver(connection)

    def opened_early(self, connection: Connection) -> None:
        """A connection can be used, although its handshake is not over (RFC 7413)."""
        self.early[connection] = False
        self._deliver(connection)

    def takes_early(self) -> bool:
        """Whether one more connection may be opened early. Resets of such are held against all (RFC 7413 §5.1)."""
        limit, resets = self.early_limit, self._reset_early
        if limit and len(self.early) + len(resets) >= limit:
            if not resets or resets[0] > self.tcp.scheduler.now:
                return False
            resets.popleft()
        return limit > 0

    def waits(self, connection: Connection) -> bool:
        """Whether a connection that was opened early was not accepted yet."""
        return self.early.get(connection) is False

    def reset_early(self, connection: Connection) -> None:
        """The peer resets a connection that was opened early."""
        if self.early.get(connection):
            self._reset_early.append(self.tcp.scheduler.now + _FORGIVING)

    def _deliver(self, connection: Connection) -> None:
        self._opening.discard(connection)
        self._accepted.append(connection)
        if not self.dirty:
            self.dirty = True
            self.tcp.mark(self)

    def forget(self, connection: Connection) -> None:
        """A handshake failed."""
        self._opening.discard(connection)
        self.early.pop(connection, None)

    def flush(self) -> None:
        """The end of a batch."""
        self.dirty = False
        if self._accepted and self.observer is not None:
            self.observer()
