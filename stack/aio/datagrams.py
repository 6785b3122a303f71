"""asyncio's datagram transport, directly over a datagram socket of a host."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, Final

from ..direct import HostSocket
from ..names import socket_address
from .transports import frozen, reraise

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..calls import DatagramSocket
    from .host import AsyncHost

#: Datagrams handed over before others have their turn.
_BATCH: Final = 256


class DatagramTransport(asyncio.DatagramTransport):
    """A UDP endpoint of ``owner``'s host. Made by `AsyncHost.create_datagram_endpoint`.

    Sending never waits: a datagram is on the link, waits for a neighbor to answer, or is dropped.
    """

    __slots__ = ("_closing", "_context", "_owner", "_protocol", "_remote", "_socket")

    def __init__(
        self, owner: AsyncHost, socket: DatagramSocket, protocol: asyncio.BaseProtocol, outer: HostSocket
    ) -> None:
        super().__init__()
        self._owner = owner
        self._socket = socket
        self._protocol: Any = protocol
        self._context = contextvars.copy_context()
        self._closing = False
        self._remote = socket.getpeername() if socket.connected else None
        self._extra: dict[str, Any] = {
            "sockname": socket_address(*socket.getsockname()),
            "peername": socket_address(*self._remote) if self._remote else None,
            "socket": outer,
        }
        owner.transports[self] = None

    def start(self) -> None:
        """Tell the protocol, and begin to hand it what arrives."""
        self._call("connection_made", self)
        if not self._closing:
            self._socket.observer = self._changed
            self._changed()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closing' if self._closing else 'open'} {self._extra['sockname']}>"

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        """Nothing is kept back: 0."""
        return 0

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send one datagram to ``addr``, a (host, port) pair; not needed when connected.

        What the network answers, and what the call raises (OSError), goes to the protocol's ``error_received``.
        """
        payload = frozen(data)
        target = None
        if addr is not None and self._remote is None:
            target = self._owner.names.addresses(addr[0])[0], int(addr[1])
        elif addr is not None and tuple(addr[:2]) != self._extra["peername"][:2]:
            raise ValueError(f"Invalid address: must be None or {self._extra['peername']}")
        if self._closing:
            return
        try:
            self._socket.send([payload], target)
        except OSError as failure:
            self._protocol.error_received(failure)
        self._owner.poke()

    def close(self) -> None:
        """Hand on nothing more. What was sent is on its way already."""
        if not self._closing:
            self._closing = True
            self._socket.close()
            self._owner.loop.call_soon(self._finish, None, context=self._context)

    def abort(self) -> None:
        self.close()

    def _changed(self) -> None:
        """Something arrived, or an ICMP error did."""
        socket = self._socket
        for _ in range(_BATCH):
            if self._closing:
                return
            try:
                datagram = socket.receive()
            except OSError as failure:
                self._call("error_received", failure)
                continue
            if datagram is None:
                return
            payload, source = datagram
            self._call("datagram_received", bytes(payload), socket_address(*source))
        self._owner.loop.call_soon(self._changed)

    def _call(self, name: str, *arguments: Any) -> None:
        method: Callable[..., Any] = getattr(self._protocol, name)
        try:
            self._context.run(method, *arguments)
        except (SystemExit, KeyboardInterrupt) as failure:
            self._owner.loop.call_soon(reraise, failure)
        except BaseException as failure:
            context = {"exception": failure, "transport": self, "protocol": self._protocol}
            message = f"Fatal error: protocol.{name}() call failed."
            self._owner.loop.call_exception_handler({"message": message, **context})
            self.close()

    def _finish(self, exception: BaseException | None) -> None:
        protocol, self._protocol = self._protocol, None
        self._owner.transports.pop(self, None)
        protocol.connection_lost(exception)
