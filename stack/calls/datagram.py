"""Datagram sockets: the calls of UDP (udp(7))."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Final

from ...transport.errors import error
from ...transport.udp import Detailed
from . import corked
from . import numbers as n
from .base import Socket
from .messages import ExtendedError, Message, Report, failure_report, integer, stamps, stamps_asked_for
from .options import DATAGRAM
from .reading import arrival_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...link.packet import Buffer
    from ...net.address import Address
    from ...net.failure import Failure
    from ...transport.udp import UdpEndpoint
    from .corked import Corked
    from .messages import Control
    from .table import Calls

#: Of a UDP header, in bytes.
_HEADER_SIZE: Final = 8
#: With that of IP.
_HEADERS_SIZE: Final = 28
_PEEK_OFF: Final = (n.SOL_SOCKET, n.SO_PEEK_OFF)
#: Options that ask for what a datagram's packet said.
_DETAILS: Final = (
    (n.IPPROTO_IP, n.IP_PKTINFO),
    (n.IPPROTO_IP, n.IP_RECVTTL),
    (n.IPPROTO_IP, n.IP_RECVTOS),
    (n.SOL_SOCKET, n.SO_TIMESTAMP),
    (n.SOL_SOCKET, n.SO_TIMESTAMPNS),
    (n.SOL_SOCKET, n.SO_TIMESTAMPING),
    (n.SOL_SOCKET, n.SO_RXQ_OVFL),
)


class DatagramSocket(Socket):
    """A UDP socket over ``endpoint``."""

    __slots__ = ("_loans", "_reuse", "_stamp_base", "_stamps", "corked", "endpoint")

    type = n.SOCK_DGRAM
    protocol = n.IPPROTO_UDP
    option_table = DATAGRAM

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self.endpoint = calls.host.udp.open()
        self.endpoint.observer = self._on_change
        self.endpoint.failed = self._on_failure
        self._reuse = (False, False)
        self._stamps = self._stamp_base = 0
        #: How many calls there were with MSG_ZEROCOPY.
        self._loans = 0
        #: None unless data ever waited for more.
        self.corked: Corked | None = None

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
        if endpoint.error or self.error_queue:
            bits |= n.POLLERR
        if endpoint.received or self._shut & 1:
            bits |= n.POLLIN
        if self._shut & 1:
            bits |= n.POLLRDHUP
        if self._shut == 3:
            bits |= n.POLLHUP
        return bits

    def ioctl(self, request: int) -> int:
        if request == n.SIOCINQ:
            received = self.endpoint.received
            return len(received[0][0]) if received else 0
        if request == n.SIOCOUTQ:
            return 0  # nothing waits: datagrams leave at once
        raise error(errno.ENOTTY)

    @property
    def failed(self) -> bool:
        return bool(self.endpoint.error)

    def take_error(self) -> int:
        return self.endpoint.take_error()

    def mtu(self) -> int:
        return self.endpoint.mtu()

    def send(
        self,
        buffers: Sequence[Buffer],
        destination: tuple[Address, int] | None = None,
        control: Sequence[Control] = (),
        flags: int = 0,
    ) -> int:
        """Send one datagram and return its size; the buffers are not copied: they must not be changed any more.

        Of control messages IP_TTL, IP_TOS, SO_TIMESTAMPING and UDP_SEGMENT count, for this datagram. With MSG_MORE, or
        UDP_CORK, it waits for the data of the next call; then with UDP_SEGMENT it goes out as several. With
        MSG_ZEROCOPY and SO_ZEROCOPY the error queue says that the memory is free.

        Raises OSError EDESTADDRREQ, EMSGSIZE, EACCES, ENETUNREACH, EINVAL (port 0), EPIPE (shut down), EOPNOTSUPP
        (MSG_OOB), and what an ICMP error left (ECONNREFUSED).
        """
        if not (flags or control or self.values or self.corked or self._shut):
            return self.endpoint.send(buffers, destination if destination is None else self._target(destination))
        if flags & n.MSG_OOB:
            raise error(errno.EOPNOTSUPP)
        if self.corked is not None or flags & n.MSG_MORE:
            size = corked.send(self, buffers, destination, control, flags)
        else:
            size = self.send_now(buffers, destination, control)
        if flags & n.MSG_ZEROCOPY and self.integer_option(n.SOL_SOCKET, n.SO_ZEROCOPY):
            self.report_returned(self._loans, self._loans)
            self._loans += 1
        return size

    def send_now(
        self,
        buffers: Sequence[Buffer],
        destination: tuple[Address, int] | None,
        control: Sequence[Control],
        *,
        shut: bool = True,
    ) -> int:
        """The same without waiting for anything; ``shut``: not after shutdown."""
        if destination is not None:
            destination = self._target(destination)
        if shut and self._shut & 2:
            self._refuse(destination)
        endpoint = self.endpoint
        if control:
            before = endpoint.hop_limit, endpoint.traffic_class
            _apply(endpoint, control)
            try:
                size = self._send_all(buffers, destination, control)
            finally:
                endpoint.hop_limit, endpoint.traffic_class = before
        else:
            size = self._send_all(buffers, destination, control)
        if self.values:
            self._stamp(buffers, control)
        return size

    def _send_all(
        self, buffers: Sequence[Buffer], destination: tuple[Address, int] | None, control: Sequence[Control]
    ) -> int:
        """In one datagram, or several."""
        endpoint = self.endpoint
        size = corked.segment_size(self, control)
        if not size or sum(map(len, buffers)) <= size:
            return endpoint.send(buffers, destination)
        pieces = corked.cut(buffers, size, endpoint.mtu_to(destination))
        return sum(endpoint.send([piece], destination) for piece in pieces)

    def check_sending(self, destination: tuple[Address, int] | None) -> None:
        """Raises what `send` would, without sending; binds the socket as it would."""
        target = None if destination is None else self._target(destination)
        if self._shut & 2:
            self._refuse(target)
        self.endpoint.prepare(target)

    def _refuse(self, destination: tuple[Address, int] | None) -> None:
        """Raise what there is to say after shutdown."""
        self.endpoint.prepare(destination)
        raise error(self.endpoint.take_error() or errno.EPIPE)

    def _stamp(self, buffers: Sequence[Buffer], control: Sequence[Control]) -> None:
        """A datagram has gone out: SO_TIMESTAMPING's stamps of that. Unless they shall come alone they come with the
        datagram and the place of its headers."""
        asked = stamps_asked_for(control)
        flags = self.timestamping
        wanted = flags if asked is None else asked
        reported = (stamps(self.calls.wall_clock()),)
        alone = not wanted or flags & n.SOF_TIMESTAMPING_OPT_TSONLY
        data = b"" if alone else b"".join((bytes(_HEADERS_SIZE), *buffers))
        number = self._stamps - self._stamp_base if flags & n.SOF_TIMESTAMPING_OPT_ID else 0
        for bit, kind in (
            (n.SOF_TIMESTAMPING_TX_SCHED, n.SCM_TSTAMP_SCHED),
            (n.SOF_TIMESTAMPING_TX_SOFTWARE, n.SCM_TSTAMP_SND),
        ):
            if wanted & bit:
                failure = ExtendedError(errno.ENOMSG, n.SO_EE_ORIGIN_TIMESTAMPING, info=kind, data=number)
                self.report(Report(failure, data, control=reported))
        self._stamps += bool(wanted & n.SOF_TIMESTAMPING_TX_RECORD_MASK)

    def count_stamps(self, *, from_end: bool) -> None:
        """SOF_TIMESTAMPING_OPT_ID: datagrams that are stamped are counted from now on."""
        self._stamp_base = self._stamps

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

    def receive_message(self, size: int, flags: int = 0) -> Message | None:
        """recvmsg(2): the next datagram, and the control messages that were asked for; None when none waits.

        With MSG_TRUNC among the flags the data are all of the datagram's. Raises what `receive` does.
        """
        if flags & n.MSG_ERRQUEUE:
            return self.receive_error(size)
        datagram, start = self._look() if flags & n.MSG_PEEK else (self.receive(), 0)
        if datagram is None:
            return None
        content, source = bytes(datagram[0][start:]), datagram[1]
        self._moved(min(size, len(content)) if flags & n.MSG_PEEK else -len(content))
        truncated = n.MSG_TRUNC if len(content) > size else 0
        control = list(self._details(datagram)) if isinstance(datagram, Detailed) else []
        return Message(content if flags & n.MSG_TRUNC else content[:size], control, truncated, source)

    def _look(self) -> tuple[tuple[memoryview, tuple[Address, int]] | None, int]:
        """What MSG_PEEK finds, and where in it: SO_PEEK_OFF counts on through the datagrams that wait."""
        if number := self.endpoint.take_error():
            raise error(number)
        start = max(self.integer_option(*_PEEK_OFF, -1), 0)
        for datagram in self.endpoint.received:
            if not start or start < len(datagram[0]):
                return datagram, start
            start -= len(datagram[0])
        return None, 0

    def _moved(self, size: int) -> None:
        """So many bytes were looked at, or fewer than none were taken off."""
        start = self.integer_option(*_PEEK_OFF, -1)
        if start >= 0:
            self.values[_PEEK_OFF] = max(start + size, 0)

    def _details(self, datagram: Detailed) -> Iterator[Control]:
        """In Linux's order."""
        values, ip = self.values, n.IPPROTO_IP
        yield from arrival_times(values, self.calls.wall_clock(datagram.when))
        if datagram.dropped and values.get((n.SOL_SOCKET, n.SO_RXQ_OVFL)):
            yield integer(n.SOL_SOCKET, n.SO_RXQ_OVFL, datagram.dropped)
        if values.get((ip, n.IP_PKTINFO)):
            index = self.calls.host.interfaces.index(datagram.interface) + 1
            yield ip, n.IP_PKTINFO, index.to_bytes(4, sys.byteorder) + 2 * datagram.destination
        if values.get((ip, n.IP_RECVTTL)):
            yield integer(ip, n.IP_TTL, datagram.hop_limit)
        if values.get((ip, n.IP_RECVTOS)):
            yield ip, n.IP_TOS, bytes([datagram.traffic_class])

    def receive_error(self, size: int) -> Message:
        message = super().receive_error(size)
        assert self.error_queue is not None
        self.endpoint.error = self.error_queue.next_errno
        return message

    def _option_changed(self) -> None:
        endpoint = self.endpoint
        endpoint.detailed = any(self.values.get(option) for option in _DETAILS)
        reuse = endpoint.reuse, endpoint.reuseport
        if reuse != self._reuse:
            self._reuse = reuse
            endpoint.reuse_changed()

    def _on_failure(self, failure: Failure) -> None:
        """An ICMP error, and IP_RECVERR is set."""
        self.report(failure_report(failure, failure.quote[_HEADER_SIZE:]))

    def _on_change(self) -> None:
        if self.observer is not None:
            self.observer()


def _apply(endpoint: UdpEndpoint, control: Sequence[Control]) -> None:
    """Raises OSError EINVAL for a value out of range."""
    for level, kind, data in control:
        if level == n.IPPROTO_IP and kind in (n.IP_TTL, n.IP_TOS):
            value = int.from_bytes(data[:4], sys.byteorder)
            if not (kind == n.IP_TTL) <= value <= 255:
                raise error(errno.EINVAL)
            if kind == n.IP_TTL:
                endpoint.hop_limit = value
            else:
                endpoint.traffic_class = value
