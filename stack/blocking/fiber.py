"""Fibers: the threads of programs on simulated hosts. One runs at a time, until it waits; waiting takes virtual time.

A fiber is a greenlet that the network's scheduler resumes, at the end of a batch or when a timer is due. While it runs,
the standard names for sockets, clocks, threads and waiting are the simulated ones (`swaps`), and at no other time.
"""

from __future__ import annotations

import contextvars
from itertools import count
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, getcurrent, greenlet

from .swaps import swapped

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from .program import Program

_idents = count(1)


class Fiber(greenlet):
    """A thread of ``program``; ``thread`` is what threading.current_thread returns in it."""

    parent: greenlet

    def __init__(self, program: Program, thread: threading.Thread, body: Callable[[], object]) -> None:
        super().__init__(body)
        self.program = program
        self.thread = thread
        #: What threading.get_ident returns in it.
        self.ident = next(_idents)
        self.gr_context = contextvars.copy_context()
        self._scheduler = program.network.scheduler
        self._waits = 0  # how often it has waited: what would wake it from an earlier wait comes too late
        self._woken = False
        self._parked = True
        #: Whether it has ended.
        self.over = False
        #: Fibers that wait for that.
        self.joining: list[Fiber] = []

    def begin(self) -> None:
        """Let it run for the first time at the end of the current batch."""
        self._scheduler.call_soon(self._resume)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until `wake` is called; False if that does not happen within ``timeout`` virtual seconds."""
        if self.program.ending:
            self._leave()
        self._waits += 1
        self._woken, self._parked = False, True
        number = self._waits
        timer = None if timeout is None else self._scheduler.call_later(timeout, lambda: self._resume(number))
        try:
            self.parent.switch()
        finally:
            if timer is not None:
                timer.cancel()
        return self._woken

    def wake(self) -> None:
        """End its `wait`, at the end of the current batch."""
        if self._parked and not self._woken:
            self._woken = True
            number = self._waits
            self._scheduler.call_soon(lambda: self._resume(number))

    def kill(self) -> None:
        """Unwind it at once; what it still does on its way out must not wait."""
        if self is getcurrent():
            raise GreenletExit
        if not self.dead:
            self.parent = getcurrent()
            self._parked = False
            with swapped:
                self.throw(GreenletExit)

    def _leave(self) -> None:
        """Waiting is over for a program that ends; for one that takes no notice, it is for ever."""
        if self._parked:
            self.parent.switch()
        self._parked = True
        raise GreenletExit

    def _resume(self, number: int = 0) -> None:
        if number != self._waits or not self._parked or self.dead:
            return
        self._parked = False
        self.parent = getcurrent()
        with swapped:
            self.switch()
        self.program.surface()


def current() -> Fiber | None:
    """The fiber that runs; None outside of programs on simulated hosts, and in other threads of the machine."""
    here = getcurrent()
    return here if isinstance(here, Fiber) else None


def here() -> Fiber:
    """The fiber that runs. Raises RuntimeError outside of programs."""
    fiber = current()
    if fiber is None:
        raise RuntimeError("this would wait in virtual time, but no program on a simulated host runs here")
    return fiber


def fallback(outside: Any) -> Callable[[Callable[..., Any]], Any]:
    """Makes a function that does what ``outside`` does when it is called from elsewhere than a fiber: by another
    thread of the machine, or by someone who kept it."""

    def decorate(inside: Callable[..., Any]) -> Any:
        def function(*args: Any, **kwargs: Any) -> Any:
            return (outside if current() is None else inside)(*args, **kwargs)

        # The code's name too: it is what tracebacks show, and `where`.
        name = getattr(outside, "__name__", inside.__name__)
        full = f"{outside.__module__}.{name}"
        function.__code__ = function.__code__.replace(co_name=name, co_qualname=full)
        function.__name__ = function.__qualname__ = name
        function.__doc__ = inside.__doc__
        return function

    return decorate
