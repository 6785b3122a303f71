"""Calls about descriptors that are not sockets, and between them and sockets: files, pipes, splice, sendfile, dup."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from ...stack.calls import numbers as n
from ...transport.errors import error
from . import transfer
from .constants import CONSTANTS
from .epoll import Epoll
from .errors import Unsupported
from .opened import Descriptor, File, Opened
from .pipes import PipeEnd, pipe
from .syntax import Array, Name, Number, Text
from .values import check_text, data, number, show

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .process import Process, Result
    from .program import Waiting
    from .syntax import Expression

_NO_FLAGS: Final = Number(0)
#: What /dev/zero gives, for scripts that send from it.
_ZEROS: Final = 1 << 24


def path_of(expression: Expression) -> str:
    if not isinstance(expression, Text):
        raise Unsupported(f"a file name written as {show(expression)}")
    return expression.value.decode()


def numbers_of(expression: Expression) -> tuple[int, int]:
    """The two descriptors that a script gives a pipe's ends."""
    if not isinstance(expression, Array) or len(expression.items) != 2:
        raise Unsupported(f"a pair of descriptors written as {show(expression)}")
    first, second = expression.items
    return number(first), number(second)


def _open(process: Process, name: Expression, flags: Expression, mode: Expression | None = None) -> Result:
    """What is written stays in memory: no script changes a file."""
    bits, path = number(flags), path_of(name)
    if path not in process.files:
        process.files[path] = _content(process, path, create=bool(bits & os.O_CREAT))
    content = process.files[path]
    if bits & os.O_TRUNC:
        content.clear()
    access = bits & os.O_ACCMODE
    return File(content, readable=access != os.O_WRONLY, writable=access != os.O_RDONLY)


def _content(process: Process, path: str, *, create: bool) -> bytearray:
    """Raises OSError ENOENT."""
    if path == "/dev/zero":
        return bytearray(_ZEROS)
    file = process.folder / path
    return bytearray() if create and not file.exists() else bytearray(file.read_bytes())


def _pipe(process: Process, ends: Expression, flags: Expression = _NO_FLAGS) -> int:
    bits = number(flags)
    if bits & ~(os.O_NONBLOCK | os.O_CLOEXEC | os.O_DIRECT):
        raise error(errno.EINVAL)
    made = pipe(nonblocking=bool(bits & os.O_NONBLOCK))
    process.table.update(zip(numbers_of(ends), made, strict=True))
    return 0


def _dup(process: Process, fd: Expression) -> Result:
    found = process.opened(fd)
    found.references += 1
    return found


def _dup2(process: Process, fd: Expression, to: Expression) -> int:
    found, where = process.opened(fd), number(to)
    if process.table.get(where) is found:
        return where
    found.references += 1
    replaced = process.table.pop(where, None)
    if replaced is not None and replaced.release():
        replaced.let_go()
    process.table[where] = found
    return where


def _dup3(process: Process, fd: Expression, to: Expression, flags: Expression) -> int:
    if number(fd) == number(to) or number(flags) & ~os.O_CLOEXEC:
        raise error(errno.EINVAL)
    return _dup2(process, fd, to)


# -- reading and writing


def _read(process: Process, fd: Expression, buffer: Expression, size: Expression) -> int | Waiting:
    found = process.opened(fd)
    if isinstance(found, File):
        content = found.read(number(size))
        check_text(buffer, content)
        return len(content)
    if isinstance(found, PipeEnd):
        return _read_pipe(found, buffer, number(size))
    if isinstance(found, Epoll):
        raise error(errno.EINVAL)
    return transfer.CALLS["read"](process, fd, buffer, size)


def _read_pipe(end: PipeEnd, buffer: Expression, size: int) -> Waiting:
    content = yield from _take(end, size)
    check_text(buffer, content)
    return len(content)


def _take(end: PipeEnd, size: int, *, wait: bool = True) -> Generator[float | None, None, bytes]:
    content = yield from _look(end, size, wait=wait)
    end.drop(len(content))
    return content


def _look(end: PipeEnd, size: int, *, wait: bool) -> Generator[float | None, None, bytes]:
    while (content := end.look(size)) is None:
        if end.nonblocking or not wait:
            raise error(errno.EAGAIN)
        yield None
    return content


def _write(process: Process, fd: Expression, buffer: Expression, size: Expression) -> int | Waiting:
    found = process.opened(fd)
    if isinstance(found, File):
        return found.write(data(buffer, number(size)))
    if isinstance(found, PipeEnd):
        return _put(found, data(buffer, number(size)))
    if isinstance(found, Epoll):
        raise error(errno.EINVAL)
    return transfer.CALLS["write"](process, fd, buffer, size)


def _put(end: PipeEnd, content: bytes) -> Waiting:
    """Write all of it, as a call that waits does."""
    sent = end.write(content)
    while sent < len(content):
        if end.nonblocking:
            if sent:
                break
            raise error(errno.EAGAIN)
        yield None
        sent += end.write(content[sent:])
    return sent


def _sendfile(process: Process, out: Expression, fd: Expression, offset: Expression, size: Expression) -> Waiting:
    target, found = process.opened(out), process.opened(fd)
    if not isinstance(found, File):
        raise error(errno.EINVAL if isinstance(offset, Name) else errno.ESPIPE)
    if not found.readable:
        raise error(errno.EBADF)
    start = found.position if isinstance(offset, Name) else number(offset)
    content = bytes(found.content[start : start + number(size)])
    if isinstance(target, PipeEnd):
        sent: int = yield from _put(target, content)
    elif isinstance(target, File):
        sent = target.write(content)
    else:
        sent = yield from transfer.put_stream(process, process.descriptor(out), content)
    if isinstance(offset, Name):
        found.position += sent
    return sent


def _splice(
    process: Process,
    fd: Expression,
    offset: Expression,
    out: Expression,
    out_offset: Expression,
    size: Expression,
    flags: Expression,
) -> Waiting:
    """Between a pipe and something else (splice(2))."""
    source, target = process.opened(fd), process.opened(out)
    if not number(size):
        return 0
    bits = number(flags)
    wait = not bits & CONSTANTS["SPLICE_F_NONBLOCK"]
    if isinstance(source, PipeEnd) and isinstance(target, PipeEnd) and source.pipe is target.pipe:
        raise error(errno.EINVAL)
    if isinstance(target, PipeEnd):
        return (yield from _fill(process, source, target, number(size), wait=wait))
    if isinstance(source, PipeEnd):
        content = yield from _look(source, number(size), wait=wait)
        sent: int = yield from _pass_on(process, target, content, bits)
        source.drop(sent)
        return sent
    raise error(errno.EINVAL)


def _fill(process: Process, source: Opened, target: PipeEnd, size: int, *, wait: bool) -> Waiting:
    """Into a pipe."""
    target.check()
    while not target.pipe.room:
        if target.nonblocking or not wait:
            raise error(errno.EAGAIN)
        yield None
        target.check()
    size = min(size, target.pipe.room)
    if isinstance(source, PipeEnd):
        content = yield from _take(source, size, wait=wait)
    elif isinstance(source, File):
        content = source.read(size)
    elif isinstance(source, Descriptor):
        content = (yield from transfer.get_stream(process, source, size)).data
    else:
        raise error(errno.EINVAL)
    target.lend(content)
    return len(content)


def _pass_on(process: Process, target: Opened, content: bytes, flags: int) -> Waiting:
    """Out of a pipe."""
    if isinstance(target, File):
        return target.write(content)
    if not isinstance(target, Descriptor):
        raise error(errno.EINVAL)
    more = n.MSG_MORE if flags & CONSTANTS["SPLICE_F_MORE"] else 0
    return (yield from transfer.put_stream(process, target, content, more))


CALLS: Final[dict[str, Callable[..., Result | Waiting]]] = {
    "open": _open,
    "pipe": _pipe,
    "pipe2": _pipe,
    "dup": _dup,
    "dup2": _dup2,
    "dup3": _dup3,
    "read": _read,
    "write": _write,
    "sendfile": _sendfile,
    "splice": _splice,
}
