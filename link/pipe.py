"""A pipe: one direction of a subnet, on whatever clock the scheduler keeps.

A frame waits in a queue while others are put on the line, takes its size over the rate to be put there itself, and
arrives a propagation delay later. Order is kept: jitter is what queues elsewhere on the way would add, so a frame that
draws a short delay still arrives after the one before it. And no frame arrives at the instant it is sent, whatever the
delay: so stations that answer each other at once still take steps, each of which the clock can see.
"""

from __future__ import annotations

from collections import Counter, deque
from math import inf, nextafter
from typing import TYPE_CHECKING, Protocol

from .drop_tail import DropTail

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from .packet import Packet
    from .scheduler import Scheduler, Timer


class Queue(Protocol):
    """A queue discipline: which frames wait for the line, and which of them is next. Times in seconds."""

    counters: Counter[str]  #: frames that it dropped, by reason

    def __len__(self) -> int: ...

    def push(self, packet: Packet, now: float) -> None:
        """A frame wants to wait; or is dropped."""

    def pull(self, now: float) -> Packet | None:
        """The next frame for the line, or None; others may be dropped before it."""

    def clear(self) -> int:
        """Forget what waits, and say how many that were."""


class Pipe:
    """Carries frames to ``deliver``: ``delay`` and ``jitter`` in seconds, ``rate`` in bit/s (0: no limit).

    Each frame's delay is drawn, from ``random``, between ``delay - jitter`` and ``delay + jitter``. All of them may be
    changed at any time, for frames that have not been put on the line yet. ``queue`` (`DropTail` of 1000 frames unless
    given) matters only with a rate. Frames that got lost are counted in ``counters`` by reason.
    """

    __slots__ = ("_flight", "_free_at", "_landing", "_latest", "_random", "_scheduler", "_serving", "counters", "delay",
                 "deliver", "delivered", "delivered_bytes", "down", "jitter", "queue", "rate")  # fmt: skip

    deliver: Callable[[Packet], None]

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        delay: float = 0.0,
        jitter: float = 0.0,
        rate: float = 0.0,
        queue: Queue | None = None,
        random: Random | None = None,
    ) -> None:
        self.delay = delay
        self.jitter = jitter
        self.rate = rate
        self.queue: Queue = queue if queue is not None else DropTail()
        self.counters: Counter[str] = Counter()
        self.delivered = 0
        self.delivered_bytes = 0
        #: Whether frames go nowhere: see `cut`.
        self.down = False
        self._scheduler = scheduler
        self._random = random
        self._free_at = 0.0
        self._latest = 0.0
        self._serving = False
        self._flight: deque[tuple[float, Packet]] = deque()
        self._landing: Timer | None = None

    def send(self, packet: Packet) -> None:
        """Take a frame, which nobody may change any more."""
        if self.down:
            self.counters["link_down"] += 1
            return
        now = self._scheduler.now
        if not self._serving and now >= self._free_at:
            self._transmit(packet, now)
        else:
            self.queue.push(packet, now)
            if not self._serving and len(self.queue):
                self._serve_later()

    def replace_queue(self, queue: Queue) -> None:
        """Let the frames wait in another queue from now on, those included that wait already."""
        now = self._scheduler.now
        while (packet := self.queue.pull(now)) is not None:
            queue.push(packet, now)
        self.counters.update(self.queue.counters)
        self.queue = queue

    def cut(self) -> None:
        """Be down: what waits or is on its way is lost, and all that is sent until ``down`` is False again."""
        self.down = True
        self.counters["link_down"] += len(self._flight) + self.queue.clear()
        self._flight.clear()
        if self._landing is not None:
            self._landing.cancel()

    def _transmit(self, packet: Packet, now: float) -> None:
        """Put a frame on the line."""
        if self.rate:
            self._free_at = now + packet.end * 8 / self.rate
            arrival = self._free_at + self.delay
        else:
            arrival = now + self.delay
        if self.jitter:
            assert self._random is not None, "jitter needs a source of randomness"
            arrival += self._random.uniform(-self.jitter, self.jitter)
        if arrival <= now:
            arrival = nextafter(now, inf)
        if arrival < self._latest:
            arrival = self._latest
        self._latest = arrival
        flight = self._flight
        flight.append((arrival, packet))
        if len(flight) == 1:
            self._landing = self._scheduler.call_at(arrival, self._land)

    def _land(self) -> None:
        """Deliver what has arrived by now."""
        flight, now = self._flight, self._scheduler.now
        while flight and flight[0][0] <= now:
            packet = flight.popleft()[1]
            self.delivered += 1
            self.delivered_bytes += packet.end
            self.deliver(packet)
        if flight:
            self._landing = self._scheduler.call_at(flight[0][0], self._land)

    def _serve_later(self) -> None:
        self._serving = True
        self._scheduler.call_at(self._free_at, self._serve)

    def _serve(self) -> None:
        """The line is free for the next frame."""
        self._serving = False
        now = self._scheduler.now
        packet = self.queue.pull(now)
        if packet is not None:
            self._transmit(packet, now)
        if len(self.queue):
            self._serve_later()
