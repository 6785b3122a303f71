"""Datagram sockets: the calls of UDP (udp(7))."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ...transport.errors import error
from . import numbers as n
from .base import Socket
from .options import DATAGRAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...link.packet import Buffer
    from ...net.address import Address
    from .table import Calls


class DatagramSocket(Socket):
    """A UDP socket over ``endpoint``."""

    __slots__ = ("_reuse", "endpoint")

    type = n.SOCK_DGRAM
    protocol = n.IPPROTO_UDP
    option_table = DATAGRAM

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self.endpoint = calls.host.udp.open()
        self.endpoint.observer = self._on_change
        self._reuse = (False, False)

    @property
    def connected(self) -> bool:
        return self.endpoint.remote is not None

    def bind(self, address: tuple[Address, int]) -> None:
        self._check_local(address[0])
        self.endpoint.bind(*address)

    def connect(self, address: tuple[Address, int] | None) -> None:
        """Send to, and receive from, this address only; None undoes it.

        Raises OSError ENETUNREACH without a route, EACCES for a broadcast address without SO_BROADCAST.
        """
        if address is None:
            self.endpoint.disconnect()
        else:
            self.endpoint.connect(*self._target(address))

    def shutdown(self, how: int) -> None:
        if how not in (n.SHUT_RD, n.SHUT_WR, n.SHUT_RDWR):
            raise error(errno.EINVAL)
        self._shut |= how + 1
        if not self.connected:
            raise error(errno.ENOTCONN)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.observer = None
            self.calls.sockets.discard(self)
            self.endpoint.close()

    def getsockname(self) -> tuple[Address, int]:
        return self.endpoint.local

    def getpeername(self) -> tuple[Address, int]:
        if self.endpoint.remote is None:
            raise error(errno.ENOTCONN)
        return self.endpoint.remote

    def readiness(self) -> int:
        endpoint = self.endpoint
        bits = n.POLLOUT
        if endpoint.error:
            bits |= n.POLLERR
        if endpoint.received or self._shut & 1:
            bits |= n.POLLIN
        if self._shut & 1:
            bits |= n.POLLRDHUP
        if self._shut == 3:
            bits |= n.POLLHUP
        return bits

    def take_error(self) -> int:
        return self.endpoint.take_error()

    def mtu(self) -> int:
        return self.endpoint.mtu()

    def send(self, buffers: Sequence[Buffer], destination: tuple[Address, int] | None = None) -> int:
        """Send one datagram and return its size; the buffers are not copied: they must not be changed any more.

        Raises OSError EDESTADDRREQ, EMSGSIZE, EACCES, ENETUNREACH, EINVAL (port 0), EPIPE (shut down), and what an ICMP
        error left (ECONNREFUSED).
        """
        if destination is not None:
            destination = self._target(destination)
        if self._shut & 2:
            self.endpoint.prepare(destination)
            raise error(self.endpoint.take_error() or errno.EPIPE)
        return self.endpoint.send(buffers, destination)

    def check_route(self, destination: tuple[Address, int]) -> None:
        """What ``send`` would raise for this destination, without sending; binds the socket as it would."""
        self.endpoint.prepare(self._target(destination))

    def receive(self) -> tuple[memoryview, tuple[Address, int]] | None:
        """The next datagram: a view of its payload, and its sender; None when none waits.

        Raises OSError with what an ICMP error left (ECONNREFUSED).
        """
        if number := self.endpoint.take_error():
            raise error(number)
        return self.endpoint.receive()

    def peek(self) -> tuple[memoryview, tuple[Address, int]] | None:
        """The next datagram, which stays; None when none waits."""
        received = self.endpoint.received
        return received[0] if received else None

    def skip(self) -> None:
        """Drop the next datagram."""
        self.endpoint.receive()

    def _option_changed(self) -> None:
        endpoint = self.endpoint
        reuse = endpoint.reuse, endpoint.reuseport
        if reuse != self._reuse:
            self._reuse = reuse
            endpoint.reuse_changed()

    def _on_change(self) -> None:
        if self.observer is not None:
            self.observer()
