"""TLS: asyncio's own TLS protocol between a protocol and its transport."""

from __future__ import annotations

import ssl
from asyncio import sslproto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from .transports import StreamTransport


class Secured:
    """``protocol`` under TLS: the client's side if there is a ``hostname`` (an empty one is not checked).

    ``timeouts`` are those of handshake and shutdown, in seconds; None: asyncio's. A handshake that nobody awaits fails
    by closing the connection.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.BaseProtocol,
        context: bool | ssl.SSLContext,
        hostname: str | None,
        timeouts: tuple[float | None, float | None],
        *,
        awaited: bool = True,
    ) -> None:
        self._waiter: asyncio.Future[None] | None = loop.create_future() if awaited else None
        make: Any = sslproto.SSLProtocol
        self.protocol: asyncio.BaseProtocol = make(
            loop, protocol, context if isinstance(context, ssl.SSLContext) else None, self._waiter, hostname is None,
            hostname, ssl_handshake_timeout=timeouts[0], ssl_shutdown_timeout=timeouts[1],
        )  # fmt: skip

    async def handshake(self, transport: StreamTransport) -> asyncio.Transport:
        """Start the transport, wait for the handshake; the transport of the protocol above TLS.

        Raises SSLError, and ConnectionError when the connection ends in between.
        """
        outer: asyncio.Transport = self.protocol._get_app_transport()  # type: ignore[attr-defined]
        transport.start()
        try:
            if self._waiter is not None:
                await self._waiter
        except BaseException:
            transport.close()
            raise
        return outer
