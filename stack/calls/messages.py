"""What recvmsg(2) gives besides data: control messages, flags, and what waits in a socket's error queue (ip(7))."""

from __future__ import annotations

import errno
import sys
from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from ...transport.errors import error
from . import numbers as n

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...net.address import Address
    from ...net.failure import Failure

#: A control message: its level, its type, and its data, a C structure.
Control = tuple[int, int, bytes]

_INT: Final = Struct("=i")
_TIME: Final = Struct("=qq")  # struct timespec and struct timeval on 64 bits
_EXTENDED_ERROR: Final = Struct("=IBBBBII")  # errno, origin, type, code, padding, info, data
_SOCKADDR_SIZE: Final = 16
#: What keeping a report costs beside its data, in bytes.
_OVERHEAD: Final = 512
_UINT: Final = (1 << 32) - 1


class Message(NamedTuple):
    """``flags`` are those that recvmsg gives back; ``source`` is None where it says none."""

    data: bytes
    control: list[Control]
    flags: int
    source: tuple[Address, int] | None


class ExtendedError(NamedTuple):
    """struct sock_extended_err (ip(7)): ``errno`` and where it comes from, ICMP's type and code, and numbers whose
    meaning depends on the origin."""

    errno: int
    origin: int
    type: int = 0
    code: int = 0
    info: int = 0
    data: int = 0


class Report(NamedTuple):
    """An entry of an error queue. ``data``: of the datagram it is about, which was sent to ``destination``;
    ``offender``: who reported it."""

    error: ExtendedError
    data: bytes = b""
    destination: tuple[Address, int] | None = None
    offender: Address | None = None
    control: tuple[Control, ...] = ()


class ErrorQueue:
    """The error queue of one socket. ``memory`` is what waits, in bytes, and what keeping it costs."""

    __slots__ = ("_reports", "memory")

    def __init__(self) -> None:
        self._reports: deque[Report] = deque()
        self.memory = 0

    def __len__(self) -> int:
        return len(self._reports)

    @property
    def next_errno(self) -> int:
        """The errno of the report that comes next, if it is about a datagram that failed; else 0."""
        report = self._reports[0] if self._reports else None
        return report.error.errno if report and report.error.origin in _FAILURES else 0

    def put(self, report: Report, room: int) -> None:
        """Add a report, unless the memory would reach ``room`` with it: as on Linux it is lost then."""
        if self.memory + len(report.data) + _OVERHEAD < room:
            self._add(report)

    def _add(self, report: Report) -> None:
        self.memory += len(report.data) + _OVERHEAD
        self._reports.append(report)

    def put_returned(self, first: int, last: int) -> None:
        """MSG_ZEROCOPY's notification: the memory of calls with these numbers is free. Neighbors have one report, and
        none is ever lost."""
        before = self._reports[-1].error if self._reports else None
        if before and before.origin == n.SO_EE_ORIGIN_ZEROCOPY and before.data + 1 & _UINT == first:
            self._reports[-1] = Report(before._replace(data=last))
            return
        # What is sent is a copy of what the program has: no card reads a program's memory here.
        found = ExtendedError(0, n.SO_EE_ORIGIN_ZEROCOPY, 0, n.SO_EE_CODE_ZEROCOPY_COPIED, first, last)
        self._add(Report(found))

    def take(self, size: int) -> Message:
        """recvmsg with MSG_ERRQUEUE: at most ``size`` bytes of data. Raises OSError EAGAIN when nothing waits."""
        if not self._reports:
            raise error(errno.EAGAIN)
        report = self._reports.popleft()
        self.memory -= len(report.data) + _OVERHEAD
        flags = n.MSG_ERRQUEUE | (n.MSG_TRUNC if len(report.data) > size else 0)
        value = _EXTENDED_ERROR.pack(*report.error[:4], 0, *report.error[4:]) + _sockaddr(report.offender)
        control = [*report.control, (n.IPPROTO_IP, n.IP_RECVERR, value)]
        return Message(report.data[:size], control, flags, report.destination)


_FAILURES: Final = frozenset({n.SO_EE_ORIGIN_LOCAL, n.SO_EE_ORIGIN_ICMP})


def _sockaddr(address: Address | None) -> bytes:
    """struct sockaddr_in; zeros for nobody."""
    if address is None:
        return bytes(_SOCKADDR_SIZE)
    return n.AF_INET.to_bytes(2, sys.byteorder) + bytes(2) + address + bytes(8)


def failure_report(failure: Failure, data: bytes) -> Report:
    """An ICMP error about a packet with these data."""
    origin = n.SO_EE_ORIGIN_LOCAL if failure.reporter is None else n.SO_EE_ORIGIN_ICMP
    found = ExtendedError(failure.errno, origin, failure.kind, failure.code, failure.mtu)
    return Report(found, data, (failure.destination, int.from_bytes(failure.quote[2:4])), failure.reporter)


#: What a message may say to the socket itself: SCM_RIGHTS and SCM_CREDENTIALS mean nothing here.
_TO_SEND: Final = frozenset({1, 2, n.SO_MARK, n.SO_PRIORITY, n.SO_TIMESTAMPING})


def stamps_asked_for(control: Sequence[Control]) -> int | None:
    """What a control message of sendmsg says in place of SO_TIMESTAMPING's bits; None if none does.

    Raises OSError EINVAL for bits that are not about sending, and for messages that sockets do not know.
    """
    wanted = None
    for level, kind, data in control:
        if level == n.SOL_SOCKET and kind not in _TO_SEND:
            raise error(errno.EINVAL)
        if (level, kind) == (n.SOL_SOCKET, n.SO_TIMESTAMPING):
            if len(data) != _INT.size or _INT.unpack(data)[0] & ~n.SOF_TIMESTAMPING_TX_RECORD_MASK:
                raise error(errno.EINVAL)
            wanted = _INT.unpack(data)[0]
    return wanted


def integer(level: int, kind: int, value: int) -> Control:
    return level, kind, _INT.pack(value)


def timestamp(option: int, when: float) -> Control:
    """SO_TIMESTAMP or SO_TIMESTAMPNS of a moment, in seconds since 1970."""
    seconds, rest = divmod(round(when * 1e9), 10**9)
    return n.SOL_SOCKET, option, _TIME.pack(seconds, rest if option == n.SO_TIMESTAMPNS else rest // 1000)


def stamps(when: float) -> Control:
    """SCM_TIMESTAMPING with the software's stamp: the first of three struct timespec."""
    seconds, rest = divmod(round(when * 1e9), 10**9)
    return n.SOL_SOCKET, n.SCM_TIMESTAMPING, _TIME.pack(seconds, rest) + bytes(2 * _TIME.size)
