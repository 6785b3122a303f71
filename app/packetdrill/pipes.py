"""Pipes (pipe(7)), as Linux keeps them: sixteen pages, of which one that was begun to be read is not free yet."""

from __future__ import annotations

import errno
from collections import deque
from typing import Final

from ...stack.calls import numbers as n
from ...transport.errors import error
from .opened import Opened

_PAGES: Final = 16
_PAGE: Final = 4096


class _Page:
    __slots__ = ("content", "room")

    def __init__(self, content: bytes, room: int) -> None:
        self.content = content
        #: How much may still be written into it.
        self.room = room


class Pipe:
    """What waits between the two ends."""

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: deque[_Page] = deque()

    def __len__(self) -> int:
        return sum(len(page.content) for page in self._pages)

    @property
    def room(self) -> int:
        """How many bytes there are pages for."""
        return (_PAGES - len(self._pages)) * _PAGE

    def put(self, data: bytes) -> int:
        """How much of the data there was room for: of the last page the end is used for what would not fill one."""
        rest = len(data) % _PAGE
        taken = 0
        if rest and self._pages and self._pages[-1].room >= rest:
            last = self._pages[-1]
            last.content += data[:rest]
            last.room -= rest
            taken = rest
        while taken < len(data) and len(self._pages) < _PAGES:
            content = data[taken : taken + _PAGE]
            self._pages.append(_Page(content, _PAGE - len(content)))
            taken += len(content)
        return taken

    def lend(self, data: bytes) -> None:
        """Put pages that are somebody else's: nothing is written into them."""
        for at in range(0, len(data), _PAGE):
            self._pages.append(_Page(data[at : at + _PAGE], 0))

    def look(self, size: int) -> bytes:
        """The first bytes, which stay."""
        return b"".join(page.content for page in self._pages)[:size]

    def drop(self, size: int) -> None:
        """Take off the first bytes."""
        while size:
            first = self._pages[0]
            taken = min(size, len(first.content))
            first.content = first.content[taken:]
            size -= taken
            if not first.content:
                self._pages.popleft()


class PipeEnd(Opened):
    """One end of a pipe; ``other`` is None when that end is closed."""

    __slots__ = ("other", "pipe", "writes")

    def __init__(self, pipe: Pipe, *, writes: bool, nonblocking: bool) -> None:
        super().__init__(nonblocking=nonblocking)
        self.pipe = pipe
        self.writes = writes
        self.other: PipeEnd | None = None

    def readiness(self) -> int:
        if self.writes:
            return (n.POLLOUT if self.pipe.room else 0) | (0 if self.other else n.POLLERR)
        return (n.POLLIN if len(self.pipe) else 0) | (0 if self.other else n.POLLHUP)

    def let_go(self) -> None:
        if self.other is not None:
            self.other.other = None
            self.other.changed()

    def look(self, size: int) -> bytes | None:
        """What a read would give; None: one has to wait. Raises OSError EBADF."""
        if self.writes:
            raise error(errno.EBADF)
        found = self.pipe.look(size)
        return None if size and not found and self.other is not None else found

    def drop(self, size: int) -> None:
        """Read so much."""
        self.pipe.drop(size)
        self._tell()

    def write(self, data: bytes) -> int:
        """How much there was room for. Raises OSError EBADF, EPIPE when nobody can read it any more."""
        self.check()
        taken = self.pipe.put(data)
        self._tell()
        return taken

    def lend(self, data: bytes) -> None:
        """Write as splice does."""
        self.pipe.lend(data)
        self._tell()

    def check(self) -> None:
        """Whether it may be written to. Raises OSError EBADF, EPIPE."""
        if not self.writes:
            raise error(errno.EBADF)
        if self.other is None:
            raise error(errno.EPIPE)

    def _tell(self) -> None:
        if self.other is not None:
            self.other.changed()


def pipe(*, nonblocking: bool) -> tuple[PipeEnd, PipeEnd]:
    """Both ends: for reading, and for writing."""
    shared = Pipe()
    reader, writer = (PipeEnd(shared, writes=writes, nonblocking=nonblocking) for writes in (False, True))
    reader.other, writer.other = writer, reader
    return reader, writer
