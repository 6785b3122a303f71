"""What a stream socket is told about data that it has sent: when they left and arrived (SO_TIMESTAMPING), and that
their memory is free again (MSG_ZEROCOPY). The news waits in the error queue.

Both count as Linux does: stamps by the number of the write's last byte, writes without copying one by one.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from ...transport.tcp.state import State
from ...transport.tcp.watched_buffer import unwatch, watch
from . import numbers as n
from .messages import ExtendedError, Report, stamps
from .statistics import statistics

if TYPE_CHECKING:
    from ...link.packet import Buffer
    from ...transport.tcp.connection import Connection
    from .messages import Control
    from .stream import StreamSocket

#: Of IP and TCP, without options.
_HEADERS: Final = 40
_TIMESTAMPS: Final = 12
_UINT: Final = (1 << 32) - 1


def report_on(socket: StreamSocket, connection: Connection, flags: int, stamped: int | None) -> None:
    """See to it that the error queue tells what becomes of the data that were just written. As on Linux those in a SYN
    are not stamped."""
    wanted = (socket.timestamping if stamped is None else stamped) & n.SOF_TIMESTAMPING_TX_RECORD_MASK
    if wanted and connection.state is not State.SYN_SENT:
        socket.reports.write_stamped(connection, wanted)
    if flags & n.MSG_ZEROCOPY:
        lend(socket)


def lend(socket: StreamSocket) -> None:
    """All that was written by now is the program's memory, if SO_ZEROCOPY says so."""
    if socket.connection is not None and socket.integer_option(n.SOL_SOCKET, n.SO_ZEROCOPY):
        socket.reports.write_lent(socket.connection)


class Stamped:
    """A write whose last byte is stamped, as the bits ``wanted`` of SO_TIMESTAMPING say."""

    __slots__ = ("_key", "_payload", "_reports", "_wanted", "number")

    def __init__(self, reports: Reports, wanted: int, number: int, key: int) -> None:
        self._reports = reports
        self._wanted = wanted
        self.number = number
        self._key = key
        #: Of the packet that the byte went out in last.
        self._payload = b""

    def sent(self, payload: list[Buffer]) -> None:
        self._payload = b"".join(payload)
        if self._wanted & n.SOF_TIMESTAMPING_TX_SCHED:
            self._reports.stamp(n.SCM_TSTAMP_SCHED, self._key, self._payload)
        if self._wanted & n.SOF_TIMESTAMPING_TX_SOFTWARE:
            self._reports.stamp(n.SCM_TSTAMP_SND, self._key, self._payload)

    def acknowledged(self) -> None:
        if self._wanted & n.SOF_TIMESTAMPING_TX_ACK:
            self._reports.stamp(n.SCM_TSTAMP_ACK, self._key, self._payload)


class Lent:
    """Writes from ``first`` to ``last`` whose memory is the program's until everything up to their end is
    acknowledged."""

    __slots__ = ("_reports", "first", "last", "number")

    def __init__(self, reports: Reports, first: int, number: int) -> None:
        self._reports = reports
        self.first = self.last = first
        self.number = number

    def sent(self, payload: list[Buffer]) -> None:
        """It stays lent."""

    def acknowledged(self) -> None:
        self._reports.returned(self)


class Reports:
    """The reports of ``socket``."""

    __slots__ = ("_lent", "_loans", "_socket", "_stamped", "base")

    def __init__(self, socket: StreamSocket) -> None:
        self._socket = socket
        #: The sequence number that stamps are counted from (SOF_TIMESTAMPING_OPT_ID).
        self.base = 0
        self._stamped: Stamped | None = None
        #: How many writes there were with MSG_ZEROCOPY, and those whose memory is still lent.
        self._loans = 0
        self._lent: list[Lent] = []

    def write_stamped(self, connection: Connection, wanted: int) -> None:
        """Data were written that want these stamps."""
        number = connection.buffer.end - 1
        last = self._stamped
        if last is not None and last.number >= connection.snd_nxt:
            unwatch(connection, last)  # as on Linux: what is sent together has one stamp, the last one's
        self._stamped = stamped = Stamped(self, wanted, number, (number - self.base) & _UINT)
        watch(connection, stamped)

    def write_lent(self, connection: Connection) -> None:
        """Data were written with MSG_ZEROCOPY."""
        number, loan = connection.buffer.end - 1, self._loans
        self._loans += 1
        if number < connection.snd_una:  # they went in a SYN, and are acknowledged
            self._socket.report_returned(loan, loan)
            return
        last = self._lent[-1] if self._lent else None
        if last is not None and last.number >= connection.snd_nxt:
            last.last = loan
            last.number = number
            unwatch(connection, last)
        else:
            last = Lent(self, loan, number)
            self._lent.append(last)
        watch(connection, last)

    def stamp(self, kind: int, key: int, payload: bytes) -> None:
        """A packet with this payload goes out, or was acknowledged. Unless the stamp shall come alone it comes with the
        payload, and where the packet goes out with the place of its headers."""
        socket, connection = self._socket, self._socket.connection
        going = kind != n.SCM_TSTAMP_ACK
        data = key if socket.timestamping & n.SOF_TIMESTAMPING_OPT_ID else 0
        failure = ExtendedError(errno.ENOMSG, n.SO_EE_ORIGIN_TIMESTAMPING, info=kind, data=data)
        told: tuple[Control, ...] = (stamps(socket.calls.wall_clock()),)
        known = payload
        if socket.timestamping & n.SOF_TIMESTAMPING_OPT_TSONLY:
            known = b""
        elif going:
            options = _TIMESTAMPS if connection is not None and connection.timestamps else 0
            known = bytes(_HEADERS + options) + payload
        if socket.timestamping & n.SOF_TIMESTAMPING_OPT_STATS:  # as on Linux they are the data, too
            known = statistics(socket, len(payload) if going else 0)
            told += ((n.SOL_SOCKET, n.SCM_TIMESTAMPING_OPT_STATS, known),)
        socket.report(Report(failure, known, control=told))

    def returned(self, lent: Lent) -> None:
        """The memory of some writes is free."""
        if lent not in self._lent:
            return
        self._lent.remove(lent)
        self._socket.report_returned(lent.first, lent.last)

    def return_all(self) -> None:
        """The connection has ended: nothing is lent any more."""
        for lent in list(self._lent):
            self.returned(lent)
