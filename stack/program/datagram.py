"""Datagram sockets: on the descriptor each datagram goes behind a header that names its peer (control.DATAGRAM)."""

from __future__ import annotations

import errno
import select
import socket as kernel
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ..control import DATAGRAM, NO_ADDRESS, Operation
from .addresses import decode, encode
from .stream import error, socket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .addresses import Address

_HEADER_SIZE: Final = DATAGRAM.size
_TO_PEER: Final = DATAGRAM.pack(0, NO_ADDRESS)
_LARGEST: Final = 65507  # what IPv4 can carry: RFC 768, RFC 791
_KNOWN_LIMIT: Final = 1024

_recv = kernel.socket.recv
_recvmsg_into = kernel.socket.recvmsg_into
_sendmsg = kernel.socket.sendmsg


class Datagrams(socket):
    """What is different in a datagram socket of ours."""

    _remote: bytes | None = None

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        #: Headers for the destinations that the stack has agreed to (a route, permission), and those that wrote to us.
        self._known: dict[Any, bytes] = {}
        #: The other way round, for those that wrote to us.
        self._sources: dict[bytes, Address] = {}
        super().__init__(family, type, proto, fileno)

    def connect(self, address: Any) -> None:
        if not self._kind:
            return super().connect(address)
        sockaddr = encode(address, "connect")
        outcome = self._connect_call(0, 0, sockaddr)  # type: ignore[arg-type]
        if outcome:
            raise error(outcome)
        self._remote = sockaddr

    # receiving

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        if not self._kind:
            return super().recvfrom(size, flags)
        data = _recv(self, size + _HEADER_SIZE, flags)
        return data[_HEADER_SIZE:], self._sources.get(data[:_HEADER_SIZE]) or self._source(data, flags)

    def recv(self, size: int, flags: int = 0) -> bytes:
        return self.recvfrom(size, flags)[0] if self._kind else super().recv(size, flags)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        if not self._kind:
            return super().recvfrom_into(buffer, nbytes, flags)
        size, _, _, source = self._receive_into([memoryview(buffer).cast("B")[: nbytes or None]], flags)
        return size, source

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        return self.recvfrom_into(buffer, nbytes, flags)[0] if self._kind else super().recv_into(buffer, nbytes, flags)

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        if not self._kind:
            return super().recvmsg(bufsize, ancbufsize, flags)
        buffer = bytearray(bufsize)
        size, ancillary, flags, source = self._receive_into([buffer], flags)
        return bytes(buffer[:size]), ancillary, flags, source

    def recvmsg_into(
        self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0
    ) -> tuple[int, list[Any], int, Any]:
        if not self._kind:
            return super().recvmsg_into(buffers, ancbufsize, flags)
        return self._receive_into(list(buffers), flags)

    def _receive_into(self, buffers: list[Any], flags: int) -> tuple[int, list[Any], int, Any]:
        header = bytearray(_HEADER_SIZE)
        size, _, received, _ = _recvmsg_into(self, [header, *buffers], 0, flags)
        source = self._source(bytes(header[:size]), flags)
        return max(size - _HEADER_SIZE, 0), [], received, source

    def _source(self, data: bytes, flags: int) -> Address | None:
        """Who sent the datagram, None after a shutdown; raises what came in its stead: the peer's refusal, or the
        stack's end."""
        if len(data) < _HEADER_SIZE:  # shut down, by us or with the stack
            self._raise_if_gone()
            return None
        number, sockaddr = DATAGRAM.unpack_from(data)
        if number:
            if flags & kernel.MSG_PEEK:
                _recv(self, _HEADER_SIZE)
            raise error(number)
        source = decode(sockaddr)
        self._sources[self._known.get(source) or self._remember(source, sockaddr)] = source
        return source

    def _remember(self, destination: Any, sockaddr: bytes) -> bytes:
        known = self._known
        if len(known) >= _KNOWN_LIMIT:
            known.clear()
            self._sources.clear()
        header = known[destination] = DATAGRAM.pack(0, sockaddr)
        return header

    # sending

    def sendto(self, data: Any, *arguments: Any) -> int:
        if not self._kind:
            return super().sendto(data, *arguments)
        if len(arguments) not in (1, 2):
            raise TypeError(f"sendto() takes 2 or 3 arguments ({1 + len(arguments)} given)")
        flags, address = arguments if len(arguments) == 2 else (0, arguments[0])
        return self._send([data], flags, self._header(address))

    def send(self, data: Any, flags: int = 0) -> int:
        if not self._kind:
            return super().send(data, flags)
        self._raise_waiting_error()
        return self._send([data], flags, self._header(None))

    def sendall(self, data: Any, flags: int = 0) -> None:
        if not self._kind:
            return super().sendall(data, flags)
        self.send(data, flags)

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Iterable[Any] = (), flags: int = 0, address: Any = None, /
    ) -> int:
        if not self._kind:
            return super().sendmsg(buffers, ancdata, flags, address)
        return self._send(list(buffers), flags, self._header(address))

    def _send(self, buffers: list[Any], flags: int, header: bytes) -> int:
        if len(buffers) != 1 or len(buffers[0]) > _LARGEST // 2:
            size = sum(memoryview(buffer).nbytes for buffer in buffers)
            if size > _LARGEST:
                raise error(errno.EMSGSIZE)
        try:
            return _sendmsg(self, [header, *buffers], (), flags) - _HEADER_SIZE
        except ConnectionError:  # no one at the other end
            raise error(errno.ENETDOWN) from None

    def _header(self, address: Any) -> bytes:
        if address is None:
            if self._remote is None:
                try:
                    self._remote = self._call(Operation.GETPEERNAME)  # connected by another process, or not at all
                except OSError:
                    raise error(errno.EDESTADDRREQ) from None
            return _TO_PEER
        header = self._known.get(address) if isinstance(address, tuple) else None
        if header is None:
            sockaddr = encode(address, "sendto")
            self._call(Operation.ROUTE, sockaddr)
            header = self._remember(address, sockaddr)
        return header

    def _raise_waiting_error(self) -> None:
        """A refusal that came back is told by whichever call is next, a send too."""
        if self.gettimeout() and not self._ready(select.POLLIN):
            return  # a socket with a time-out would wait for it, whatever the flags
        try:
            data = _recv(self, _HEADER_SIZE, kernel.MSG_PEEK | kernel.MSG_DONTWAIT)
        except OSError:
            return
        if len(data) == _HEADER_SIZE and (number := DATAGRAM.unpack(data)[0]):
            _recv(self, _HEADER_SIZE)
            raise error(number)

    def shutdown(self, how: int) -> None:
        if self._kind:
            self._call(Operation.GETPEERNAME)  # ENOTCONN
        kernel.socket.shutdown(self, how)


@cache
def datagram_class(base: type[socket]) -> type[socket]:
    """``base`` (the socket class, or a program's own that derives from it) as a datagram socket."""
    if issubclass(base, Datagrams):
        return base
    if base is socket:
        return Datagrams
    return type(base.__name__, (base, Datagrams), {"__module__": base.__module__})


Datagrams.__name__ = Datagrams.__qualname__ = "socket"
Datagrams.__module__ = "netower.stack.socket"
