"""asyncio's server: listening sockets of a host, whose connections get a protocol each."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..direct import HostSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..calls import StreamSocket
    from .host import AsyncHost
    from .transports import StreamTransport

#: Until then, waiting for a closed server did not wait for its connections.
_WAITS_FOR_CONNECTIONS: Final = sys.version_info >= (3, 12)


class Server(asyncio.AbstractServer):
    """What `AsyncHost.create_server` returns: an asyncio server. ``welcome`` is given each accepted socket."""

    def __init__(
        self,
        owner: AsyncHost,
        listeners: list[HostSocket],
        backlog: int,
        welcome: Callable[[StreamSocket, Server], None],
    ) -> None:
        self._owner = owner
        self._listeners = listeners
        self._backlog = backlog
        self._welcome = welcome
        self._serving = self._closed = False
        self._transports: set[StreamTransport] = set()
        self._forever: asyncio.Future[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        owner.servers[self] = None

    def __repr__(self) -> str:
        return f"<Server {[listener.getsockname() for listener in self.sockets]}>"

    @property
    def sockets(self) -> tuple[HostSocket, ...]:
        """The listening sockets; none once closed."""
        return () if self._closed else tuple(self._listeners)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._owner.loop

    def is_serving(self) -> bool:
        return self._serving

    async def start_serving(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Listen. Raises RuntimeError once closed, OSError as `listen` does."""
        if self._closed:
            raise RuntimeError(f"server {self!r} is closed")
        if self._serving:
            return
        self._serving = True
        for listener in self._listeners:
            listener.listen(self._backlog)
            listener.watch(partial(self._accept, listener.calls, contextvars.copy_context()))

    def _accept(self, listener: Any, context: contextvars.Context) -> None:
        while listener.acceptable:
            with contextlib.suppress(OSError):
                socket = listener.accept()
                context.copy().run(self._welcome, socket, self)
                continue
            # Too many sockets: the connection waits for the next event, as with asyncio's own server.
            return

    async def serve_forever(self) -> None:
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        self.begin()
        self._forever = self._owner.loop.create_future()
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise
        finally:
            self._forever = None

    def close(self) -> None:
        """Take no more connections; those that there are go on."""
        if self._closed:
            return
        self._closed, self._serving = True, False
        self._owner.servers.pop(self, None)
        for listener in self._listeners:
            listener.close()
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()
        self._wake()

    def close_clients(self) -> None:
        """Close all connections."""
        for transport in list(self._transports):
            transport.close()

    def abort_clients(self) -> None:
        """Close all connections at once."""
        for transport in list(self._transports):
            transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the server is closed and, since Python 3.12, its connections have ended."""
        if self._closed and not (self._transports and _WAITS_FOR_CONNECTIONS):
            return
        waiter = self._owner.loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def attach(self, transport: StreamTransport) -> None:
        """A connection has a transport."""
        self._transports.add(transport)

    def detach(self, transport: StreamTransport) -> None:
        """A connection has ended."""
        self._transports.discard(transport)
        self._wake()

    def _wake(self) -> None:
        if self._closed and not self._transports:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()
