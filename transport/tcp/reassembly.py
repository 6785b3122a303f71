"""Data that arrived before their turn."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from .ranges import Range, Ranges

#: Each piece keeps the frame it came in; a peer that sends single bytes must not fill the memory with frames.
_MAX_PIECES: Final = 4096
#: The blocks to be told at most: more do not fit a header.
_MAX_BLOCKS: Final = 4


class Reassembly:
    """Pieces of the stream beyond ``rcv_nxt``, in order, none of which overlaps another.

    What arrived first stays (RFC 9293 §3.10.7.4, seventh: data that were received before are cut off a segment). The
    caller has cut pieces to the receive window, which bounds what is kept here; the number of pieces is bounded too.
    """

    __slots__ = (
        "_pieces",
        "_runs",
        "_starts",
        "charge",
        "compressed",
        "duplicates",
        "duplicates_of",
        "latest",
        "repeated",
        "tail",
        "tail_end",
        "untold",
    )

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[memoryview] = []
        #: The same without seams.
        self._runs = Ranges()
        #: The runs that changed last, the latest first: SACK blocks (RFC 2018 §4).
        self.latest: list[Range] = []
        #: What of the last piece had been here before, or None.
        self.repeated: Range | None = None
        #: The memory that the pieces count for (window.py).
        self.charge = 0
        #: What is left of the last one's memory, and the sequence number after that one.
        self.tail = self.tail_end = 0
        #: Something arrived early, and no ACK has told it yet.
        self.untold = False
        #: How many ACKs that would have told early data wait to be one, and how many in a row were sent for the same
        #: ``rcv_nxt`` (acks.py).
        self.compressed = self.duplicates = self.duplicates_of = 0

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return self._runs.size

    @property
    def end(self) -> int:
        """The sequence number after the last one that waits. Raises IndexError when there is none."""
        return self._runs.end

    def insert(self, start: int, piece: memoryview) -> None:
        """Keep ``piece``, whose first byte has sequence number ``start``, as far as it is new."""
        starts, pieces = self._starts, self._pieces
        first, end = start, start + len(piece)
        new = self._runs.gaps(start, end)
        self.repeated = _first_gap(new, start, end)
        for start, end in new:
            if len(pieces) >= _MAX_PIECES:
                return
            index = bisect_right(starts, start)
            starts.insert(index, start)
            pieces.insert(index, piece[start - first : end - first])
            self._runs.add(start, end)

    def before(self, number: int) -> Range | None:
        """The first run's part before ``number``, if there is one."""
        if not len(self._runs):
            return None
        start, end = self._runs.first()
        return (start, min(end, number)) if start < number else None

    def place(self, start: int, end: int) -> int:
        """Which block ``start`` to ``end`` continues, counted from the one told first; or how many there are."""
        for place, (left, right) in enumerate(self.latest):
            if left <= end and start <= right:
                return place
        return len(self.latest)

    def told(self, start: int, end: int) -> None:
        """``start`` to ``end`` arrived last: its run is told first."""
        run = self._runs.around(start)
        if run is not None:
            others = [block for block in self.latest if block[1] < run[0] or run[1] < block[0]]
            self.latest = [run, *others[: _MAX_BLOCKS - 1]]

    def take(self, rcv_nxt: int, fin: int = -1) -> list[memoryview]:
        """Remove and return what continues the stream at ``rcv_nxt``, up to the number ``fin`` of the peer's FIN (or
        -1)."""
        starts, pieces = self._starts, self._pieces
        taken: list[memoryview] = []
        count = 0
        for start, piece in zip(starts, pieces, strict=True):
            if start > rcv_nxt or rcv_nxt == fin:
                break
            count += 1
            if start + len(piece) > rcv_nxt:
                taken.append(piece[rcv_nxt - start :])
                rcv_nxt = start + len(piece)
        if count:
            self._runs.remove(starts[0], rcv_nxt)
            self.latest = [block for block in self.latest if block[0] > rcv_nxt]
        del starts[:count], pieces[:count]
        return taken


def _first_gap(new: list[Range], start: int, end: int) -> Range | None:
    """The first part of ``start`` to ``end`` that is not ``new``."""
    if not new:
        return (start, end) if start < end else None
    if new[0][0] > start:
        return start, new[0][0]
    left = new[0][1]
    right = new[1][0] if len(new) > 1 else end
    return (left, right) if left < right else None
