"""Datagrams that are put together from several calls (MSG_MORE and UDP_CORK), and calls whose data go out as several
datagrams (UDP_SEGMENT): udp(7)."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Any, Final

from ...transport.errors import error
from ...transport.udp import MAX_PAYLOAD
from . import numbers as n
from .option import Option, Options, stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...link.packet import Buffer
    from ...net.address import Address
    from .datagram import DatagramSocket
    from .messages import Control

#: The most datagrams that one call makes.
_MOST_SEGMENTS: Final = 128
_HEADERS: Final = 28
_SEGMENT_SIZE: Final = 2


class Corked:
    """What waits for more data. As on Linux all that was said with the first of them counts for the whole datagram."""

    __slots__ = ("always", "buffers", "control", "destination", "size", "waits")

    def __init__(self) -> None:
        #: UDP_CORK.
        self.always = False
        self.clear()

    def clear(self) -> None:
        """Nothing waits."""
        self.waits = False
        self.size = 0
        self.buffers: list[Buffer] = []
        self.destination: tuple[Address, int] | None = None
        self.control: Sequence[Control] = ()


def send(
    socket: DatagramSocket,
    buffers: Sequence[Buffer],
    destination: tuple[Address, int] | None,
    control: Sequence[Control],
    flags: int,
) -> int:
    """What `DatagramSocket.send` does where a datagram may be put together."""
    corked = socket.corked
    if corked is None:
        corked = socket.corked = Corked()
    more = corked.always or bool(flags & n.MSG_MORE)
    if not corked.waits:
        if not more:
            return socket.send_now(buffers, destination, control)
        socket.check_sending(destination)
        corked.waits, corked.destination, corked.control = True, destination, control
    size = sum(map(len, buffers))
    if corked.size + size > MAX_PAYLOAD:
        corked.clear()
        raise error(errno.EMSGSIZE)
    corked.buffers += buffers
    corked.size += size
    if not more:
        push(socket)
    return size


def push(socket: DatagramSocket) -> None:
    """Send what waits."""
    corked = socket.corked
    if corked is None or not corked.waits:
        return
    buffers, destination, control = corked.buffers, corked.destination, corked.control
    corked.clear()
    socket.send_now(buffers, destination, control, shut=False)


def segment_size(socket: DatagramSocket, control: Sequence[Control]) -> int:
    """Of the datagrams that a call makes, in bytes; 0: it makes one. Raises OSError EINVAL for a control message that
    has not two octets."""
    size = socket.integer_option(n.IPPROTO_UDP, n.UDP_SEGMENT)
    for level, kind, data in control:
        if level == n.IPPROTO_UDP:
            if kind != n.UDP_SEGMENT or len(data) != _SEGMENT_SIZE:
                raise error(errno.EINVAL)
            size = int.from_bytes(data, sys.byteorder)
    return size


def cut(buffers: Sequence[Buffer], size: int, mtu: int) -> list[memoryview]:
    """Payloads of ``size`` bytes; the last may be shorter.

    Raises OSError EINVAL for too many, EMSGSIZE where they would have to be fragmented.
    """
    data = memoryview(b"".join(buffers))
    if len(data) > size * _MOST_SEGMENTS:
        raise error(errno.EINVAL)
    if size + _HEADERS > mtu:
        raise error(errno.EMSGSIZE)
    return [data[at : at + size] for at in range(0, len(data), size)]


def _get_cork(socket: Any) -> int:
    return int(socket.corked is not None and socket.corked.always)


def _set_cork(socket: Any, value: int) -> None:
    if socket.corked is None:
        socket.corked = Corked()
    socket.corked.always = bool(value)
    if not value:
        push(socket)


def _set_encapsulation(socket: Any, value: int) -> None:
    if value:
        raise error(errno.ENOPROTOOPT)


OPTIONS: Final[Options] = {
    (n.IPPROTO_UDP, n.UDP_CORK): Option(_get_cork, _set_cork),
    (n.IPPROTO_UDP, n.UDP_ENCAP): Option(lambda socket: 0, _set_encapsulation),
    **stored(n.IPPROTO_UDP, n.UDP_SEGMENT, 0, 0, 65535),
    # What arrives is never put together here, so that there is nothing to tell.
    **stored(n.IPPROTO_UDP, n.UDP_GRO, switch=True),
    **stored(n.IPPROTO_UDP, n.UDP_NO_CHECK6_TX, switch=True),
    **stored(n.IPPROTO_UDP, n.UDP_NO_CHECK6_RX, switch=True),
}
