"""asyncio's stream transport, directly over a stream socket of a host: no descriptor, no system call, no copy out.

TCP's own queues are the transport's: what is written goes to the connection at once, and the write buffer that flow
control is about is what exceeds the connection's send buffer. Data and ends are handed to the protocol at the end of a
batch of packets, before TCP acknowledges it: an answer that the protocol writes there leaves with the acknowledgment.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import constants
from typing import TYPE_CHECKING, Any, Final

from ...transport.errors import error
from ..direct import HostSocket, move
from ..names import socket_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..calls import StreamSocket
    from .host import AsyncHost
    from .server import Server

#: The most that a protocol is handed at once, in bytes (as asyncio's own transports read).
_MOST: Final = 256 << 10
_HIGH_WATER: Final = 64 << 10


def frozen(data: Any) -> bytes | memoryview:
    """The data, in a form that nobody changes later; copied only if somebody could."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, memoryview) and isinstance(data.obj, bytes) and data.c_contiguous:
        return data.cast("B")
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")


def reraise(exception: BaseException) -> None:
    """For the loop to run: an exception that must end it, where a host's batch must not be cut short."""
    raise exception


class StreamTransport(asyncio.Transport):
    """One end of an established TCP connection of ``owner``'s host. Made by `AsyncHost`.

    The protocol's methods run in the context that the transport was made in.
    """

    __slots__ = (
        "_buffered", "_closing", "_connection", "_context", "_end_told", "_eof", "_high", "_limits", "_lost",
        "_owner", "_paused", "_poke", "_protocol", "_reading", "_server", "_socket",
    )  # fmt: skip

    _start_tls_compatible = True  # read by asyncio's start_tls
    _sendfile_compatible = constants._SendfileMode.FALLBACK  # by asyncio's sendfile

    def __init__(
        self,
        owner: AsyncHost,
        socket: StreamSocket,
        protocol: asyncio.BaseProtocol,
        server: Server | None = None,
        outer: HostSocket | None = None,
    ) -> None:
        super().__init__()
        connection = socket.connection
        assert connection is not None
        self._owner = owner
        self._poke = owner.poke
        self._socket = socket
        self._connection = connection
        self._server = server
        self._context = contextvars.copy_context()
        self._closing = self._eof = self._end_told = self._reading = self._paused = False
        self._lost = False
        self.set_write_buffer_limits()
        self._extra = {
            "sockname": socket_address(*connection.local),
            "peername": socket_address(*connection.remote),
            "socket": outer,
        }
        self.set_protocol(protocol)
        socket.observer = self._changed
        owner.transports[self] = None
        if server is not None:
            server.attach(self)

    def start(self) -> None:
        """Tell the protocol of the connection, and begin to hand it what arrives."""
        if self._call("connection_made", self._protocol.connection_made, self) and not self._closing:
            self._reading = not self._paused
            self._changed()

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._closing else "open"
        return f"<{type(self).__name__} {state} {self._extra['sockname']} to {self._extra['peername']}>"

    # about the connection

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``sockname``, ``peername``, and ``socket``: a socket object, for options."""
        if name == "socket" and self._extra["socket"] is None:
            self._extra["socket"] = HostSocket.wrap(self._owner, self._socket)
        return self._extra.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol: Any = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        return self._closing

    # reading

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        """Hand nothing on: the receive window closes when it is full."""
        self._paused = True
        self._reading = False

    def resume_reading(self) -> None:
        if self._paused and not self._closing:
            self._paused = False
            self._reading = True
            self._owner.loop.call_soon(self._changed)

    def _changed(self) -> None:
        """Something arrived, left, or ended."""
        socket = self._socket
        while self._reading:
            if socket.readable:
                if not self._hand_over():
                    return
            elif socket.at_end and not self._end_told:
                self._end_told = True
                self._tell_end()
            else:
                break
        if self._lost:
            return
        if socket.error and (self._high is None or not socket.readable):
            self.force_close(error(socket.take_error()))
        elif self._high is None and self.get_write_buffer_size() <= self._limits[0]:
            self._resume_writing()

    def _hand_over(self) -> bool:
        """Pass on some of what has arrived; False when the protocol failed."""
        socket = self._socket
        protocol = self._protocol
        try:
            if not self._buffered:
                data = socket.receive(_MOST)
                self._context.run(protocol.data_received, data)
            else:
                buffer = self._context.run(protocol.get_buffer, socket.readable)
                if not len(buffer):
                    raise RuntimeError("get_buffer() returned an empty buffer")
                self._context.run(protocol.buffer_updated, move(socket, memoryview(buffer).cast("B")))
        except BaseException as failure:
            self._failed("buffer_updated" if self._buffered else "data_received", failure)
            return False
        self._poke()
        return True

    def _tell_end(self) -> None:
        try:
            keep_open = self._context.run(self._protocol.eof_received)
        except BaseException as failure:
            self._failed("eof_received", failure)
            return
        if not keep_open:
            self.close()

    # writing

    def write(self, data: Any) -> None:
        """Send ``data``. They are not copied if they are ``bytes``, or a view of such."""
        data = frozen(data)
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._lost or not data:
            return
        self._connection.write(data)
        self._poke()
        if self._high is not None and self.get_write_buffer_size() > self._high:
            self._pause_writing()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        for data in list_of_data:
            self.write(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """FIN after what was written; data still arrive."""
        if self._closing or self._eof:
            return
        self._eof = True
        self._connection.shutdown()
        self._poke()

    def get_write_buffer_size(self) -> int:
        """Bytes that were written and exceed TCP's send buffer."""
        connection = self._connection
        return max(connection.unacknowledged - connection.snd_limit, 0)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._limits

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When the protocol is told to pause and to resume writing; in bytes. As asyncio's transports."""
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._limits = low, high
        #: The high-water mark; None while the protocol has been told to pause.
        self._high: int | None = high

    def _pause_writing(self) -> None:
        self._high = None
        try:
            self._protocol.pause_writing()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as failure:
            self._report("protocol.pause_writing() failed", failure)

    def _resume_writing(self) -> None:
        self._high = self._limits[1]
        try:
            self._context.run(self._protocol.resume_writing)
        except (SystemExit, KeyboardInterrupt) as failure:
            self._owner.loop.call_soon(reraise, failure)
        except BaseException as failure:
            self._report("protocol.resume_writing() failed", failure)

    # the end

    def close(self) -> None:
        """Hand on nothing more; TCP sends what was written, then a FIN."""
        if not self._closing:
            self._closing = True
            self._reading = False
            self._owner.loop.call_soon(self._finish, None, context=self._context)

    def abort(self) -> None:
        """Close at once. What exceeds TCP's send buffer is lost, and then the peer is sent a RST."""
        self.force_close(None)

    def force_close(self, exception: BaseException | None) -> None:
        """Close at once, with the reason for the protocol's ``connection_lost``."""
        if self._lost:
            return
        if not self._closing:
            self._closing = True
            self._owner.loop.call_soon(self._finish, exception, context=self._context)
        self._reading = False
        self._lost = True
        if self.get_write_buffer_size():
            self._socket.abort()
            self._poke()

    _force_close = force_close  # called by asyncio's TLS protocol

    def _finish(self, exception: BaseException | None) -> None:
        self._lost = True
        protocol = self._protocol
        try:
            protocol.connection_lost(exception)
        finally:
            self._socket.close()
            self._poke()
            self._protocol = None
            self._owner.transports.pop(self, None)
            if self._server is not None:
                self._server.detach(self)
                self._server = None

    # calling the protocol

    def _call(self, name: str, method: Callable[..., Any], *arguments: Any) -> bool:
        try:
            self._context.run(method, *arguments)
        except BaseException as failure:
            self._failed(name, failure)
            return False
        return True

    def _failed(self, name: str, failure: BaseException) -> None:
        """A method of the protocol raised: the connection ends, the batch goes on."""
        if isinstance(failure, SystemExit | KeyboardInterrupt):
            self._owner.loop.call_soon(reraise, failure)
        elif not isinstance(failure, OSError):
            self._report(f"Fatal error: protocol.{name}() call failed.", failure)
        self.force_close(failure)

    def _report(self, message: str, failure: BaseException) -> None:
        self._owner.loop.call_exception_handler(
            {"message": message, "exception": failure, "transport": self, "protocol": self._protocol}
        )
