"""The ``threading`` module as programs on simulated hosts find it: threads are fibers, and locks wait in virtual time.

What the standard library builds upon locks (conditions, events, queues, executors) builds upon these.
"""

from __future__ import annotations

import _thread
import _threading_local
import queue
import sys
import threading
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from greenlet import GreenletExit

from .clock import GLANCE, now
from .fiber import current, fallback, here
from .swaps import swapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .fiber import Fiber

_fibers: Final[WeakKeyDictionary[threading.Thread, Fiber]] = WeakKeyDictionary()
_start, _join, _is_alive = threading.Thread.start, threading.Thread.join, threading.Thread.is_alive


class Lock:
    """As threading.Lock objects."""

    __slots__ = ("__weakref__", "_held", "_waiting")

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[Fiber] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Raises RuntimeError where it would have to wait outside of a program: it would wait for ever."""
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        if self._held:
            return self._wait(here(), None if timeout == -1 else timeout) if blocking else self._glance()
        self._held = True
        return True

    def release(self) -> None:
        if not self._held:
            raise RuntimeError("release unlocked lock")
        self._held = False
        if self._waiting:
            self._waiting[0].wake()

    def locked(self) -> bool:
        return self._held

    __enter__ = acquire

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _is_owned(self) -> bool:
        """What conditions would try to find out by acquiring it."""
        return self._held

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]

    def _glance(self) -> bool:
        fiber = current()
        if fiber is not None:
            fiber.wait(GLANCE)
        return False

    def _wait(self, fiber: Fiber, timeout: float | None) -> bool:
        deadline = None if timeout is None else now() + timeout
        self._waiting.append(fiber)
        try:
            while self._held:
                left = None if deadline is None else deadline - now()
                if left is not None and left <= 0:
                    return False
                fiber.wait(left)
            self._held = True
            return True
        finally:
            self._waiting.remove(fiber)
            if self._waiting and not self._held:  # this one was woken in vain
                self._waiting[0].wake()


def adopted(name: str) -> threading.Thread:
    """A thread object for a fiber that no thread object was started for."""
    thread = threading.Thread(name=name, daemon=False)
    thread._started.set()  # type: ignore[attr-defined]
    return thread


def belongs(thread: threading.Thread, fiber: Fiber) -> None:
    """The thread is this fiber from now on."""
    thread._ident = fiber.ident  # type: ignore[attr-defined]
    _fibers[thread] = fiber


def ended(fiber: Fiber) -> None:
    """A fiber has ended: tell who joins its thread, now and later, in programs and elsewhere."""
    fiber.thread._is_stopped = True  # type: ignore[attr-defined]
    for waiting in fiber.joining:
        waiting.wake()


def _thread_start(self: threading.Thread) -> None:
    fiber = current()
    if fiber is None:
        return _start(self)
    if self._started.is_set():  # type: ignore[attr-defined]
        raise RuntimeError("threads can only be started once")
    self._started.set()  # type: ignore[attr-defined]
    belongs(self, fiber.program.start(self, lambda: _run(self.run)))


def _run(body: Callable[[], object]) -> None:
    """What an exception in a thread does is up to threading.excepthook, as ever."""
    try:
        body()
    except (GreenletExit, SystemExit):
        pass
    except BaseException:
        threading.excepthook(threading.ExceptHookArgs([*sys.exc_info(), threading.current_thread()]))


def _thread_join(self: threading.Thread, timeout: float | None = None) -> None:
    fiber = current()
    if fiber is None or self not in _fibers:
        return _join(self, timeout)
    if self is fiber.thread:
        raise RuntimeError("cannot join current thread")
    other = _fibers[self]
    deadline = None if timeout is None else now() + max(timeout, 0)
    other.joining.append(fiber)
    try:
        while not other.over:
            left = None if deadline is None else deadline - now()
            if left is not None and left <= 0:
                return None
            fiber.wait(left)
        return None
    finally:
        other.joining.remove(fiber)


def _thread_is_alive(self: threading.Thread) -> bool:
    return not _fibers[self].over if self in _fibers else _is_alive(self)


def _start_new_thread(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None, /) -> int:
    thread = adopted(getattr(function, "__name__", "thread"))
    thread.daemon = True
    fiber = here().program.start(thread, lambda: _run(lambda: function(*args, **(kwargs or {}))))
    belongs(thread, fiber)
    return fiber.ident


def install() -> None:
    swapped.method(threading.Thread, "start", _thread_start)
    swapped.method(threading.Thread, "join", _thread_join)
    swapped.method(threading.Thread, "is_alive", _thread_is_alive)
    swapped.name(threading.current_thread, fallback(threading.current_thread)(lambda: here().thread))
    swapped.name(threading.main_thread, fallback(threading.main_thread)(lambda: here().program.main_thread))
    swapped.name(_thread.get_ident, fallback(_thread.get_ident)(lambda: here().ident))
    swapped.name(_thread.start_new_thread, fallback(_thread.start_new_thread)(_start_new_thread))
    swapped.name(_thread.allocate_lock, fallback(_thread.allocate_lock)(Lock))
    swapped.name(threading.RLock, fallback(threading.RLock)(threading._PyRLock))  # type: ignore[attr-defined]
    swapped.name(threading.local, _threading_local.local)
    swapped.name(queue.SimpleQueue, fallback(queue.SimpleQueue)(queue._PySimpleQueue))  # type: ignore[attr-defined]
