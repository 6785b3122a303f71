"""What epoll(7) keeps: who is to be watched for what, and what of that is news."""

from __future__ import annotations

import select
from typing import Final

from .opened import Opened, moments

_BITS: Final = 0xFFFFFFFF
EDGE: Final = select.EPOLLET & _BITS
ONE_SHOT: Final = select.EPOLLONESHOT & _BITS
EXCLUSIVE: Final = 1 << 28
WAKE_UP: Final = 1 << 29
#: Bits that say how to watch; what is left of an interest that is switched off.
_PRIVATE: Final = EDGE | ONE_SHOT | WAKE_UP | EXCLUSIVE


class Interest:
    """``events`` of what a descriptor stood for when it was added, and stands for as long as any other one does."""

    __slots__ = ("data", "events", "opened", "queued", "reported")

    def __init__(self, opened: Opened, events: int, data: int) -> None:
        self.opened = opened
        self.events = events
        self.data = data
        #: For an edge-triggered one: `edges` when it was last reported; -1 before.
        self.reported = -1
        #: Its place among what is ready, on `moments`; -1: it is not among that.
        self.queued = -1
        if self.found:
            self.queue()

    @property
    def found(self) -> int:
        """Of the events those that are there."""
        return readiness(self.opened) & self.events

    @property
    def edges(self) -> int:
        """How many there were."""
        return self.opened.changes + (self.opened.left if self.events & select.POLLOUT else 0)

    @property
    def is_news(self) -> bool:
        seen = self.events & EDGE and self.reported == self.edges
        return not seen and bool(self.found)

    def queue(self, changed_at: int | None = None) -> None:
        """It is ready since then; by default it is put behind all others."""
        self.queued = next(moments) if changed_at is None else changed_at

    def report(self) -> tuple[int, int]:
        """Events and data; noted as reported. What may be reported again goes behind the rest."""
        found = self.found, self.data
        self.reported = self.edges
        self.queue()
        if self.events & ONE_SHOT:
            self.events &= _PRIVATE
        return found


class Epoll(Opened):
    """An epoll instance: the interests by the descriptor's number and what it stands for."""

    __slots__ = ("interests",)

    def __init__(self) -> None:
        super().__init__()
        self.interests: dict[tuple[int, Opened], Interest] = {}

    def readiness(self) -> int:
        return select.POLLIN if self._waiting() else 0

    def let_go(self) -> None:
        self.interests.clear()

    def watches(self, opened: Opened) -> bool:
        """Whether it does, itself or by way of other instances."""
        others = [interest.opened for interest in self.interests.values()]
        return opened in others or any(isinstance(other, Epoll) and other.watches(opened) for other in others)

    def take(self, most: int) -> list[tuple[int, int]]:
        """Events and data of what is ready, in the order in which it became so."""
        return [interest.report() for interest in self._waiting()[:most]]

    def _waiting(self) -> list[Interest]:
        waiting = []
        for key, interest in list(self.interests.items()):
            if not interest.opened.references:
                del self.interests[key]  # closed
            elif not interest.is_news:
                interest.queued = -1
            else:
                if interest.queued < 0:
                    interest.queue(interest.opened.changed_at)
                waiting.append(interest)
        return sorted(waiting, key=lambda interest: interest.queued)


def readiness(opened: Opened) -> int:
    """What poll(2) says, with the other names of what can be read and written."""
    bits = opened.readiness()
    for one, other in (select.POLLIN, select.POLLRDNORM), (select.POLLOUT, select.POLLWRNORM):
        bits |= other if bits & one else 0
    return bits
