"""The agenda of a host: timers, and what is left to do at the end of a batch of packets.

There is no clock in here. Whoever runs the host tells the time (``advance``), and is told when to call again
(``next_event``): an engine on the machine's clock, or a simulation whose clock jumps.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer:
    """A call that is due at ``when`` (seconds on the host's clock)."""

    __slots__ = ("_scheduler", "callback", "when")

    def __init__(self, scheduler: Scheduler, when: float, callback: Callable[[], object]) -> None:
        self._scheduler = scheduler
        self.when = when
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Never call back; harmless when the timer has fired or was cancelled before."""
        if self.callback is not None:
            self.callback = None
            self._scheduler._forget()

    @property
    def pending(self) -> bool:
        return self.callback is not None


class Scheduler:
    """Timers in a heap, equal times in the order they were asked for, so that a run can be repeated exactly."""

    __slots__ = ("_cancelled", "_heap", "_serial", "_soon", "now")

    def __init__(self, now: float = 0.0) -> None:
        #: The time of the current batch, in seconds. It never goes back, and does not move while a batch is worked on.
        self.now = now
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = 0
        self._cancelled = 0
        self._soon: deque[Callable[[], object]] = deque()

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back when the clock reaches ``when``."""
        timer = Timer(self, when, callback)
        self._serial += 1
        heappush(self._heap, (when, self._serial, timer))
        return timer

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call back ``delay`` seconds after the current batch."""
        return self.call_at(self.now + delay, callback)

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call back once, at the end of the current batch: where work that many packets ask for is done once."""
        self._soon.append(callback)

    def advance(self, now: float) -> None:
        """Move the clock to ``now`` and run every timer that is due, in order."""
        if now > self.now:
            self.now = now
        heap = self._heap
        while heap and heap[0][0] <= self.now:
            timer = heappop(heap)[2]
            callback = timer.callback
            if callback is None:
                self._cancelled -= 1
            else:
                timer.callback = None
                callback()

    def flush(self) -> None:
        """End the batch: run what ``call_soon`` has gathered, and what that asks for in turn."""
        soon = self._soon
        while soon:
            soon.popleft()()

    def next_event(self) -> float | None:
        """When ``advance`` wants to be called next; None for never. (Flush before asking.)"""
        heap = self._heap
        while heap:
            when, _, timer = heap[0]
            if timer.callback is not None:
                return when
            heappop(heap)
            self._cancelled -= 1
        return None

    def _forget(self) -> None:
        self._cancelled += 1
        if self._cancelled > 1000 and self._cancelled * 2 > len(self._heap):
            # In place: advance() may be walking it, and have called who cancels.
            self._heap[:] = [entry for entry in self._heap if entry[2].callback is not None]
            heapify(self._heap)
            self._cancelled = 0
