"""Calls that send and receive."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from ...stack.calls import DatagramSocket
from ...stack.calls import numbers as n
from ...stack.calls.messages import Message, stamps_asked_for
from ...stack.calls.reports import lend
from ...transport.errors import error
from ...transport.tcp.state import OPENING
from .constants import CONSTANTS
from .control import check_control, control_to_send, expected_control
from .errors import Unsupported
from .syntax import Anything, Array, Name, Number, Struct
from .values import address, check_address, check_number, check_text, data, is_null, number, show

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...stack.calls import StreamSocket
    from ...stack.calls.messages import Control
    from .opened import Descriptor
    from .process import Process
    from .program import Waiting
    from .syntax import Expression

_MSG_DONTWAIT: Final = CONSTANTS["MSG_DONTWAIT"]
#: Flags that change nothing for a script.
_HARMLESS: Final = (
    CONSTANTS["MSG_NOSIGNAL"] | CONSTANTS["MSG_CMSG_CLOEXEC"] | CONSTANTS["MSG_CONFIRM"] | CONSTANTS["MSG_DONTROUTE"]
)
_SEND_FLAGS: Final = n.MSG_OOB | n.MSG_FASTOPEN | n.MSG_ZEROCOPY | n.MSG_MORE | n.MSG_EOR
_RECEIVE_FLAGS: Final = n.MSG_OOB | n.MSG_PEEK | n.MSG_TRUNC | n.MSG_WAITALL | n.MSG_ERRQUEUE
_EVERY_FLAG: Final = _SEND_FLAGS | _RECEIVE_FLAGS | CONSTANTS["MSG_CTRUNC"]
#: Nothing more will come.
_ENDED: Final = n.POLLRDHUP | n.POLLHUP | n.POLLERR
_NO_FLAGS: Final = Number(0)
#: What one call receives at most, in bytes.
_MOST: Final = 0x7FFFF000


def _flags(expression: Expression, known: int) -> int:
    """Of what sends those of what receives mean nothing, and the other way round. Raises Unsupported for flags that the
    stack's calls do not know at all."""
    flags = number(expression) & ~_HARMLESS
    if flags & ~(_EVERY_FLAG | _MSG_DONTWAIT):
        raise Unsupported(f"flags {show(expression)}")
    return flags & (known | _MSG_DONTWAIT)


def _check_size(expression: Expression) -> None:
    """No buffer has so many bytes as a negative number says."""
    if number(expression) < 0:
        raise error(errno.EFAULT)


# -- sending


def _write(process: Process, fd: Expression, buffer: Expression, size: Expression) -> int | Waiting:
    return _send(process, fd, buffer, size, _NO_FLAGS)


def _send(process: Process, fd: Expression, buffer: Expression, size: Expression, flags: Expression) -> int | Waiting:
    return _sendto(process, fd, buffer, size, flags, Name("NULL"), Number(0))


def _sendto(
    process: Process,
    fd: Expression,
    buffer: Expression,
    size: Expression,
    flags: Expression,
    where: Expression,
    where_size: Expression,
) -> int | Waiting:
    descriptor = process.descriptor(fd)
    _check_size(size)
    opens = is_null(buffer) and number(flags) & n.MSG_FASTOPEN  # as on Linux, then without data
    return _put(process, descriptor, b"" if opens else data(buffer, number(size)), flags, where)


def _writev(process: Process, fd: Expression, pieces: Expression, count: Expression) -> int | Waiting:
    return _put(process, process.descriptor(fd), gathered(pieces), _NO_FLAGS, Name("NULL"))


def _sendmsg(process: Process, fd: Expression, message: Expression, flags: Expression) -> int | Waiting:
    descriptor = process.descriptor(fd)
    message = message_of(message)
    where = message.get("msg_name") or Name("NULL")
    control = control_to_send(message)
    return _put(process, descriptor, gathered(message.get("msg_iov")), flags, where, control)


def _put(
    process: Process,
    descriptor: Descriptor,
    content: bytes,
    flags: Expression,
    where: Expression,
    control: Sequence[Control] = (),
) -> int | Waiting:
    bits = _flags(flags, _SEND_FLAGS)
    socket = descriptor.socket
    if isinstance(socket, DatagramSocket):
        size = _put_datagram(process, socket, content, where, control, bits)
        descriptor.left += 1
        return size
    wait = not (descriptor.nonblocking or bits & _MSG_DONTWAIT)
    target = _target(process, where) if bits & n.MSG_FASTOPEN else None
    stamped = stamps_asked_for(control)
    rest = bits & ~(_MSG_DONTWAIT | n.MSG_ZEROCOPY)
    sending = _put_stream(process, descriptor, content, rest, target, wait, stamped)
    return _lent(descriptor, sending) if bits & n.MSG_ZEROCOPY else sending


def _lent(descriptor: Descriptor, sending: Waiting) -> Waiting:
    """What a call writes without copying is one loan, however many pieces it goes in."""
    sent: int = yield from sending
    if sent:
        lend(descriptor.stream)
    return sent


def put_stream(process: Process, descriptor: Descriptor, content: bytes, flags: int = 0) -> Waiting:
    """Write to a stream as write(2) does."""
    return _put_stream(process, descriptor, content, flags, None, not descriptor.nonblocking, None)


def _target(process: Process, where: Expression) -> tuple[bytes, int] | None:
    if is_null(where):
        return None
    if "AF_UNSPEC" in show(where):
        raise error(errno.EOPNOTSUPP)
    if isinstance(where, Struct):
        return address(where)
    return process.machine.remote, process.configuration.connect_port


def _put_stream(
    process: Process,
    descriptor: Descriptor,
    content: bytes,
    flags: int,
    target: tuple[bytes, int] | None,
    wait: bool,
    stamped: int | None,
) -> Waiting:
    stream = descriptor.stream
    limit = descriptor.time_limit(n.SO_SNDTIMEO, process.now)
    sent = 0
    opens = target is not None or stream.opens_by_sending
    while True:
        try:
            if sent and stream.error:
                return sent  # the next call tells
            sent += stream.send(content[sent:], flags, target, stamped=stamped)
            flags &= ~n.MSG_FASTOPEN  # it connects already
            while wait and opens and stream.connection and stream.connection.state in OPENING:
                if sent < len(content):
                    stream.wait_for_room()
                yield limit
        except BlockingIOError:
            if not wait or (limit is not None and process.now >= limit):
                if sent:
                    return sent
                raise
            flags &= ~n.MSG_FASTOPEN  # it connects already
            stream.wait_for_room()
            yield limit
            while not stream.readiness() & n.WRITABLE and (limit is None or process.now < limit):
                yield limit  # as on Linux, a little room wakes nobody
        except OSError:
            if sent:
                return sent
            raise
        if sent == len(content):
            return sent


def _put_datagram(
    process: Process,
    socket: DatagramSocket,
    content: bytes,
    where: Expression,
    control: Sequence[Control],
    flags: int,
) -> int:
    target = None
    if isinstance(where, Struct) or (isinstance(where, Anything) and socket.endpoint.remote is None):
        target = _target(process, where)
    size = socket.send([content], target, control, flags)
    target = target or socket.endpoint.remote
    if target is not None:
        process.flows.udp_ports = socket.getsockname()[1], target[1]
    return size


# -- receiving


def _read(process: Process, fd: Expression, buffer: Expression, size: Expression) -> int | Waiting:
    process.descriptor(fd)
    _check_size(size)
    return _recv(process, fd, buffer, size, _NO_FLAGS) if number(size) else 0


def _recv(process: Process, fd: Expression, buffer: Expression, size: Expression, flags: Expression) -> Waiting:
    return _recvfrom(process, fd, buffer, size, flags, Anything(), Anything())


def _recvfrom(
    process: Process,
    fd: Expression,
    buffer: Expression,
    size: Expression,
    flags: Expression,
    peer: Expression,
    peer_size: Expression,
) -> Waiting:
    nowhere = is_null(buffer) and number(size) > 0 and not number(flags) & n.MSG_TRUNC
    asked = Number(number(flags) | n.MSG_PEEK) if nowhere else flags
    descriptor = process.descriptor(fd)
    room = number(size) if number(size) >= 0 else _MOST
    got = yield from _get(process, descriptor, room, asked)
    if nowhere and got.data:
        raise error(errno.EFAULT)
    check_text(buffer, got.data)
    check_address(peer, got.source)
    return len(got.data)


def _readv(process: Process, fd: Expression, pieces: Expression, count: Expression) -> Waiting:
    descriptor = process.descriptor(fd)
    if not space(pieces):
        return 0
    got = yield from _get(process, descriptor, space(pieces), _NO_FLAGS)
    return len(got.data)


def _recvmsg(process: Process, fd: Expression, message: Expression, flags: Expression) -> Waiting:
    descriptor = process.descriptor(fd)
    message = message_of(message)
    wanted = expected_control(message)
    got = yield from _get(process, descriptor, space(message.get("msg_iov")), flags)
    cut = CONSTANTS["MSG_CTRUNC"] if len(got.control) > len(wanted) else 0
    check_address(message.get("msg_name") or Anything(), got.source)
    check_number("msg_flags", message.get("msg_flags") or Anything(), got.flags | cut)
    tolerance = process.configuration.tolerance_usecs / 1e6
    check_control(wanted, got.control[: len(wanted)], process.machine.clock_began, tolerance)
    return len(got.data)


def _get(process: Process, descriptor: Descriptor, size: int, flags: Expression) -> Any:
    """The message that was received."""
    bits = _flags(flags, _RECEIVE_FLAGS)
    limit = descriptor.time_limit(n.SO_RCVTIMEO, process.now)
    if descriptor.nonblocking or bits & (_MSG_DONTWAIT | n.MSG_OOB):  # nobody waits for an urgent byte
        limit = process.now
    socket = descriptor.socket
    if bits & n.MSG_ERRQUEUE:
        return socket.receive_error(size)
    if isinstance(socket, DatagramSocket):
        return (yield from _get_datagram(process, socket, size, bits, limit))
    return (yield from _get_stream(process, descriptor.stream, size, bits & ~_MSG_DONTWAIT, limit))


def get_stream(process: Process, descriptor: Descriptor, size: int) -> Any:
    """Read from a stream as read(2) does."""
    limit = descriptor.time_limit(n.SO_RCVTIMEO, process.now)
    if descriptor.nonblocking:
        limit = process.now
    return (yield from _get_stream(process, descriptor.stream, size, 0, limit))


def _get_stream(process: Process, stream: StreamSocket, size: int, flags: int, limit: float | None) -> Any:
    """As Linux does: a call that waits takes what there is, and is woken when the low-water mark is reached again."""
    low = stream.receive_low_water
    wanted = size if flags & n.MSG_WAITALL else min(size, low)
    content, waited = b"", False
    while True:
        late = limit is not None and process.now >= limit
        ended = bool(stream.readiness() & _ENDED)
        if not waited or late or ended or stream.readable >= low:
            message = None
            if stream.readable or not content:
                try:
                    left = size if flags & n.MSG_PEEK else size - len(content)
                    message = stream.receive_message(left, flags & ~n.MSG_WAITALL)
                except BlockingIOError:
                    if late:
                        raise
            if message is not None:
                content = message.data if flags & n.MSG_PEEK else content + message.data
                if len(content) >= wanted or not message.data or late or ended:
                    return message._replace(data=content)
            elif content and (late or ended):
                return Message(content, [], 0, None)
        waited = True
        yield limit


def _get_datagram(process: Process, socket: DatagramSocket, size: int, flags: int, limit: float | None) -> Any:
    while True:
        message = socket.receive_message(size, flags)
        if message is not None:
            return message
        if limit is not None and process.now >= limit:
            raise error(errno.EAGAIN)
        if socket.readiness() & n.POLLIN:
            return Message(b"", [], 0, None)  # shut down
        yield limit


# -- structures


def message_of(expression: Expression) -> Struct:
    """struct msghdr. Raises OSError EFAULT for NULL."""
    if is_null(expression):
        raise error(errno.EFAULT)
    if not isinstance(expression, Struct):
        raise Unsupported(f"a message written as {show(expression)}")
    return expression


def _pieces(expression: Expression | None) -> list[tuple[Expression, int]]:
    """The elements of an array of struct iovec: contents and size."""
    pieces = []
    for item in expression.items if isinstance(expression, Array) else ():
        if not isinstance(item, Struct) or len(item.fields) != 2:
            raise Unsupported(f"struct iovec written as {show(item)}")
        (_, content), (_, size) = item.fields
        if number(size) < 0:
            raise error(errno.EINVAL)
        pieces.append((content, number(size)))
    return pieces


def gathered(expression: Expression | None) -> bytes:
    return b"".join(data(content, size) for content, size in _pieces(expression))


def space(expression: Expression | None) -> int:
    return sum(size for _, size in _pieces(expression))


CALLS: Final[dict[str, Callable[..., int | Waiting]]] = {
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
}
