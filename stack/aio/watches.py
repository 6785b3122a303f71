"""``add_reader`` and ``add_writer`` for the sockets of simulated hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ..direct import HostSocket

#: How long a socket that stays ready for its error queue alone lets virtual time go on, in seconds.
_PAUSE: Final = 1e-6


class Watches:
    """Who wants to hear of which socket; one callback for each socket and direction, called as long as it is ready."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watches: dict[tuple[int, int], _Watch] = {}

    def add(self, sock: HostSocket, events: int, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """Call back when the socket is ready for ``events``, instead of who was called before."""
        self.remove(sock, events)
        self._watches[sock.fileno(), events] = _Watch(self._loop, sock, events, callback, arguments)

    def remove(self, sock: HostSocket, events: int) -> bool:
        """Whether somebody wanted to hear of it."""
        watch = self._watches.pop((sock.fileno(), events), None)
        if watch is not None:
            watch.stop()
        return watch is not None


class _Watch:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: HostSocket,
        events: int,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
    ) -> None:
        self._loop, self._sock, self._events = loop, sock, events
        self._callback, self._arguments = callback, arguments
        self._stop = sock.watch(self._look)
        self._due: asyncio.Handle | None = loop.call_soon(self._fire)

    def stop(self) -> None:
        self._stop()
        if self._due is not None:
            self._due.cancel()

    def _look(self) -> None:
        if self._due is None and self._sock.calls.readiness() & self._events:
            self._due = self._loop.call_soon(self._fire)

    def _fire(self) -> None:
        self._due = None
        calls = self._sock.calls
        if calls.readiness() & self._events:
            # Again, if the callback does not undo it; after a while, if it is for an error queue that nobody may read.
            pause = 0 if calls.unblocks(self._events) else _PAUSE
            self._due = self._loop.call_later(pause, self._fire) if pause else self._loop.call_soon(self._fire)
            self._callback(*self._arguments)
