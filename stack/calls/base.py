"""What stream and datagram sockets have in common."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, ClassVar

from ...net.address import ANY4, Address
from ...transport.errors import error
from . import numbers as n
from .messages import ErrorQueue
from .option import Options
from .options import get_option, set_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from .messages import Message, Report
    from .table import Calls

_LOOPBACK = bytes([127, 0, 0, 1])
_ADDRESS_SIZE = 4


class Socket:
    """A socket of a host. No method blocks; each does what the system call of its name does, and raises its errors.

    ``observer`` is called, at most once per batch of packets, when the network may have changed what ``readiness``
    says. ``linger`` is SO_LINGER's time in seconds (0: close resets the connection), None while that is off. Lingering
    itself, as all waiting, is for the caller.
    """

    __slots__ = ("_shut", "calls", "closed", "error_queue", "linger", "observer", "receive_low_water", "values")

    family: ClassVar[int] = n.AF_INET
    type: ClassVar[int]
    protocol: ClassVar[int]
    option_table: ClassVar[Options]

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.observer: Callable[[], None] | None = None
        self.closed = False
        self.linger: int | None = None
        self.receive_low_water = 1
        #: What waits for recvmsg with MSG_ERRQUEUE; None if nothing ever did.
        self.error_queue: ErrorQueue | None = None
        #: Options that are kept and change nothing, by level and number.
        self.values: dict[tuple[int, int], int | bytes] = {}
        self._shut = 0  # bit 0: for receiving, bit 1: for sending
        calls.sockets.add(self)

    @property
    def listening(self) -> bool:
        return False

    @property
    def most_low_water(self) -> int:
        """The most that SO_RCVLOWAT can be, in bytes."""
        return (1 << 31) - 1

    def bind(self, address: tuple[Address, int]) -> None:
        """Port 0 asks for an ephemeral one.

        Raises OSError EADDRNOTAVAIL for an address that is not this host's, EINVAL when bound already, EADDRINUSE.
        """
        raise NotImplementedError

    def connect(self, address: tuple[Address, int] | None) -> None:
        """None is AF_UNSPEC: be unconnected again."""
        raise NotImplementedError

    def listen(self, backlog: int) -> None:
        raise error(errno.EOPNOTSUPP)

    def accept(self) -> Socket:
        raise error(errno.EOPNOTSUPP)

    def shutdown(self, how: int) -> None:
        """SHUT_RD, SHUT_WR or SHUT_RDWR. Raises OSError EINVAL for another number, ENOTCONN."""
        raise NotImplementedError

    def close(self) -> None:
        """Harmless when repeated."""
        raise NotImplementedError

    def getsockname(self) -> tuple[Address, int]:
        """The local address and port; zeros for what has not been decided."""
        raise NotImplementedError

    def getpeername(self) -> tuple[Address, int]:
        """Raises OSError ENOTCONN."""
        raise NotImplementedError

    def readiness(self) -> int:
        """What poll(2) would say now: the bits POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLRDHUP."""
        raise NotImplementedError

    def unblocks(self, events: int) -> bool:
        """Whether a call that waits for ``events`` goes on. What lies in the error queue is news for poll(2) alone:
        other calls neither see it nor return for it."""
        bits = self.readiness() & events
        return bool(bits & ~n.POLLERR) or (bits == n.POLLERR and self.failed)

    @property
    def failed(self) -> bool:
        """Whether an errno waits, to be told by the next call."""
        raise NotImplementedError

    def integer_option(self, level: int, name: int, default: int = 0) -> int:
        """An option that is kept in ``values``."""
        value = self.values.get((level, name), default)
        return value if isinstance(value, int) else default

    @property
    def timestamping(self) -> int:
        """The bits of SO_TIMESTAMPING."""
        return self.integer_option(n.SOL_SOCKET, n.SO_TIMESTAMPING)

    def report(self, report: Report) -> None:
        """Something for the error queue, which has the room that SO_RCVBUF gives."""
        if self.error_queue is None:
            self.error_queue = ErrorQueue()
        room = self.option_table[n.SOL_SOCKET, n.SO_RCVBUF].get(self)
        assert isinstance(room, int)
        self.error_queue.put(report, room)
        self.wake()

    def report_returned(self, first: int, last: int) -> None:
        """The memory of calls with MSG_ZEROCOPY is free, from the ``first`` to the ``last``."""
        if self.error_queue is None:
            self.error_queue = ErrorQueue()
        self.error_queue.put_returned(first, last)
        self.wake()

    def receive_error(self, size: int) -> Message:
        """recvmsg with MSG_ERRQUEUE: what waits in the error queue (ip(7)), with its stamp if those are asked for now.
        Raises OSError EAGAIN."""
        if self.error_queue is None:
            raise error(errno.EAGAIN)
        message = self.error_queue.take(size)
        if len(message.control) > 1 and not self.timestamping & n.SOF_TIMESTAMPING_SOFTWARE:
            del message.control[:-1]
        return message

    def wake(self) -> None:
        """Have the observer called before long."""
        if not self.closed:
            self.calls.host.scheduler.call_soon(self._tell_observer)

    def _tell_observer(self) -> None:
        if self.observer is not None:
            self.observer()

    def ioctl(self, request: int) -> int:
        """The number that ioctl(2) gives for SIOCINQ, SIOCOUTQ, SIOCOUTQNSD and SIOCATMARK (tcp(7), udp(7)).

        Raises OSError EINVAL for a listener, ENOTTY for other requests.
        """
        raise NotImplementedError

    def take_error(self) -> int:
        """The errno that waits, which is thereby cleared; 0 for none."""
        raise NotImplementedError

    def report_error(self) -> int:
        """SO_ERROR: the same, or what went wrong on the way and did not matter in the end."""
        return self.take_error()

    def mtu(self) -> int:
        """The MTU of the path to the peer, in bytes. Raises OSError ENOTCONN."""
        raise NotImplementedError

    def getsockopt(self, level: int, name: int, size: int = 1024) -> bytes:
        """An option's value, at most ``size`` bytes of it. Raises OSError ENOPROTOOPT, EINVAL."""
        return get_option(self.option_table, self, level, name, size)

    def setsockopt(self, level: int, name: int, value: bytes) -> None:
        """Raises OSError ENOPROTOOPT for an option that is not known or cannot be set, EINVAL for a bad value."""
        set_option(self.option_table, self, level, name, value)
        self._option_changed()

    def _option_changed(self) -> None:
        """Put into effect what the option has changed."""

    @property
    def _binds_anywhere(self) -> bool:
        """Whether the socket may have an address that is not the host's."""
        free = self.values.get((n.IPPROTO_IP, n.IP_FREEBIND)) or self.values.get((n.IPPROTO_IP, n.IP_TRANSPARENT))
        return bool(free) or self.calls.settings.nonlocal_bind

    def _check_local(self, address: Address) -> None:
        """Whether a socket of this host may be bound to ``address``."""
        _check_family(address)
        internet = self.calls.host.internet
        if (
            any(address)
            and not self._binds_anywhere
            and not (internet.is_local(address) or internet.is_broadcast(address) or is_multicast(address))
        ):
            raise error(errno.EADDRNOTAVAIL)

    def _target(self, address: tuple[Address, int]) -> tuple[Address, int]:
        """Where a packet to ``address`` goes: to this host if it is the wildcard, as on Linux."""
        if len(address[0]) == _ADDRESS_SIZE and address[0] != ANY4:
            return address
        _check_family(address[0])
        local = self.getsockname()[0]
        return (local if any(local) else _LOOPBACK), address[1]


def is_multicast(address: Address) -> bool:
    return len(address) == _ADDRESS_SIZE and address[0] & 0xF0 == 0xE0


def _check_family(address: Address) -> None:
    if len(address) != _ADDRESS_SIZE:
        raise error(errno.EAFNOSUPPORT)
