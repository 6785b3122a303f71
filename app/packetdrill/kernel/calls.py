"""The system calls of a script, made to the kernel."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ....stack.calls import numbers as n
from ..constants import CONSTANTS
from ..control import check_control, control_sizes, control_to_send, expected_control
from ..errors import Unsupported
from ..files import numbers_of, path_of
from ..polling import event_data, expected_events, show_events, structs
from ..syntax import Anything, Name, Number, Struct
from ..transfer import gathered, message_of, space
from ..values import (
    address,
    check,
    check_address,
    check_number,
    check_option_value,
    check_text,
    data,
    is_null,
    number,
    option_room,
    option_size,
    option_value,
    show,
)
from . import system
from .system import Opened, call

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..syntax import Expression
    from .program import KernelProgram

_POLL: Final = struct.Struct("=ihh")
_EPOLL: Final = struct.Struct("=IQ")
_NO_FLAGS: Final = Number(0)
_IOCTLS: Final = (termios.FIONREAD, termios.TIOCOUTQ, CONSTANTS["SIOCOUTQNSD"], CONSTANTS["SIOCATMARK"])


def _socket(program: KernelProgram, family: Expression, kind: Expression, protocol: Expression) -> Opened:
    families = n.AF_INET if isinstance(family, Anything) else number(family)
    if families == CONSTANTS["AF_INET6"]:
        raise Unsupported("IPv6 sockets")
    opened = Opened(call("socket", families, number(kind), number(protocol)))
    program.flows.socket_made()
    wanted = program.machine.congestion_control.encode()
    if wanted and number(kind) & n.SOCK_TYPE_MASK == n.SOCK_STREAM:
        call("setsockopt", opened.descriptor, n.IPPROTO_TCP, n.TCP_CONGESTION, wanted, len(wanted))
    return opened


def _where(expression: Expression, default: tuple[bytes, int]) -> bytes | None:
    """struct sockaddr of a call's argument."""
    if isinstance(expression, Anything):
        return system.address_bytes(n.AF_INET, *default)
    if is_null(expression):
        return None
    if "AF_UNSPEC" in show(expression):
        return system.address_bytes(0, bytes(4), 0)
    return system.address_bytes(n.AF_INET, *address(expression))


def _size(expression: Expression, where: bytes | None) -> int:
    return len(where or b"") if isinstance(expression, Anything) else number(expression)


def _is_datagram(fd: int) -> bool:
    return system.getsockopt(fd, n.SOL_SOCKET, n.SO_TYPE, 4)[0] == n.SOCK_DGRAM


def _bind(program: KernelProgram, fd: Expression, where: Expression, size: Expression) -> int:
    descriptor = program.descriptor(fd)
    local = _where(where, (program.machine.local, program.configuration.bind_port))
    call("bind", descriptor, local, _size(size, local))
    if _is_datagram(descriptor):
        program.flows.udp_ports = system.getsockname(descriptor)[1], program.flows.udp_ports[1]
    return 0


def _listen(program: KernelProgram, fd: Expression, backlog: Expression) -> int:
    descriptor = program.descriptor(fd)
    call("listen", descriptor, number(backlog))
    program.flows.listens(system.getsockname(descriptor)[1])
    return 0


def _accept(program: KernelProgram, fd: Expression, peer: Expression, size: Expression) -> Opened:
    return _accept4(program, fd, peer, size, _NO_FLAGS)


def _accept4(
    program: KernelProgram, fd: Expression, peer: Expression, size: Expression, flags: Expression = _NO_FLAGS
) -> Opened:
    source = system.Address()
    accepted = call("accept4", program.descriptor(fd), *source.arguments, number(flags))
    check_address(peer, source.value)
    return Opened(accepted)


def _connect(program: KernelProgram, fd: Expression, where: Expression, size: Expression) -> int:
    descriptor = program.descriptor(fd)
    target = _where(where, _remote(program))
    call("connect", descriptor, target, _size(size, target))
    if _is_datagram(descriptor) and "AF_UNSPEC" not in show(where):
        program.flows.udp_ports = system.getsockname(descriptor)[1], system.getpeername(descriptor)[1]
    return 0


def _remote(program: KernelProgram) -> tuple[bytes, int]:
    return program.machine.remote, program.configuration.connect_port


def _shutdown(program: KernelProgram, fd: Expression, how: Expression) -> int:
    return call("shutdown", program.descriptor(fd), number(how))


def _close(program: KernelProgram, fd: Expression) -> int:
    return call("close", program.table.pop(number(fd), -1))


def _getsockname(program: KernelProgram, fd: Expression, where: Expression, size: Expression) -> int:
    check_address(where, system.getsockname(program.descriptor(fd)))
    return 0


def _getpeername(program: KernelProgram, fd: Expression, where: Expression, size: Expression) -> int:
    check_address(where, system.getpeername(program.descriptor(fd)))
    return 0


def _setsockopt(
    program: KernelProgram, fd: Expression, level: Expression, option: Expression, value: Expression, size: Expression
) -> int:
    length = option_size(size, value)
    content = None if is_null(value) else option_value(value, length)
    return call("setsockopt", program.descriptor(fd), number(level), number(option), content, length)


def _getsockopt(
    program: KernelProgram, fd: Expression, level: Expression, option: Expression, value: Expression, size: Expression
) -> int:
    asked = option_room(size)
    what = program.descriptor(fd), number(level), number(option)
    check_option_value(value, system.getsockopt(*what, asked, nowhere=is_null(value)))
    return 0


def _fcntl(
    program: KernelProgram, fd: Expression, command: Expression, argument: Expression = _NO_FLAGS
) -> int | Opened:
    result = call("fcntl", program.descriptor(fd), number(command), number(argument))
    return Opened(result) if number(command) in (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC) else result


def _ioctl(program: KernelProgram, fd: Expression, request: Expression, value: Expression) -> int:
    descriptor, what = program.descriptor(fd), number(request)
    if what == termios.FIONBIO:
        return call("ioctl", descriptor, what, ctypes.byref(ctypes.c_int(number(value))))
    if what not in _IOCTLS:
        raise Unsupported(f"ioctl {show(request)}")
    given = ctypes.c_int()
    result = call("ioctl", descriptor, what, ctypes.byref(given))
    check_number("value", value, given.value)
    return result


# -- sending


def _write(program: KernelProgram, fd: Expression, buffer: Expression, size: Expression) -> int:
    content = None if is_null(buffer) else data(buffer, number(size))
    return call("write", program.descriptor(fd), content, system.size(number(size)))


def _writev(program: KernelProgram, fd: Expression, pieces: Expression, count: Expression) -> int:
    return os.writev(program.descriptor(fd), [gathered(pieces)])


def _send(program: KernelProgram, fd: Expression, buffer: Expression, size: Expression, flags: Expression) -> int:
    return _sendto(program, fd, buffer, size, flags, Name("NULL"), Number(0))


def _sendto(
    program: KernelProgram,
    fd: Expression,
    buffer: Expression,
    size: Expression,
    flags: Expression,
    where: Expression,
    where_size: Expression,
) -> int:
    descriptor, bits = program.descriptor(fd), number(flags)
    content = None if is_null(buffer) else data(buffer, number(size))
    target = _target(program, descriptor, where, bits)
    sent = call("sendto", descriptor, content, system.size(number(size)), bits, target, len(target or b""))
    _note_datagram(program, descriptor, target)
    return sent


def _target(program: KernelProgram, descriptor: int, where: Expression | None, flags: int) -> bytes | None:
    """To whom is sent, if the call says so; ``...`` is the remote host where somebody must be named."""
    if isinstance(where, Struct):
        return _where(where, _remote(program))
    if isinstance(where, Anything) and (flags & n.MSG_FASTOPEN or _is_loose(descriptor)):
        return _where(where, _remote(program))
    return None


def _is_loose(descriptor: int) -> bool:
    """Whether it is a datagram socket that is not connected."""
    try:
        system.getpeername(descriptor)
    except OSError:
        return _is_datagram(descriptor)
    return False


def _note_datagram(program: KernelProgram, descriptor: int, target: bytes | None) -> None:
    if not _is_datagram(descriptor):
        return
    with suppress(OSError):
        remote = (target and system.read_address(target)) or system.getpeername(descriptor)
        program.flows.udp_ports = system.getsockname(descriptor)[1], remote[1]


def _sendmsg(program: KernelProgram, fd: Expression, message: Expression, flags: Expression) -> int:
    descriptor, bits = program.descriptor(fd), number(flags)
    written = message_of(message)
    content, target = gathered(written.get("msg_iov")), _target(program, descriptor, written.get("msg_name"), bits)
    vectors = system.Vectors(content)
    header = vectors.header(target)
    control = system.control_bytes(control_to_send(written))
    header.control, header.control_size = ctypes.addressof(control), len(control.raw) - 1
    sent = call("sendmsg", descriptor, ctypes.byref(header), bits)
    _note_datagram(program, descriptor, target)
    return sent


# -- receiving


def _read(program: KernelProgram, fd: Expression, buffer: Expression, size: Expression) -> int:
    room = ctypes.create_string_buffer(max(number(size), 1))
    got = call("read", program.descriptor(fd), None if is_null(buffer) else room, system.size(number(size)))
    check_text(buffer, room.raw[:got])
    return got


def _readv(program: KernelProgram, fd: Expression, pieces: Expression, count: Expression) -> int:
    return os.readv(program.descriptor(fd), [bytearray(space(pieces))])


def _recv(program: KernelProgram, fd: Expression, buffer: Expression, size: Expression, flags: Expression) -> int:
    return _recvfrom(program, fd, buffer, size, flags, Anything(), Anything())


def _recvfrom(
    program: KernelProgram,
    fd: Expression,
    buffer: Expression,
    size: Expression,
    flags: Expression,
    peer: Expression,
    peer_size: Expression,
) -> int:
    room = ctypes.create_string_buffer(max(number(size), 1))
    source = system.Address()
    length = system.size(number(size))
    where = None if is_null(buffer) else room
    got = call("recvfrom", program.descriptor(fd), where, length, number(flags), *source.arguments)
    check_text(buffer, room.raw[:got])
    check_address(peer, source.value)
    return got


def _recvmsg(program: KernelProgram, fd: Expression, message: Expression, flags: Expression) -> int:
    written = message_of(message)
    vectors = system.Vectors(bytes(space(written.get("msg_iov"))))
    source = system.Address()
    header = vectors.header(None)
    header.name, header.name_size = ctypes.addressof(source.room), source.size.value
    wanted = expected_control(written)
    control = system.control_room(control_sizes(wanted))
    header.control, header.control_size = ctypes.addressof(control), len(control.raw) - 1
    got = call("recvmsg", program.descriptor(fd), ctypes.byref(header), number(flags))
    source.size.value = header.name_size
    check_address(written.get("msg_name") or Anything(), source.value)
    check_number("msg_flags", written.get("msg_flags") or Anything(), header.flags)
    tolerance = program.configuration.tolerance_usecs / 1e6
    found = system.read_control(control.raw[: header.control_size])
    check_control(wanted, found, program.machine.clock_began, tolerance)
    return got


# -- what is ready


def _poll(program: KernelProgram, entries: Expression, count: Expression, timeout: Expression) -> int:
    asked = structs(entries)
    room = ctypes.create_string_buffer(_POLL.size * len(asked))
    for index, struct_ in enumerate(asked):
        asked_for = struct_.get("fd") or Number(-1)
        fd = program.descriptor(asked_for) if number(asked_for) >= 0 else -1
        if fd < 0 <= number(asked_for):
            fd = _unused()
        _POLL.pack_into(room, index * _POLL.size, fd, _events(struct_), 0)
    result = call("poll", room, len(asked), number(timeout))
    for index, struct_ in enumerate(asked):
        returned = _POLL.unpack_from(room, index * _POLL.size)[2]
        check_number("revents", struct_.get("revents") or Anything(), returned & 0xFFFF)
    return result


def _unused() -> int:
    """A descriptor that is not open, but no negative number, which poll ignores."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def _events(struct_: Struct) -> int:
    return number(struct_.get("events") or Number(0))


def _epoll_create(program: KernelProgram, size: Expression) -> Opened:
    return Opened(call("epoll_create", number(size)))


def _epoll_create1(program: KernelProgram, flags: Expression) -> Opened:
    return Opened(call("epoll_create1", number(flags)))


def _epoll_ctl(
    program: KernelProgram, epoll: Expression, operation: Expression, fd: Expression, event: Expression
) -> int:
    asked = structs(event)[0] if isinstance(event, Struct) else Struct(())
    content = _EPOLL.pack(_events(asked) & 0xFFFFFFFF, event_data(asked))
    return call("epoll_ctl", program.descriptor(epoll), number(operation), program.descriptor(fd), content)


def _epoll_wait(
    program: KernelProgram, epoll: Expression, events: Expression, most: Expression, timeout: Expression
) -> int:
    room = ctypes.create_string_buffer(_EPOLL.size * max(number(most), 1))
    count = call("epoll_wait", program.descriptor(epoll), room, number(most), number(timeout))
    found = [_EPOLL.unpack_from(room, index * _EPOLL.size) for index in range(count)]
    expected = expected_events(events)
    if found and expected:
        check("events", show_events(expected[:count]), show_events(found[: len(expected)]))
    return count


# -- files and pipes


def _open(program: KernelProgram, name: Expression, flags: Expression, mode: Expression = _NO_FLAGS) -> Opened:
    return Opened(os.open(program.folder / path_of(name), number(flags), number(mode)))


def _pipe(program: KernelProgram, ends: Expression, flags: Expression = _NO_FLAGS) -> int:
    for where, descriptor in zip(numbers_of(ends), os.pipe2(number(flags)), strict=True):
        program.open(where, Opened(descriptor))
    return 0


def _dup(program: KernelProgram, fd: Expression) -> Opened:
    return Opened(call("dup", program.descriptor(fd)))


def _dup2(program: KernelProgram, fd: Expression, to: Expression, flags: Expression = _NO_FLAGS) -> int:
    where = number(to)
    descriptor = call("dup", program.descriptor(fd))
    if where in program.table:
        os.close(program.table[where])
    program.open(where, Opened(descriptor))
    return where


def _sendfile(program: KernelProgram, out: Expression, fd: Expression, offset: Expression, size: Expression) -> int:
    start = None if isinstance(offset, Name) else ctypes.byref(ctypes.c_long(number(offset)))
    length = system.size(number(size))
    return call("sendfile", program.descriptor(out), program.descriptor(fd), start, length)


def _splice(
    program: KernelProgram,
    fd: Expression,
    offset: Expression,
    out: Expression,
    out_offset: Expression,
    size: Expression,
    flags: Expression,
) -> int:
    ends = program.descriptor(fd), None, program.descriptor(out), None
    return call("splice", *ends, system.size(number(size)), number(flags))


CALLS: Final[dict[str, Callable[..., Any]]] = {
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
    "open": _open,
    "pipe": _pipe,
    "pipe2": _pipe,
    "dup": _dup,
    "dup2": _dup2,
    "dup3": _dup2,
    "sendfile": _sendfile,
    "splice": _splice,
    "ioctl": _ioctl,
    "write": _write,
    "writev": _writev,
    "send": _send,
    "sendto": _sendto,
    "sendmsg": _sendmsg,
    "read": _read,
    "readv": _readv,
    "recv": _recv,
    "recvfrom": _recvfrom,
    "recvmsg": _recvmsg,
    "poll": _poll,
    "epoll_create": _epoll_create,
    "epoll_create1": _epoll_create1,
    "epoll_ctl": _epoll_ctl,
    "epoll_wait": _epoll_wait,
}
