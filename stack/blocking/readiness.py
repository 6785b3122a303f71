"""Waiting until sockets are ready: who wants to know of a change, and fibers that wait for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..calls import Socket
    from .fiber import Fiber


class Readiness:
    """Stands as the observer of a socket, and tells all who ``watch`` it, by whatever they are known as."""

    __slots__ = ("watchers",)

    def __init__(self) -> None:
        self.watchers: dict[object, Callable[[], object]] = {}

    def __call__(self) -> None:
        for callback in list(self.watchers.values()):
            callback()


def readiness_of(socket: Socket) -> Readiness:
    """The one of a socket, from now on its observer."""
    observer = socket.observer
    if not isinstance(observer, Readiness):
        observer = socket.observer = Readiness()
    return observer


def wait_until(fiber: Fiber, condition: Callable[[], bool], sockets: Iterable[Socket], timeout: float | None) -> bool:
    """Wait until a condition that depends on ``sockets`` is true; False if ``timeout`` seconds are over before."""
    observers = [readiness_of(socket) for socket in sockets]
    scheduler = fiber.program.network.scheduler
    deadline = None if timeout is None else scheduler.now + timeout
    for observer in observers:
        observer.watchers[fiber] = fiber.wake
    try:
        while not condition():
            left = None if deadline is None else deadline - scheduler.now
            if left is not None and left <= 0:
                return False
            fiber.wait(left)
        return True
    finally:
        for observer in observers:
            observer.watchers.pop(fiber, None)
