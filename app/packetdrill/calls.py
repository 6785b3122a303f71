"""The system calls of a script, upon the stack's calls."""

from __future__ import annotations

import errno
import fcntl
import os
import socket as kernel
import termios
from typing import TYPE_CHECKING, Final

from ...stack.calls import StreamSocket
from ...stack.calls import numbers as n
from ...transport.errors import error
from ...transport.tcp.state import State
from . import files, polling, transfer
from .constants import CONSTANTS
from .errors import Unsupported
from .opened import Descriptor, Opened, is_datagram
from .pipes import PipeEnd
from .process import Process, is_finishing
from .syntax import Anything
from .values import (
    address,
    check_address,
    check_number,
    check_option_value,
    is_null,
    number,
    option_room,
    option_size,
    option_value,
    show,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .process import Result
    from .program import Waiting
    from .syntax import Expression

#: struct sockaddr_in.
_ADDRESS_SIZE: Final = 16
#: struct sockaddr_storage.
_LARGEST_ADDRESS: Final = 128
#: The first port that anyone may bind.
_UNPRIVILEGED: Final = 1024
_NET_ADMIN: Final = CONSTANTS["CAP_NET_ADMIN"]
#: Options that take CAP_NET_ADMIN (socket(7), tcp(7)).
_PRIVILEGED: Final = frozenset(
    (n.SOL_SOCKET, CONSTANTS[name]) for name in ("SO_MARK", "SO_RCVBUFFORCE", "SO_SNDBUFFORCE")
) | {(n.IPPROTO_TCP, CONSTANTS["TCP_REPAIR"])}


def _socket(process: Process, family: Expression, kind: Expression, protocol: Expression) -> Result:
    kinds = number(kind)
    if kinds & ~(n.SOCK_TYPE_MASK | kernel.SOCK_CLOEXEC | kernel.SOCK_NONBLOCK):
        raise error(errno.EINVAL)
    families = n.AF_INET if isinstance(family, Anything) else number(family)
    if families == CONSTANTS["AF_INET6"]:
        raise Unsupported("IPv6 sockets")
    if kinds & n.SOCK_TYPE_MASK == n.SOCK_RAW:
        raise Unsupported("raw sockets")
    made = process.machine.host.calls.socket(families, kinds, number(protocol))
    process.flows.socket_made()
    return Descriptor(made, nonblocking=bool(kinds & kernel.SOCK_NONBLOCK))


def _bind(process: Process, fd: Expression, where: Expression, size: Expression) -> int:
    descriptor = process.descriptor(fd)
    _check_where(where, size)
    if isinstance(where, Anything):
        local = process.machine.local, process.configuration.bind_port
    else:
        local = address(where)
    if 0 < local[1] < _UNPRIVILEGED and CONSTANTS["CAP_NET_BIND_SERVICE"] in process.lacking:
        raise error(errno.EACCES)
    descriptor.socket.bind(local)
    if is_datagram(descriptor):
        process.flows.udp_ports = descriptor.socket.getsockname()[1], process.flows.udp_ports[1]
    return 0


def _check_where(where: Expression, size: Expression) -> None:
    """Whether a call can read a socket address there. Raises OSError EINVAL for a size that none has, EFAULT."""
    given = _ADDRESS_SIZE if isinstance(size, Anything) else number(size)
    if is_null(where) and 0 < given <= _LARGEST_ADDRESS:
        raise error(errno.EFAULT)
    if not _ADDRESS_SIZE <= given <= _LARGEST_ADDRESS:
        raise error(errno.EINVAL)


def _listen(process: Process, fd: Expression, backlog: Expression) -> int:
    descriptor = process.descriptor(fd)
    descriptor.socket.listen(number(backlog))
    process.flows.listens(descriptor.socket.getsockname()[1])
    return 0


def _accept(process: Process, fd: Expression, peer: Expression, size: Expression) -> Waiting:
    return _accept4(process, fd, peer, size)


def _accept4(
    process: Process, fd: Expression, peer: Expression, size: Expression, flags: Expression | None = None
) -> Waiting:
    if flags is not None and number(flags) & ~(kernel.SOCK_NONBLOCK | kernel.SOCK_CLOEXEC):
        raise error(errno.EINVAL)
    descriptor = process.descriptor(fd)
    limit = descriptor.time_limit(n.SO_RCVTIMEO, process.now)
    while True:
        try:
            accepted = descriptor.socket.accept()
            break
        except BlockingIOError:
            if descriptor.nonblocking or (limit is not None and process.now >= limit):
                raise
        yield limit
    assert isinstance(accepted, StreamSocket)
    check_address(peer, accepted.remote)
    nonblocking = flags is not None and number(flags) & kernel.SOCK_NONBLOCK
    return Descriptor(accepted, nonblocking=bool(nonblocking))


def _connect(process: Process, fd: Expression, where: Expression, size: Expression) -> Waiting:
    descriptor = process.descriptor(fd)
    target: tuple[bytes, int] | None
    if "AF_UNSPEC" in show(where):
        target = None
    else:
        _check_where(where, size)
        default = process.machine.remote, process.configuration.connect_port
        target = default if isinstance(where, Anything) else address(where)
    limit = descriptor.time_limit(n.SO_SNDTIMEO, process.now)
    begun = 0
    while True:
        try:
            descriptor.socket.connect(target)
            break
        except OSError as failure:
            begun = begun or failure.errno or 0
            if failure.errno not in (errno.EINPROGRESS, errno.EALREADY) or descriptor.nonblocking:
                raise
        if limit is not None and process.now >= limit:
            raise error(begun)
        yield limit
    if is_datagram(descriptor) and target is not None:
        process.flows.udp_ports = descriptor.socket.getsockname()[1], target[1]
    return 0


def _shutdown(process: Process, fd: Expression, how: Expression) -> int:
    process.descriptor(fd).socket.shutdown(number(how))
    return 0


def _close(process: Process, fd: Expression) -> Waiting:
    found = process.table.pop(number(fd), None)
    if found is None:
        raise error(errno.EBADF)
    if found.release():
        if isinstance(found, Descriptor):
            yield from _linger(process, found)
        found.let_go()
    return 0


def _linger(process: Process, descriptor: Descriptor) -> Waiting:
    """Wait until the peer has acknowledged everything, if SO_LINGER says so."""
    stream = descriptor.socket
    if isinstance(stream, StreamSocket) and stream.lingering and not stream.readable:  # O_NONBLOCK or not
        limit = process.now + (stream.linger or 0)
        if stream.connection is not None and stream.connection.state in (State.ESTABLISHED, State.CLOSE_WAIT):
            stream.shutdown(n.SHUT_WR)
        while is_finishing(stream) and process.now < limit:
            yield limit
    return 0


def _getsockname(process: Process, fd: Expression, where: Expression, size: Expression) -> int:
    check_address(where, process.descriptor(fd).socket.getsockname())
    return 0


def _getpeername(process: Process, fd: Expression, where: Expression, size: Expression) -> int:
    check_address(where, process.descriptor(fd).socket.getpeername())
    return 0


def _setsockopt(
    process: Process, fd: Expression, level: Expression, option: Expression, value: Expression, size: Expression
) -> int:
    descriptor = process.descriptor(fd)
    length = option_size(size, value)
    if is_null(value) and length:
        raise error(errno.EFAULT)
    if length < 0:
        raise error(errno.EINVAL)
    if (number(level), number(option)) in _PRIVILEGED and _NET_ADMIN in process.lacking:
        raise error(errno.EPERM)
    descriptor.socket.setsockopt(number(level), number(option), option_value(value, length))
    return 0


def _getsockopt(
    process: Process, fd: Expression, level: Expression, option: Expression, value: Expression, size: Expression
) -> int:
    descriptor = process.descriptor(fd)
    asked = option_room(size)
    found = descriptor.socket.getsockopt(number(level), number(option), asked)
    if is_null(value) and asked:
        raise error(errno.EFAULT)
    check_option_value(value, found)
    return 0


def _fcntl(process: Process, fd: Expression, command: Expression, argument: Expression | None = None) -> Result:
    descriptor = process.opened(fd)
    what = number(command)
    if what == fcntl.F_GETFL:
        return _access(descriptor) | descriptor.flags
    if what == fcntl.F_GETFD:
        return int(number(fd) in process.closing_on_exec)
    if what == fcntl.F_SETFD and argument is not None:
        on = number(argument) & fcntl.FD_CLOEXEC
        process.closing_on_exec = process.closing_on_exec - {number(fd)} | ({number(fd)} if on else set())
        return 0
    if what in (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC):
        descriptor.references += 1
        return descriptor
    if what == fcntl.F_SETFL and argument is not None:
        descriptor.flags = number(argument) & _SETTABLE
        return 0
    if what not in vars(fcntl).values():
        raise error(errno.EINVAL)
    raise Unsupported(f"fcntl {show(command)}")


def _access(opened: Opened) -> int:
    if isinstance(opened, PipeEnd):
        return os.O_WRONLY if opened.writes else os.O_RDONLY
    return os.O_RDWR


def _ioctl(process: Process, fd: Expression, request: Expression, value: Expression) -> int:
    descriptor = process.opened(fd)
    what = number(request)
    if what == termios.FIONBIO:
        descriptor.nonblocking = bool(number(value))
        return 0
    if what not in _COUNTS:
        raise Unsupported(f"ioctl {show(request)}")
    if isinstance(descriptor, PipeEnd) and what == n.SIOCINQ:
        check_number("value", value, len(descriptor.pipe))
        return 0
    check_number("value", value, process.descriptor(fd).socket.ioctl(what))
    return 0


def _cap_set(process: Process, flag: Expression, capability: Expression, operation: Expression) -> int:
    """As packetdrill has it: one of the process's capabilities (capabilities(7)) is set or cleared."""
    what, on = number(capability), number(operation)
    if number(flag) == CONSTANTS["CAP_EFFECTIVE"]:
        process.lacking = process.lacking - {what} if on else process.lacking | {what}
    return 0


_SETTABLE: Final = os.O_APPEND | os.O_NONBLOCK | os.O_ASYNC | os.O_DIRECT | os.O_NOATIME
_COUNTS: Final = (n.SIOCINQ, n.SIOCOUTQ, n.SIOCOUTQNSD, n.SIOCATMARK)

CALLS: Final[dict[str, Callable[..., Result | Waiting]]] = {
    "socket": _socket,
    "bind": _bind,
    "listen": _listen,
    "accept": _accept,
    "accept4": _accept4,
    "connect": _connect,
    "shutdown": _shutdown,
    "close": _close,
    "getsockname": _getsockname,
    "getpeername": _getpeername,
    "setsockopt": _setsockopt,
    "getsockopt": _getsockopt,
    "fcntl": _fcntl,
    "ioctl": _ioctl,
    "cap_set": _cap_set,
    **transfer.CALLS,
    **polling.CALLS,
    **files.CALLS,
}
