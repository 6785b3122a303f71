"""Calls about descriptors that are not sockets, and between them and sockets: files, pipes, splice, sendfile, dup."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from ...stack.calls import numbers as n
from ...transport.errors import error
from . import transfer
from .constants import CONSTANTS
from .errors import Unsupported
from .process import Descriptor, File, PipeEnd
from .syntax import Array, Name, Number, Text
from .values import check_text, data, number, show

if TYPE_CHECKING:
    from collections.abc import Callable

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
    if number(flags) & os.O_ACCMODE != os.O_RDONLY:
        raise Unsupported("writing a file")
    path = path_of(name)
    if path == "/dev/zero":
        return File(bytes(_ZEROS))
    return File((process.folder / path).read_bytes())


def _pipe(process: Process, ends: Expression, flags: Expression = _NO_FLAGS) -> int:
    content = bytearray()
    nonblocking = bool(number(flags) & os.O_NONBLOCK)
    for where, writes in zip(numbers_of(ends), (False, True), strict=True):
        process.table[where] = PipeEnd(content, writes=writes, nonblocking=nonblocking)
    return 0


def _dup(process: Process, fd: Expression) -> Result:
    found = process.table.get(number(fd))
    if found is None:
        raise error(errno.EBADF)
    if isinstance(found, Descriptor):
        found.references += 1
    return found


def _dup2(process: Process, fd: Expression, to: Expression, flags: Expression = _NO_FLAGS) -> int:
    found, where = _dup(process, fd), number(to)
    replaced = process.table.get(where)
    if isinstance(replaced, Descriptor):
        replaced.references -= 1
        if not replaced.references:
            replaced.socket.close()
    assert not isinstance(found, int)
    process.table[where] = found
    return where


# -- reading and writing


def _read(process: Process, fd: Expression, buffer: Expression, size: Expression) -> int | Waiting:
    found = process.table.get(number(fd))
    if isinstance(found, File | PipeEnd):
        content = found.read(number(size))
        check_text(buffer, content)
        return len(content)
    return transfer.CALLS["read"](process, fd, buffer, size)


def _write(process: Process, fd: Expression, buffer: Expression, size: Expression) -> int | Waiting:
    found = process.table.get(number(fd))
    if isinstance(found, File | PipeEnd):
        return found.write(data(buffer, number(size)))
    return transfer.CALLS["write"](process, fd, buffer, size)


def _sendfile(process: Process, out: Expression, fd: Expression, offset: Expression, size: Expression) -> Waiting:
    found = process.table.get(number(fd))
    if not isinstance(found, File):
        seeks = errno.EINVAL if isinstance(offset, Name) else errno.ESPIPE
        raise error(seeks if found else errno.EBADF)
    descriptor = process.descriptor(out)
    start = found.position if isinstance(offset, Name) else number(offset)
    content = found.content[start : start + number(size)]
    sent: int = yield from transfer.put_stream(process, descriptor, content)
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
    source, target = process.table.get(number(fd)), process.table.get(number(out))
    if source is None or target is None:
        raise error(errno.EBADF)
    if isinstance(source, Descriptor) and isinstance(target, PipeEnd):
        message = yield from transfer.get_stream(process, source, min(number(size), target.room))
        target.content += message.data
        return len(message.data)
    if isinstance(source, PipeEnd) and isinstance(target, Descriptor):
        content = source.read(number(size))
        more = n.MSG_MORE if number(flags) & CONSTANTS["SPLICE_F_MORE"] else 0
        sent: int = yield from transfer.put_stream(process, target, content, more)
        source.content[:0] = content[sent:]
        return sent
    if isinstance(source, File) and isinstance(target, PipeEnd):
        content = source.read(min(number(size), target.room))
        target.content += content
        return len(content)
    raise error(errno.EINVAL)


CALLS: Final[dict[str, Callable[..., Result | Waiting]]] = {
    "open": _open,
    "pipe": _pipe,
    "pipe2": _pipe,
    "dup": _dup,
    "dup2": _dup2,
    "dup3": _dup2,
    "read": _read,
    "write": _write,
    "sendfile": _sendfile,
    "splice": _splice,
}
