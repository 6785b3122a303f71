"""Data that arrived before their turn."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

#: Each piece keeps the frame it came in; a peer that sends single bytes must not fill the memory with frames.
_MAX_PIECES: Final = 4096


class Reassembly:
    """Pieces of the stream beyond ``rcv_nxt``, in order, none of which overlaps another.

    What arrived first stays (RFC 9293 §3.10.7.4, seventh: data that were received before are cut off a segment). The
    caller has cut pieces to the receive window, which bounds what is kept here; the number of pieces is bounded too.
    """

    __slots__ = ("_pieces", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[memoryview] = []

    def __len__(self) -> int:
        return len(self._pieces)

    def insert(self, start: int, piece: memoryview) -> None:
        """Keep ``piece``, whose first byte has sequence number ``start``, as far as it is new."""
        starts, pieces = self._starts, self._pieces
        index = bisect_right(starts, start)
        if index:
            overlap = starts[index - 1] + len(pieces[index - 1]) - start
            if overlap > 0:
                start += overlap
                piece = piece[overlap:]
        end = start + len(piece)
        while start < end and len(pieces) < _MAX_PIECES:
            gap_end = min(end, starts[index]) if index < len(starts) else end
            if gap_end > start:
                starts.insert(index, start)
                pieces.insert(index, piece[: gap_end - start])
                index += 1
            if gap_end == end:
                return
            next_start = starts[index] + len(pieces[index])
            piece = piece[next_start - start :]
            start = next_start
            index += 1

    def take(self, rcv_nxt: int) -> list[memoryview]:
        """Remove and return what continues the stream at ``rcv_nxt``."""
        starts, pieces = self._starts, self._pieces
        taken: list[memoryview] = []
        count = 0
        for start, piece in zip(starts, pieces, strict=True):
            if start > rcv_nxt:
                break
            count += 1
            if start + len(piece) > rcv_nxt:
                taken.append(piece[rcv_nxt - start :])
                rcv_nxt = start + len(piece)
        del starts[:count], pieces[:count]
        return taken
