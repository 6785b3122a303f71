"""The packets on the way: where each ends, in how many segments it was sent, and what becomes of that when it, or a
part of it, is sent again.

As on Linux a packet stays what it was, but for what its retransmission needs: a part that is sent again is a packet of
its own, and small ones that are sent again together are one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .connection import Connection
    from .pieces import Pieces
    from .ranges import Range


def segments(c: Connection, start: int, end: int) -> int:
    """In how many segments bytes from ``start`` to ``end``, which are on the way, were sent."""
    size, pieces = end - start, c.pieces
    if size <= 0:
        return 0
    if pieces is not None and pieces.shorts:
        size = max(size + pieces.missing(start, end), 1)  # of a packet of which a part was acknowledged all is missing
    return -(-size // c.mss)


def short(c: Connection, start: int, end: int) -> int:
    """How many bytes a packet is short of full segments, in which a FIN takes no room."""
    size, mss = min(end, c.buffer.end) - start, c.mss
    return (-size % mss if size else mss) - (end - start - size)


def _ends(c: Connection) -> Sequence[int]:
    """Of the packets on the way, as `Pieces.packets` has them."""
    return c.pieces.packets if c.pieces is not None else ()


def packets(c: Connection) -> Iterator[Range]:
    """The packets on the way, as they were sent first."""
    start = c.snd_una
    for packet in _ends(c):
        if packet >> 1 > start:
            yield start, packet >> 1
            start = packet >> 1


def last_segment(c: Connection) -> int:
    """Where the last segment that was sent begins: of a packet of several, the last of them."""
    una, mss = c.snd_una, c.mss
    packets = _ends(c)
    if not packets or packets[-1] >> 1 != c.snd_max:
        return max(una, c.snd_max - mss)
    start = max(packets[-2] >> 1 if len(packets) > 1 else una, una)
    return start + max(min(c.snd_max, c.buffer.end) - start - 1, 0) // mss * mss


def pushed_at(c: Connection, start: int, end: int) -> bool:
    """Whether bytes from ``start`` on, before ``end``, are sent again with a push: as they were before, unless that was
    for being several segments, which counts now again."""
    if end - start > c.mss:
        return True
    packets = _ends(c)
    index = bisect_right(packets, start << 1 | 1)
    return any(packet & 1 for packet in packets[index : bisect_right(packets, end << 1 | 1, index)])


def whole(c: Connection, start: int, end: int) -> Range:
    """What of ``start`` to ``end``, told by a SACK block, are whole segments: as on Linux others have not arrived."""
    packets, mss = _ends(c), c.mss
    index = bisect_right(packets, start << 1 | 1)
    if index < len(packets) and (beyond := (start - (packets[index - 1] >> 1 if index else c.snd_una)) % mss):
        start = min(start + mss - beyond, packets[index] >> 1)
    index = bisect_left(packets, end << 1)
    if index < len(packets) and packets[index] >> 1 != end:
        end -= (end - (packets[index - 1] >> 1 if index else c.snd_una)) % mss
    return start, end


def keep_count(c: Connection, before: int) -> None:
    """Segments had ``before`` bytes until now: what is on the way remains as many as it was, until it is sent again."""
    pieces, mss = c.pieces, c.mss
    if pieces is None or mss == before:
        return
    counts = [(start, end, -(-(end - start + pieces.missing(start, end)) // before)) for start, end in packets(c)]
    pieces.shorts.clear()
    pieces.padding = 0
    for start, end, count in counts:
        if missing := count * mss - (end - start):
            pieces.count_short(end, missing)


def part(c: Connection, *numbers: int) -> None:
    """Packets end before ``numbers`` from now on, as a part of one was sent again by itself."""
    pieces = c.pieces
    if pieces is None:
        return
    packets = pieces.packets
    for number in numbers:
        index = bisect_left(packets, number << 1)
        if index == len(packets) or packets[index] >> 1 == number or not c.snd_una < number < c.buffer.end:
            continue
        start, end = packets[index - 1] >> 1 if index else c.snd_una, packets[index] >> 1
        packets.insert(index, number << 1)
        _recount(c, pieces, start, [number, end])


def _recount(c: Connection, pieces: Pieces, start: int, ends: list[int]) -> None:
    """What was sent from ``start`` on are packets with these ``ends`` from now on."""
    last, starts = ends[-1], [start, *ends]
    before = segments(c, start, last)
    parts = zip(starts, ends, strict=False)
    pieces.reshape(start, last, [(end, missing) for start, end in parts if (missing := short(c, start, end))])
    c.counts.controls += segments(c, start, last) - before


def join(c: Connection, start: int, end: int) -> None:
    """What was sent again as one packet is one from now on, however many it was, with segments of today's size."""
    pieces = c.pieces
    if pieces is None:
        return
    packets = pieces.packets
    low, high = bisect_right(packets, start << 1 | 1), bisect_left(packets, end << 1)
    if high == len(packets) or (low == high and pieces.missing(start, end) >= -1):
        return
    if low < high:
        packets[high] |= any(packet & 1 for packet in packets[low:high])
        del packets[low:high]
        if c.board is not None and c.board.departed:
            c.counts.told_again += c.board.joined((high - low) * c.mss) // c.mss
    _recount(c, pieces, start, [end])


def first_end(c: Connection) -> int:
    """Where the first segment on the way ends."""
    packets = _ends(c)
    index = bisect_right(packets, c.snd_una << 1 | 1)
    end = min(c.snd_una + c.mss, c.snd_max)
    return min(end, packets[index] >> 1) if index < len(packets) else end


def boundary(c: Connection, start: int, end: int) -> int:
    """Up to where, at most ``end``, bytes from ``start`` on go again as one packet, and the FIN behind them: packets
    stay what they were, but small ones are put together up to a segment (as Linux does)."""
    pieces, packets, written = c.pieces, _ends(c), c.buffer.end
    index = bisect_right(packets, start << 1 | 1)
    if pieces is None or index == len(packets):
        return end
    at = packets[index] >> 1
    if min(at, written) - start < c.mss:
        most = pieces.record_after(start, start + c.mss)
        at = packets[bisect_right(packets, most << 1 | 1, index) - 1] >> 1
        if at == written < c.snd_max and at not in pieces.records:
            at += 1
    return min(end, at)
