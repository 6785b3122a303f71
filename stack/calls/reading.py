"""How a stream socket is read: recv(2) with its flags, the urgent byte, control messages, and what waits (ioctl(2))."""

from __future__ import annotations

import errno
from itertools import islice
from typing import TYPE_CHECKING, Final

from ...transport.errors import error
from ...transport.tcp.state import OPENING, State
from . import numbers as n
from .messages import Message, integer, stamps, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...transport.tcp.connection import Connection
    from .messages import Control
    from .stream import StreamSocket

_REQUESTS: Final = frozenset({n.SIOCINQ, n.SIOCOUTQ, n.SIOCOUTQNSD, n.SIOCATMARK})
_PEEK_OFF: Final = (n.SOL_SOCKET, n.SO_PEEK_OFF)
_OVER: Final = frozenset({State.CLOSED, State.TIME_WAIT})


def receive(self: StreamSocket, size: int, flags: int = 0) -> bytes:
    """Up to ``size`` bytes; none at the end of the peer's data.

    Of the flags, MSG_PEEK leaves the data where they are (and goes on from SO_PEEK_OFF, if that is set), MSG_TRUNC
    throws them away (the result is zeros), MSG_OOB asks for the urgent byte, and MSG_ERRQUEUE for the data of what
    waits in the error queue. Data are read up to the urgent byte, and behind it; it is left out unless SO_OOBINLINE is
    set. Raises OSError EAGAIN when there are none yet, ENOTCONN, what ended the connection (ECONNRESET …), once, EINVAL
    for an urgent byte that is not there.
    """
    if flags & n.MSG_ERRQUEUE:
        return self.receive_error(size).data
    if self.listening:
        raise error(errno.ENOTCONN)
    if flags & n.MSG_OOB:
        return _urgent_byte(self, size, flags)
    connection = self.connection
    if connection is not None and connection.readable:
        if flags or self.values or connection.urgent:
            data = _take(self, connection, size, flags)
        else:
            data = first(connection, 0, min(size, connection.readable))
            connection.consume(len(data))
        if data or not size:
            return data
    return _nothing(self, connection)


def _nothing(self: StreamSocket, connection: Connection | None) -> bytes:
    """What there is to say without data."""
    if connection is not None and connection.at_end:
        return b""
    if number := self.take_error():
        raise error(number)
    if self.shut_for_reading:
        return b""
    if connection is None:
        raise error(errno.ENOTCONN)
    if connection.state in _OVER:
        return b""
    raise error(errno.EAGAIN)


def _take(self: StreamSocket, connection: Connection, size: int, flags: int) -> bytes:
    """Read with flags, or near the urgent byte; nothing if there is nothing to be read there."""
    peek = bool(flags & n.MSG_PEEK)
    peeked = self.integer_option(*_PEEK_OFF, -1)
    start = max(peeked, 0) if peek else 0
    end = connection.readable
    mark = connection.urgent - 1  # where the urgent byte is
    if start == mark and not self.inline:
        if peek:
            start += 1
        else:
            connection.consume(1)
            end -= 1
    elif start < mark:
        end = min(end, mark)
    size = min(size, end - start)
    if size <= 0:
        return b""
    data = bytes(size) if flags & n.MSG_TRUNC else first(connection, start, size)
    if not peek:
        connection.consume(size)
    if peeked >= 0:
        self.values[_PEEK_OFF] = start + size if peek else max(peeked - size, 0)
    return data


def first(connection: Connection, start: int, size: int) -> bytes:
    """A copy of ``size`` bytes that wait, from the ``start``th on."""
    received = connection.received
    if start + size <= len(received[0]):
        return bytes(received[0][start : start + size])
    pieces: list[memoryview] = []
    for chunk in islice(received, None):
        if start < len(chunk):
            pieces.append(chunk[start : start + size])
            size -= len(pieces[-1])
            if not size:
                break
        start = max(start - len(chunk), 0)
    return b"".join(pieces)


def _urgent_byte(self: StreamSocket, size: int, flags: int) -> bytes:
    """MSG_OOB, as tcp(7) has it: the urgent byte, once, as long as reading has not passed it."""
    connection = self.connection
    if self.inline or connection is None or not connection.urgent or self.urgent_read == connection.rcv_up:
        raise error(errno.EINVAL)
    at = connection.urgent - 1
    if at < connection.readable:
        if not flags & n.MSG_PEEK:
            self.urgent_read = connection.rcv_up
        return first(connection, at, 1) if size else b""
    if connection.at_end or connection.state in _OVER or self.shut_for_reading:
        return b""
    raise error(errno.EAGAIN)


def receive_message(self: StreamSocket, size: int, flags: int = 0) -> Message:
    """recvmsg(2): what `receive` gives, and what else was asked for by TCP_INQ and SO_TIMESTAMP and their like."""
    if flags & n.MSG_ERRQUEUE:
        return self.receive_error(size)
    data = self.receive(size, flags)
    values = self.values
    control: list[Control] = []
    connection = self.connection
    if connection is not None and values:
        if data:
            control += arrival_times(values, self.calls.wall_clock(connection.data_at))
        if values.get((n.IPPROTO_TCP, n.TCP_INQ)):
            waiting = connection.readable + connection.at_end
            if not data and connection.at_end:
                waiting = 1  # keep on reading: the end is there
            control.append(integer(n.IPPROTO_TCP, n.TCP_CM_INQ, waiting))
    return Message(data, control, flags & n.MSG_OOB, None)


def arrival_times(values: Mapping[tuple[int, int], int | bytes], when: float) -> Iterator[Control]:
    """The control messages that say when something arrived, in seconds since 1970, as far as they were asked for."""
    for option in n.SO_TIMESTAMP, n.SO_TIMESTAMPNS:
        if values.get((n.SOL_SOCKET, option)):
            yield timestamp(option, when)
    asked = values.get((n.SOL_SOCKET, n.SO_TIMESTAMPING), 0)
    both = n.SOF_TIMESTAMPING_SOFTWARE | n.SOF_TIMESTAMPING_RX_SOFTWARE
    if isinstance(asked, int) and asked & both == both:
        yield stamps(when)


def ioctl(self: StreamSocket, request: int) -> int:
    """See `Socket.ioctl`."""
    connection = self.connection
    if request not in _REQUESTS:
        raise error(errno.ENOTTY)
    if request == n.SIOCATMARK:
        return int(connection is not None and connection.urgent == 1)
    if self.listening:
        raise error(errno.EINVAL)
    if connection is None or connection.state in OPENING:
        return 0
    if request == n.SIOCINQ:
        mark = connection.urgent - 1
        return mark if 0 <= mark < connection.readable and not self.inline else connection.readable
    end = connection.buffer.end + connection.fin_queued
    return max(end - (connection.snd_una if request == n.SIOCOUTQ else connection.snd_nxt), 0)
