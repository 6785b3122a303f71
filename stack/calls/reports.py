"""What a stream socket is told about data that it has sent: when they left and arrived (SO_TIMESTAMPING), and that
their memory is free again (MSG_ZEROCOPY). The news waits in the error queue.

Both count as Linux does: stamps by the number of the write's last byte, writes without copying one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...transport.tcp.watched_buffer import unwatch, watch
from . import numbers as n
from .messages import ExtendedError, Report, stamps
from .statistics import statistics

if TYPE_CHECKING:
    from ...transport.tcp.connection import Connection
    from .messages import Control
    from .stream import StreamSocket

_ENOMSG: Final = 42
_UINT: Final = (1 << 32) - 1


class Stamped:
    """A write whose last byte is stamped, as the bits ``wanted`` of SO_TIMESTAMPING say."""

    __slots__ = ("_key", "_reports", "_wanted", "number")

    def __init__(self, reports: Reports, wanted: int, number: int, key: int) -> None:
        self._reports = reports
        self._wanted = wanted
        self.number = number
        self._key = key

    def sent(self, size: int) -> None:
        if self._wanted & n.SOF_TIMESTAMPING_TX_SCHED:
            self._reports.stamp(n.SCM_TSTAMP_SCHED, self._key, size)
        if self._wanted & n.SOF_TIMESTAMPING_TX_SOFTWARE:
            self._reports.stamp(n.SCM_TSTAMP_SND, self._key, size)

    def acknowledged(self) -> None:
        if self._wanted & n.SOF_TIMESTAMPING_TX_ACK:
            self._reports.stamp(n.SCM_TSTAMP_ACK, self._key)


class Lent:
    """Writes from ``first`` to ``last`` whose memory is the program's until everything up to their end is
    acknowledged."""

    __slots__ = ("_reports", "first", "last", "number")

    def __init__(self, reports: Reports, first: int, number: int) -> None:
        self._reports = reports
        self.first = self.last = first
        self.number = number

    def sent(self, size: int) -> None:
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
        number = connection.buffer.end - 1
        last = self._lent[-1] if self._lent else None
        if last is not None and last.number >= connection.snd_nxt:
            last.last = self._loans
            last.number = number
            unwatch(connection, last)
        else:
            last = Lent(self, self._loans, number)
            self._lent.append(last)
        self._loans += 1
        watch(connection, last)

    def stamp(self, kind: int, key: int, going: int = 0) -> None:
        """``going``: the size of the packet that goes out, if that is what is stamped."""
        socket = self._socket
        data = key if socket.timestamping & n.SOF_TIMESTAMPING_OPT_ID else 0
        failure = ExtendedError(_ENOMSG, n.SO_EE_ORIGIN_TIMESTAMPING, info=kind, data=data)
        told: tuple[Control, ...] = (stamps(socket.calls.wall_clock()),)
        known = b""
        if socket.timestamping & n.SOF_TIMESTAMPING_OPT_STATS:  # as on Linux they are the data, too
            known = statistics(socket, going)
            told += ((n.SOL_SOCKET, n.SCM_TIMESTAMPING_OPT_STATS, known),)
        socket.report(Report(failure, known, control=told))

    def returned(self, lent: Lent) -> None:
        """The memory of some writes is free: one report for all that are neighbors (MSG_ZEROCOPY's notifications)."""
        if lent not in self._lent:
            return
        self._lent.remove(lent)
        socket = self._socket
        queue = socket.error_queue
        before = queue.last.error if queue is not None and queue.last is not None else None
        if (
            queue is not None
            and before is not None
            and before.origin == n.SO_EE_ORIGIN_ZEROCOPY
            and (before.data + 1) & _UINT == lent.first
        ):
            queue.replace_last(Report(before._replace(data=lent.last)))
            socket.wake()
            return
        # What is sent is a copy of what the program has: no card reads a program's memory here.
        failure = ExtendedError(0, n.SO_EE_ORIGIN_ZEROCOPY, 0, n.SO_EE_CODE_ZEROCOPY_COPIED, lent.first, lent.last)
        socket.report(Report(failure))

    def return_all(self) -> None:
        """The connection has ended: nothing is lent any more."""
        for lent in list(self._lent):
            self.returned(lent)
