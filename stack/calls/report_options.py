"""Options that ask for control messages and for reports in the error queue (socket(7), ip(7), tcp(7)), as data."""

from __future__ import annotations

import errno
from struct import Struct
from typing import Any, Final

from ...transport.errors import error
from ...transport.tcp.state import State
from . import numbers as n
from .option import Option, Options, stored

_STAMPING: Final = Struct("=ii")  # flags, and a clock of the card


def _receive_time(name: int) -> Options:
    """SO_TIMESTAMP and SO_TIMESTAMPNS: setting the one ends the other, and either ends both."""
    key = n.SOL_SOCKET, name

    def write(socket: Any, value: int) -> None:
        for option in n.SO_TIMESTAMP, n.SO_TIMESTAMPNS:
            socket.values.pop((n.SOL_SOCKET, option), None)
        if value:
            socket.values[key] = 1

    return {key: Option(lambda socket: socket.values.get(key, 0), write)}


_TIMESTAMPING: Final = (n.SOL_SOCKET, n.SO_TIMESTAMPING)


def _get_timestamping(socket: Any) -> bytes:
    return _STAMPING.pack(socket.timestamping, 0)


def _set_timestamping(socket: Any, value: int) -> None:
    counted = value & n.SOF_TIMESTAMPING_OPT_ID
    if value & n.SOF_TIMESTAMPING_OPT_ID_TCP and not counted:
        raise error(errno.EINVAL)
    if value & n.SOF_TIMESTAMPING_OPT_STATS and not value & n.SOF_TIMESTAMPING_OPT_TSONLY:
        raise error(errno.EINVAL)
    if counted and not socket.timestamping & n.SOF_TIMESTAMPING_OPT_ID:
        socket.count_stamps(from_end=bool(value & n.SOF_TIMESTAMPING_OPT_ID_TCP))
    socket.values[_TIMESTAMPING] = value


def count_stream_stamps(socket: Any, *, from_end: bool) -> None:
    """Stamps are numbered from what was written, or acknowledged, by now. Raises OSError EINVAL without a
    connection."""
    connection = socket.connection
    if connection is None or connection.state is State.CLOSED:
        raise error(errno.EINVAL)
    socket.reports.base = connection.buffer.end if from_end else max(connection.snd_una, connection.buffer.start)


COMMON: Final[Options] = {
    **_receive_time(n.SO_TIMESTAMP),
    **_receive_time(n.SO_TIMESTAMPNS),
    _TIMESTAMPING: Option(_get_timestamping, _set_timestamping, 0, n.SOF_TIMESTAMPING_MASK),
    **stored(n.SOL_SOCKET, n.SO_ZEROCOPY, 0, 0, 1),
    **stored(n.SOL_SOCKET, n.SO_PEEK_OFF, -1),
    **stored(n.SOL_SOCKET, n.SO_SELECT_ERR_QUEUE, switch=True),
    **stored(n.SOL_SOCKET, n.SO_RXQ_OVFL, switch=True),
    **stored(n.IPPROTO_IP, n.IP_PKTINFO, switch=True),
    **stored(n.IPPROTO_IP, n.IP_RECVTTL, switch=True),
    **stored(n.IPPROTO_IP, n.IP_RECVTOS, switch=True),
}
STREAM: Final[Options] = {**stored(n.IPPROTO_TCP, n.TCP_INQ, 0, 0, 1)}
