"""How what was written and not sent yet is cut into pieces, and where pushes lie (RFC 9293 §3.9.1.2, §3.7.4).

A piece is what goes out as one packet if the windows allow it, as large as segmentation offload takes. Writes add to
the last piece while there is room. The end of a write is pushed: the piece that ends with it carries PSH when its last
byte goes out. A write that begins before the one before it has gone takes that push along to its own end.

A piece is one number, so that a queue of them costs little: the sequence number after its last byte, and flags.
"""

from __future__ import annotations

from bisect import bisect_right
from math import inf
from typing import Final

PUSH: Final = 1
#: The end of a record (MSG_EOR): nothing is added to this piece, nor joined with it.
RECORD: Final = 2
#: Where in a piece the sequence number begins.
SHIFT: Final = 2
#: So many packets are remembered without a look at which are still on the way.
FEW: Final = 64


class Pieces:
    """Of one connection; empty most of the time. Sequence numbers do not wrap, sizes are in bytes."""

    __slots__ = (
        "head",
        "held_for",
        "most_out",
        "packets",
        "padded",
        "padding",
        "push_now",
        "pushed",
        "queue",
        "records",
        "shorts",
        "small",
        "usage_end",
        "written",
    )

    def __init__(self, start: int) -> None:
        #: The pieces; those before ``head`` have gone out.
        self.queue: list[int] = []
        self.head = 0
        #: Ends of writes too large to be one piece, and their flags: they are cut when they are sent.
        self.written: list[int] = []
        #: The number after the last byte that was pushed.
        self.pushed = start
        #: The packets on the way: of each the number after it, doubled, and one more if its end was pushed.
        self.packets: list[int] = []
        #: The number after the last packet that was not full (RFC 9293 §3.7.4).
        self.small = 0
        #: The congestion window counts each segment as a full one, as Linux's does: what is missing to that in those on
        #: the way, in bytes; in all there ever were; and for each such packet the number after it, and all up to it.
        self.padding = self.padded = 0
        self.shorts: list[tuple[int, int]] = []
        #: Ends of records (MSG_EOR) that were not acknowledged when there was another one.
        self.records: list[int] = []
        #: The last write said that more comes (MSG_MORE): what had been heard then. As on Linux a small segment is held
        #: back for it until an acknowledgment comes.
        self.held_for: tuple[int, int, int] | None = None
        #: What waits goes out although it is small (TCP_NODELAY was set).
        self.push_now = False
        #: For validation.py: the most segments out in a window of data, and where that ends.
        self.most_out = 0
        self.usage_end = start

    def write(self, start: int, end: int, goal: int, flags: int) -> None:
        """Bytes up to ``end`` were written. ``start`` is the first that was not sent, ``goal`` the size of a piece."""
        queue, written = self.queue, self.written
        if not written:
            if self.head < len(queue):
                begin, _ = self.last(start)
                if end - begin <= goal and not queue[-1] & RECORD:
                    queue[-1] = end << SHIFT | flags
                    self.pushed = end if flags & PUSH else self.pushed
                    return
            elif end - start <= goal:
                queue.append(end << SHIFT | flags)
                self.pushed = end if flags & PUSH else self.pushed
                return
        if written and not written[-1] & RECORD:
            written[-1] = end << SHIFT | flags
        else:
            written.append(end << SHIFT | flags)

    def last(self, start: int) -> tuple[int, int]:
        """Where the last piece begins and ends; ``start`` is the first byte that was not sent."""
        queue = self.queue
        left = len(queue) - self.head
        if not left:
            return start, start
        return queue[-2] >> SHIFT if left > 1 else start, queue[-1] >> SHIFT

    def cut(self, start: int, end: int, goal: int, *, goes_on: bool) -> bool:
        """Make a piece of bytes that were written, up to ``end`` at most: add to the last one, or begin another.
        ``goes_on``: the last one has bytes of the same write. Returns whether that piece is full."""
        queue = self.queue
        begin, copied = self.last(start)
        if self.head == len(queue) or copied - begin >= goal or queue[-1] & RECORD:
            begin = copied
            queue.append(0)
            goes_on = False
        last = min(begin + goal, end)
        queue[-1] = last << SHIFT | (queue[-1] & PUSH if goes_on else 0)
        return last - begin == goal

    def push(self, flags: int = PUSH) -> None:
        """Push what was written up to the end of the last piece; or another flag for that end."""
        self.queue[-1] |= flags
        if flags & PUSH:
            self.pushed = self.queue[-1] >> SHIFT

    def first(self, start: int, size: int) -> int:
        """The size of the first piece, ``start`` being its first byte. If it has less than ``size`` bytes, some of the
        next one's are joined to it; its push moves to its new end."""
        queue, head = self.queue, self.head
        first = queue[head]
        have = (first >> SHIFT) - start
        if have >= size or len(queue) - head == 1 or first & RECORD:
            return have
        second = queue[head + 1]
        size = min(size, (second >> SHIFT) - start)
        if start + size < second >> SHIFT:
            queue[head] = start + size << SHIFT | first & PUSH
        else:
            queue[head + 1] = second | first & PUSH
            self.drop_first()
        return size

    def drop_first(self) -> None:
        """The first piece has gone out."""
        self.head += 1
        queue = self.queue
        if self.head == len(queue):
            queue.clear()
            self.head = 0
        elif self.head > 64 and self.head * 2 > len(queue):
            del queue[: self.head]
            self.head = 0

    def pad(self, end: int, missing: int) -> None:
        """A packet up to ``end`` goes out that is so many bytes short of full segments."""
        self.small = end
        self.count_short(end, missing)

    def count_short(self, end: int, missing: int) -> None:
        """The same, where that is no reason for another to wait."""
        self.padding += missing
        self.padded += missing
        self.shorts.append((end, self.padded))

    def settle(self, una: int) -> int:
        """Everything before ``una`` was acknowledged: how much padding was among it."""
        shorts = self.shorts
        if shorts[-1][0] <= una:
            freed, self.padding = self.padding, 0
            shorts.clear()
            return freed
        count = bisect_right(shorts, (una, inf))
        if not count:
            return 0
        freed = shorts[count - 1][1] - (self.padded - self.padding)
        del shorts[:count]
        self.padding -= freed
        return freed

    def missing(self, start: int, end: int) -> int:
        """The padding of packets that end after ``start``, up to ``end``."""
        shorts = self.shorts
        low, high = bisect_right(shorts, (start, inf)), bisect_right(shorts, (end, inf))
        if low == high:
            return 0
        return shorts[high - 1][1] - (shorts[low - 1][1] if low else self.padded - self.padding)

    def reshape(self, start: int, end: int, packets: list[tuple[int, int]]) -> None:
        """The packets between are others from now on: of each its end, and how much it is short of full segments."""
        shorts, more = self.shorts, sum(missing for _, missing in packets) - self.missing(start, end)
        low, high = bisect_right(shorts, (start, inf)), bisect_right(shorts, (end, inf))
        rest, total = shorts[high:], shorts[low - 1][1] if low else self.padded - self.padding
        del shorts[low:]
        for after, missing in packets:
            total += missing
            shorts.append((after, total))
        shorts += [(after, before + more) for after, before in rest]
        self.padding += more
        self.padded += more

    def end_record(self, end: int, una: int) -> None:
        """A record ends before ``end``; everything before ``una`` was acknowledged."""
        records = self.records
        if records and records[0] <= una:
            del records[: bisect_right(records, una)]
        records.append(end)

    def record_after(self, start: int, most: int) -> int:
        """Where the record of ``start`` ends, or ``most`` if that is first."""
        index = bisect_right(self.records, start)
        return min(most, self.records[index]) if index < len(self.records) else most

    def forget(self, una: int) -> None:
        """Everything before ``una`` was acknowledged, and there are many packets."""
        packets = self.packets
        half = len(packets) >> 1
        if packets[half] >> 1 <= una:
            del packets[:half]
