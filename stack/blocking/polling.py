"""The ``select`` module as programs on simulated hosts find it, and with it ``selectors``."""

from __future__ import annotations

import errno
import select
import selectors
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ...transport.errors import error
from ..calls import numbers as n
from ..direct import find
from .clock import GLANCE
from .fiber import Fiber, fallback, here
from .readiness import readiness_of, wait_until
from .refused import refusing
from .swaps import swapped

if TYPE_CHECKING:
    from ..calls import Socket

_ALWAYS: Final = n.POLLERR | n.POLLHUP
_NOT_LEVEL: Final = select.EPOLLET | select.EPOLLONESHOT | select.EPOLLEXCLUSIVE


def _number(file: Any) -> int:
    if isinstance(file, int):
        return file
    try:
        return int(file.fileno())
    except AttributeError:
        raise TypeError("argument must be an int, or have a fileno() method.") from None


def _socket(file: Any) -> Socket:
    """The calls' socket of a file object or number. Raises OSError for what is the kernel's, or closed."""
    number = _number(file)
    found = find(number)
    if found is None:
        if 0 <= number < 1 << 30:
            raise refusing(f"the descriptor {number} here", "it is the kernel's, and becomes ready in real time")
        raise error(errno.EBADF)
    return found.calls


def _wait(fiber: Fiber, wants: list[tuple[Socket, int]], timeout: float | None) -> None:
    """Wait for any, or, with no time to wait, let a moment pass unless there is one."""
    if timeout is not None and timeout <= 0:
        timeout = GLANCE
    if not wants:
        fiber.wait(timeout)
    else:
        wait_until(fiber, lambda: _any_ready(wants), [socket for socket, _ in wants], timeout)


def _any_ready(wants: list[tuple[Socket, int]]) -> bool:
    return any(socket.closed or socket.readiness() & events for socket, events in wants)


def _select(
    reading: Iterable[Any], writing: Iterable[Any], exceptional: Iterable[Any], timeout: float | None = None, /
) -> tuple[list[Any], list[Any], list[Any]]:
    """As select.select; nothing is ever exceptional, since there is no urgent data."""
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    fiber = here()
    read = [(file, _socket(file)) for file in reading]
    write = [(file, _socket(file)) for file in writing]
    for file in exceptional:
        _socket(file)
    readable, writable = n.POLLIN | _ALWAYS, n.POLLOUT | n.POLLERR
    wants = [(socket, readable) for _, socket in read] + [(socket, writable) for _, socket in write]
    _wait(fiber, wants, timeout)
    return (
        [file for file, socket in read if socket.readiness() & readable],
        [file for file, socket in write if socket.readiness() & writable],
        [],
    )


class Poll:
    """As select.poll objects."""

    def __init__(self) -> None:
        self._events: dict[int, int] = {}

    def register(self, fd: Any, eventmask: int = n.POLLIN | select.POLLPRI | n.POLLOUT, /) -> None:
        _socket(fd)
        self._events[_number(fd)] = eventmask

    def modify(self, fd: Any, eventmask: int, /) -> None:
        if _number(fd) not in self._events:
            raise error(errno.ENOENT)
        self._events[_number(fd)] = eventmask

    def unregister(self, fd: Any, /) -> None:
        del self._events[_number(fd)]

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """``timeout`` in milliseconds; None or negative: none."""
        fiber = here()
        sockets = [(number, found.calls) for number in self._events if (found := find(number)) is not None]
        closed = [(number, select.POLLNVAL) for number in self._events if find(number) is None]
        if not closed:
            wants = [(socket, self._events[number] | _ALWAYS) for number, socket in sockets]
            _wait(fiber, wants, None if timeout is None or timeout < 0 else timeout / 1000)
        ready = ((number, socket.readiness() & (self._events[number] | _ALWAYS)) for number, socket in sockets)
        return closed + [(number, bits) for number, bits in ready if bits]


class Epoll:
    """As select.epoll objects, level-triggered. Its work grows with the sockets that are ready, not with all."""

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        self._known: dict[int, tuple[Socket, int]] = {}
        self._maybe: dict[int, None] = {}
        self._waiting: dict[Fiber, None] = {}
        self.closed = False

    def __enter__(self) -> Epoll:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for number in list(self._known):
            self.unregister(number)
        self.closed = True

    def fileno(self) -> int:
        raise refusing("an epoll object's descriptor", "there is none behind it")

    def register(self, fd: Any, eventmask: int = n.POLLIN | select.POLLPRI | n.POLLOUT) -> None:
        socket, number = _socket(fd), _number(fd)
        if number in self._known:
            raise error(errno.EEXIST)
        self._watch(number, socket, eventmask)
        readiness_of(socket).watchers[self] = partial(self._changed, number)

    def modify(self, fd: Any, eventmask: int) -> None:
        number = _number(fd)
        if number not in self._known:
            raise error(errno.ENOENT)
        self._watch(number, self._known[number][0], eventmask)

    def unregister(self, fd: Any) -> None:
        number = _number(fd)
        if number not in self._known:
            raise error(errno.ENOENT)
        socket, _ = self._known.pop(number)
        self._maybe.pop(number, None)
        if not socket.closed:
            readiness_of(socket).watchers.pop(self, None)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """``timeout`` in seconds; None or negative: none."""
        fiber = here()
        scheduler = fiber.program.network.scheduler
        forever = timeout is None or timeout < 0
        deadline = 0.0 if forever else scheduler.now + max(timeout or 0.0, GLANCE)
        self._waiting[fiber] = None
        try:
            while not (ready := self._ready()):
                left = None if forever else deadline - scheduler.now
                if left is not None and left <= 0:
                    break
                fiber.wait(left)
        finally:
            self._waiting.pop(fiber, None)
        return ready if maxevents <= 0 else ready[:maxevents]

    def _watch(self, number: int, socket: Socket, events: int) -> None:
        if events & _NOT_LEVEL:
            raise refusing("EPOLLET, EPOLLONESHOT or EPOLLEXCLUSIVE", "its epoll is level-triggered", errno.EINVAL)
        self._known[number] = socket, events
        self._changed(number)

    def _changed(self, number: int) -> None:
        self._maybe[number] = None
        for fiber in list(self._waiting):
            fiber.wake()

    def _ready(self) -> list[tuple[int, int]]:
        ready = []
        for number in list(self._maybe):
            socket, events = self._known[number]
            if socket.closed:
                del self._known[number], self._maybe[number]
            elif bits := socket.readiness() & (events | _ALWAYS):
                ready.append((number, bits))
            else:
                del self._maybe[number]
        return ready


def install() -> None:
    poll, epoll = fallback(select.poll)(Poll), fallback(select.epoll)(Epoll)
    choose = fallback(select.select)(_select)
    swapped.name(select.select, choose)
    swapped.name(select.poll, poll)
    swapped.name(select.epoll, epoll)
    swapped.method(selectors.SelectSelector, "_select", staticmethod(choose))
    swapped.method(selectors.PollSelector, "_selector_cls", staticmethod(poll))
    swapped.method(selectors.EpollSelector, "_selector_cls", staticmethod(epoll))
