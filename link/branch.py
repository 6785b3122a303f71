"""A branch of a scheduler: its clock and its agenda, and a way to cancel at once all that was entered here.

Many hosts share one scheduler, so that what happens at one instant happens in one order. When a host dies, its branch
is cut, and nothing of it ever calls again.
"""

from __future__ import annotations

from heapq import heappush
from typing import TYPE_CHECKING

from .scheduler import Scheduler, Timer

if TYPE_CHECKING:
    from collections.abc import Callable


class Branch(Scheduler):
    """Stands for ``trunk``, the scheduler whose part it is, until it is cut."""

    __slots__ = ("_alive", "_trunk")

    def __init__(self, trunk: Scheduler) -> None:
        self._trunk = trunk
        self._alive = True

    @property
    def now(self) -> float:  # type: ignore[override]
        """The trunk's time, in seconds."""
        return self._trunk.now

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back when the clock reaches ``when``; never, once cut."""
        timer = Timer(self, when, callback)
        trunk = self._trunk
        if self._alive:
            trunk._serial += 1
            heappush(trunk._heap, (when, trunk._serial, timer))
        else:
            timer.callback = None
        return timer

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call back once, at the end of the current batch."""
        if self._alive:
            self._trunk.call_soon(callback)

    def advance(self, now: float) -> None:
        """The trunk's: everybody's time passes."""
        self._trunk.advance(now)

    def flush(self) -> None:
        """The trunk's."""
        self._trunk.flush()

    def next_event(self) -> float | None:
        """The trunk's."""
        return self._trunk.next_event()

    def cut(self) -> None:
        """Cancel every timer of this branch, and take no more."""
        self._alive = False
        for _, _, timer in list(self._trunk._heap):
            if timer._scheduler is self:
                timer.cancel()

    def _forget(self) -> None:
        self._trunk._forget()
