"""What the user has written and the peer has not acknowledged yet."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ...link.packet import Buffer

#: Writes are put together up to this size, so that many small ones do not cost an object each.
_SMALL: Final = 4096


class SendBuffer:
    """The user's buffers, as they were given, under the sequence numbers they are sent with.

    ``start`` is the number of the first byte that is kept, ``end`` the one after the last. A byte is found by binary
    search; acknowledged buffers leave on the left, for a constant price each.
    """

    __slots__ = ("_chunks", "_ends", "_head", "end", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self._chunks: list[memoryview] = []
        self._ends: list[int] = []  # of each chunk, the sequence number after its last byte
        self._head = 0  # chunks before this one are gone

    def append(self, data: Buffer) -> None:
        """Take data to be sent; the caller must not change them any more."""
        size = len(data)
        if not size:
            return
        self.end += size
        if size < _SMALL and self._head < len(self._chunks):
            last = self._chunks[-1]
            if len(last) + size <= _SMALL:
                self._chunks[-1] = memoryview(b"".join((last, data)))
                self._ends[-1] = self.end
                return
        self._chunks.append(memoryview(data))
        self._ends.append(self.end)

    def slices(self, start: int, size: int) -> list[Buffer]:
        """The ``size`` bytes from sequence number ``start`` on, as views."""
        ends, chunks = self._ends, self._chunks
        index = bisect_right(ends, start, self._head)
        end = start + size
        found: list[Buffer] = []
        while True:
            chunk, chunk_end = chunks[index], ends[index]
            base = chunk_end - len(chunk)
            if end <= chunk_end:
                found.append(chunk[start - base : end - base])
                return found
            found.append(chunk[start - base :])
            start = chunk_end
            index += 1

    def acknowledge(self, una: int) -> None:
        """Everything before ``una`` has arrived at the peer."""
        self.start = una
        ends, head = self._ends, self._head
        if una >= self.end:
            self._chunks.clear()
            ends.clear()
            self._head = 0
            return
        while ends[head] <= una:
            self._chunks[head] = _GONE
            head += 1
        if head > 64 and head * 2 > len(ends):
            del self._chunks[:head], ends[:head]
            head = 0
        self._head = head


_GONE: Final = memoryview(b"")
