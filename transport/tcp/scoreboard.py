"""The scoreboard (RFC 6675 §3): which of the data on the way were selectively acknowledged, lost, sent again.

Nothing here is kept per segment. What is on the way is the range from ``snd_una`` to ``snd_max``; within it, ranges
were acknowledged, or count as lost. The pipe, how much is in the network, is the difference of three sizes. A
connection has a scoreboard while something is out of the ordinary, and none before and after.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from math import inf
from typing import Final, NamedTuple

from .prr import ProportionalRate
from .ranges import Ranges

#: F-RTO (RFC 5682): no doubt about the time-out; waiting for its first ACK; sending new data, to see what comes back.
NO: Final = 0
AFTER_TIMEOUT: Final = 1
NEW_DATA: Final = 2


class Transmission(NamedTuple):
    """The latest transmission of a range, at ``time`` (seconds)."""

    start: int
    end: int
    time: float


class Resent:
    """What was sent again, with the time of it, by sequence number; and in order of time (`oldest`). ``size`` is how
    much of it is on the way."""

    __slots__ = ("_entries", "_order", "_pardoned_at", "_starts", "pardoned", "size")

    def __init__(self) -> None:
        self.size = 0
        #: How much of it had not been lost after all.
        self.pardoned = 0
        self._pardoned_at = -inf
        self._starts: list[int] = []
        self._entries: list[Transmission] = []
        self._order: deque[Transmission] = deque()

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, start: int, end: int, time: float) -> None:
        """``start`` to ``end`` go out again; earlier times are forgotten."""
        self.take(start, end)
        index = bisect_left(self._starts, start)
        entry = Transmission(start, end, time)
        self._starts.insert(index, start)
        self._entries.insert(index, entry)
        self._order.append(entry)
        self.size += end - start

    def _overlapping(self, start: int, end: int) -> tuple[int, int]:
        low = bisect_right(self._starts, start)
        if low and self._entries[low - 1].end > start:
            low -= 1
        return low, bisect_left(self._starts, end, low)

    def within(self, start: int, end: int) -> list[Transmission]:
        """The parts of ``start`` to ``end`` that were sent again, in order."""
        low, high = self._overlapping(start, end)
        return [Transmission(max(e.start, start), min(e.end, end), e.time) for e in self._entries[low:high]]

    def take(self, start: int, end: int) -> list[Transmission]:
        """The same, and forget them."""
        low, high = self._overlapping(start, end)
        if low == high:
            return []
        taken = self.within(start, end)
        self.size -= sum(part.end - part.start for part in taken)
        if self.pardoned:
            self.pardoned -= sum(part.end - part.start for part in taken if part.time <= self._pardoned_at)
        first, last = self._entries[low], self._entries[high - 1]
        rest = [Transmission(first.start, start, first.time)] if first.start < start else []
        if last.end > end:
            rest.append(Transmission(end, last.end, last.time))
        self._entries[low:high] = rest
        self._starts[low:high] = [entry.start for entry in rest]
        if not self._starts:
            self._order.clear()
        return taken

    def oldest(self) -> Transmission | None:
        """The earliest of these transmissions; parts of it may be gone by now (see `within`)."""
        order = self._order
        while order:
            entry = order[0]
            if any(part.time == entry.time for part in self.within(entry.start, entry.end)):
                return entry
            order.popleft()
        return None

    def pardon(self) -> None:
        """What was sent again until now was not lost."""
        if self._order:
            self.pardoned, self._pardoned_at = self.size, self._order[-1].time

    def sent_since(self, time: float) -> list[Transmission]:
        """Those of ``time`` or later."""
        return [entry for entry in self._entries if entry.time >= time]

    def clear(self) -> None:
        self._starts.clear()
        self._entries.clear()
        self._order.clear()
        self.size = self.pardoned = 0


class Scoreboard:
    """What is known of the data on the way; numbers as in the rest of TCP, sizes in bytes."""

    __slots__ = (
        "after_timeout",
        "again",
        "departed",
        "doubtful",
        "echo",
        "former",
        "highest",
        "judged",
        "latest_sent",
        "latest_time",
        "losses",
        "lost",
        "original_arrived",
        "original_time",
        "overtaken",
        "prr",
        "reducing",
        "resent",
        "resent_lost",
        "sacked",
        "struck",
        "tail_end",
        "timed_at",
        "unsure",
    )

    def __init__(self, una: int) -> None:
        #: Selectively acknowledged.
        self.sacked = Ranges()
        #: Lost, and not sent again yet.
        self.lost = Ranges()
        #: How many bytes were ever judged lost.
        self.losses = 0
        self.resent = Resent()
        #: What was lost again since, and has not been sent once more: it may have been late.
        self.former = Resent()
        #: What was ever sent again, and has not been acknowledged.
        self.again = Ranges()
        #: What has left the network by the duplicate ACKs of a peer without SACK.
        self.departed = 0
        #: Everything before was once judged lost, or has arrived: no first transmission is left to judge.
        self.judged = una
        #: The same, but for what only a time-out has judged: as on Linux RACK loses sight of what it has judged itself.
        self.struck = una
        #: The highest number that was ever acknowledged (RFC 8985: RACK.fack).
        self.highest = una
        self.prr = ProportionalRate()
        #: The acknowledgment at hand has ECE (ecn.py).
        self.echo = False
        #: Such a one made the window shrink, until this number is passed; -1: none did.
        self.reducing = -1
        #: A retransmission time-out was the last sign of loss; `doubtful`: how far it is from turning out spurious.
        self.after_timeout = False
        self.doubtful = NO
        #: Of this acknowledgment: it covers data from before the loss that were sent just once; the earliest and the
        #: latest time of data that were sent once; the lowest of them that later ones had overtaken; it shows that a
        #: retransmission was lost.
        self.original_arrived = False
        self.original_time = inf
        self.latest_time = -inf
        #: The same of everything that has arrived.
        self.latest_sent = -inf
        self.overtaken = inf
        self.resent_lost = False
        #: Of this one, too: nothing may have been lost, so nothing is sent again for now.
        self.unsure = False
        #: When a timer last made something be sent again.
        self.timed_at = -inf
        #: Where a tail loss probe ended that was a retransmission, until it is known whether it repaired a loss, or 0.
        self.tail_end = 0

    @property
    def outside(self) -> int:
        """How much of what lies between ``snd_una`` and ``snd_max`` is not in the network."""
        return self.sacked.size + self.lost.size + self.departed

    @property
    def resends(self) -> bool:
        """Whether what is lost is to be sent again now."""
        return self.lost.size > 0 and self.doubtful != NEW_DATA and not self.unsure

    @property
    def intact(self) -> bool:
        """All that is on the way seems to be, and was sent once."""
        return not (self.outside or self.after_timeout or self.tail_end or self.resent.size)

    @property
    def open(self) -> bool:
        """The same, but for a tail loss probe that is on its way."""
        return not (self.outside or self.after_timeout) and (self.tail_end > 0 or not self.resent.size)

    @property
    def calm(self) -> bool:
        """Nothing is out of the ordinary any more."""
        return self.intact and not self.echo and self.reducing < 0

    @property
    def ever_lost(self) -> int:
        """How much of what is on the way has been judged lost, whether it was sent again or not."""
        return self.lost.size + (0 if self.tail_end else self.resent.size - self.resent.pardoned)

    def lose(self, start: int, end: int) -> None:
        """``start`` to ``end`` are lost, as far as they neither arrived nor were sent again since."""
        before = self.lost.size
        for left, right in self.sacked.gaps(start, end):
            for part in self.resent.within(left, right):
                if left < part.start:
                    self.lost.add(left, part.start)
                left = part.end
            if left < right:
                self.lost.add(left, right)
        self.losses += self.lost.size - before

    def lose_everything(self, una: int, end: int, recent: float = inf) -> None:
        """A time-out: whatever was not selectively acknowledged is lost, retransmissions too (RFC 6675 §5.1), but for
        those that were sent at ``recent`` or later."""
        if self.sacked.around(una) is not None:
            self.sacked.clear()  # the peer has reneged, or lied (RFC 2018 §8)
            self.highest = una
        kept = [entry for entry in self.resent.sent_since(recent) if entry.start > una]
        for entry in self.resent.sent_since(-inf):
            self.former.add(*entry)
        self.resent.clear()
        for entry in kept:
            self.resent.add(*entry)
        self.lose(una, end)
        self.judged = max(self.judged, end)

    def joined(self, size: int) -> int:
        """There are fewer segments now, by ``size`` bytes: as on Linux so much of what duplicate ACKs told says nothing
        any more. How much that is."""
        gone = min(size, self.departed)
        self.departed -= gone
        return gone

    def forget_losses(self, una: int) -> None:
        """What counts as lost does so no longer; what a time-out has judged will be judged again."""
        self.lost.clear()
        self.judged = max(una, self.struck)
