"""A simulated network's ends in the real world: links with a descriptor, such as a TAP, and the machine's clock.

Virtual time then is real time. Events still happen one by one, each at the instant it is due, however late the
machine comes to it: so lateness never adds up, and a rate is kept to the bit.
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from collections import deque
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, Final

from ...link.around import Around
from ...link.capture import Capture, PcapFile
from ...link.switch import BATCH
from .node import SwitchNode

if TYPE_CHECKING:
    from ...link.link import Link
    from ...link.packet import Packet
    from ...link.scheduler import Scheduler
    from .addressing import Subnet

#: No sleep is longer, in seconds.
LONGEST_SLEEP: Final = 3600.0
#: struct itimerspec: interval and value, in seconds and nanoseconds; timerfd_settime(2).
_TIMER: Final = Struct("@qqqq")

_libc = ctypes.CDLL(None, use_errno=True)


class Arrivals(Around):
    """A link whose frames are read first and received later, at an instant after the arrival of them all."""

    __slots__ = ("_waiting",)

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._waiting: deque[Packet] = deque()

    def read(self) -> None:
        """Read what has arrived, a batch at most. Raises OSError as the link does."""
        for _ in range(BATCH):
            packet = self.link.receive_packet()
            if packet is None:
                break
            self._waiting.append(packet)

    def receive_packet(self) -> Packet | None:
        """The next frame that was read."""
        return self._waiting.popleft() if self._waiting else None


class Outside(SwitchNode):
    """Where a real link ends on the network, made by `Network.outside`: what arrives there goes down its wires, and
    what comes over them leaves by the link."""

    def __init__(
        self, name: str, scheduler: Scheduler, subnet: Subnet, link: Link, recorder: PcapFile | None = None
    ) -> None:
        super().__init__(name, scheduler, subnet)
        self.arrivals = Arrivals(link)
        self.link = self.arrivals if recorder is None else Capture(self.arrivals, recorder, lambda: scheduler.now)
        #: Lets in the batch that was read.
        self.serve = self.switch.attach(self.link)

    def __repr__(self) -> str:
        return f"<outside {self.name}>"


class RealTime:
    """The machine's clock, for a network with links to the outside.

    epoll counts its time-outs in milliseconds, which is too coarse for a wire. So a timer of the kernel's, in
    nanoseconds, is one more descriptor to wait for. (Measured on a virtual machine: late by 0.17 ms, epoll by 0.87.)
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._epoll = select.epoll()
        self._timer = _create_timer()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._outsides: dict[int, Outside] = {}
        #: What the machine's clock was when the network's was 0.
        self._zero = 0.0
        #: How far it was when last looked at: what is due up to here may happen.
        self._horizon = 0.0
        #: Whose frames, read before that instant, are let in at it: late, never so early that a delay is cut short.
        self._arrived: list[Outside] = []
        for descriptor in (self._timer, self._bell):
            self._epoll.register(descriptor, select.EPOLLIN)

    def watch(self, outside: Outside) -> None:
        """Serve a link from now on."""
        descriptor = outside.link.fileno()
        self._outsides[descriptor] = outside
        self._epoll.register(descriptor, select.EPOLLIN)

    def start(self) -> float:
        """Let the network's clock go on from where it is: what has passed since the last run does not count.

        Returns when that clock was 0, in seconds since 1970.
        """
        self._horizon = self._scheduler.now
        self._zero = time.monotonic() - self._horizon
        return time.time() - self._horizon

    def reach(self, when: float | None, until: float | None, deadline: float | None) -> bool:
        """What `Network.reach` does."""
        limits = [limit for limit in (when, until) if limit is not None]
        if limits and min(limits) <= self._horizon:
            return True
        if self._arrived:
            self._take()
            return False
        if deadline is not None:
            limits.append(deadline - self._zero)
        limit = min(limits, default=None)
        self._wait(limit)
        self._horizon = time.monotonic() - self._zero
        return limit is not None and limit <= self._horizon

    def _take(self) -> None:
        """Let in what has arrived: now that all that was due before has happened."""
        scheduler = self._scheduler
        scheduler.advance(self._horizon)
        arrived, self._arrived = self._arrived, []
        for outside in arrived:
            outside.serve()
        scheduler.flush()

    def _wait(self, when: float | None) -> None:
        """Sleep until ``when``, or something arrives, or `ring`."""
        delay = LONGEST_SLEEP if when is None else min(when - (time.monotonic() - self._zero), LONGEST_SLEEP)
        if delay > 0:
            _set_timer(self._timer, delay)
        for descriptor, _ in self._epoll.poll(-1 if delay > 0 else 0):
            outside = self._outsides.get(descriptor)
            if outside is not None:
                outside.arrivals.read()
                self._arrived.append(outside)
            else:
                with suppress(BlockingIOError):
                    os.read(descriptor, 8)

    def ring(self) -> None:
        """End the current or next wait. For signal handlers and other threads too."""
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Give the descriptors back; the links stay open."""
        self._epoll.close()
        os.close(self._timer)
        os.close(self._bell)


def _create_timer() -> int:
    return _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))


def _set_timer(descriptor: int, delay: float) -> None:
    """Let the timer be readable after ``delay`` seconds. (0 would stop it.)"""
    nanoseconds = max(1, int(delay * 1e9))
    setting = _TIMER.pack(0, 0, nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000)
    _checked(_libc.timerfd_settime(descriptor, 0, setting, None))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
