"""The socket class: what changes a socket is a call to the stack, what moves data is the kernel's own work.

A socket of ours is one end of an AF_UNIX pair whose other end the stack serves, wrapped as an AF_INET socket. So
receiving, sending, waiting, ``makefile``, ``ssl``, ``select``, forking and handing on need no code here, but for the
errors that an AF_UNIX descriptor words otherwise than a TCP one.
"""

from __future__ import annotations

import array
import errno
import os
import select
import socket as kernel
import sys
import time
from typing import Any, Final, NoReturn

from .. import client
from ..control import (
    ACCEPTED,
    CONNECT_ARGUMENT,
    CONNECTED,
    LISTEN_ARGUMENT,
    NO_ADDRESS,
    SOCKADDR_SIZE,
    SOCKET_ARGUMENT,
    ConnectMode,
    Operation,
)
from .addresses import decode, encode

STREAM: Final = int(kernel.SOCK_STREAM)
DATAGRAM: Final = int(kernel.SOCK_DGRAM)
_FLAGS: Final = int(kernel.SOCK_NONBLOCK) | int(kernel.SOCK_CLOEXEC)
#: Options of the descriptor itself: they bound waits and reads, which are the kernel's.
_LOCAL_OPTIONS: Final = {int(kernel.SO_RCVTIMEO), int(kernel.SO_SNDTIMEO), int(kernel.SO_RCVLOWAT)}

_GONE_PAUSE: Final = 0.1  # seconds

#: The most urgent data that one request carries, in bytes, and how long to wait before it is made again, in seconds.
_URGENT_SIZE: Final = 4096
_URGENT_WAIT: Final = 0.005

_recv = kernel.socket.recv
_recv_into = kernel.socket.recv_into
_recvmsg = kernel.socket.recvmsg
_send = kernel.socket.send
_sendall = kernel.socket.sendall


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _raise_not_connected(*_: Any, **__: Any) -> NoReturn:
    raise error(errno.ENOTCONN)


def _raise_broken_pipe(*_: Any, **__: Any) -> NoReturn:
    raise error(errno.EPIPE)


#: What a stream says before it is connected. These hide the methods of the class, in the instance, until then.
_UNCONNECTED: Final[dict[str, Any]] = {
    **dict.fromkeys(
        ("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into"), _raise_not_connected
    ),
    **dict.fromkeys(("send", "sendall", "sendmsg"), _raise_broken_pipe),
}


def identify(descriptor: int, family: int) -> int:
    """STREAM or DATAGRAM if ``descriptor`` is a socket of ours that came from elsewhere (inherited, duplicated, handed
    on), else 0. A family of -1 leaves it to us to tell ours from a program's own AF_UNIX sockets: the stack knows."""
    if family not in (-1, kernel.AF_INET):
        return 0
    try:
        probe = kernel.socket(kernel.AF_INET, kernel.SOCK_STREAM, 0, descriptor)
    except OSError:
        return 0
    try:
        if probe.getsockopt(kernel.SOL_SOCKET, kernel.SO_DOMAIN) != kernel.AF_UNIX:
            return 0
        if family == -1:
            client.known().getsockopt(descriptor, kernel.SOL_SOCKET, kernel.SO_TYPE, 4)
        return STREAM if probe.getsockopt(kernel.SOL_SOCKET, kernel.SO_TYPE) == STREAM else DATAGRAM
    except OSError:
        return 0
    finally:
        probe.detach()


class socket(kernel.socket):
    """A socket, as the standard library's class of that name."""

    #: STREAM or DATAGRAM where the socket is the stack's; 0: the kernel's own, where every call goes to the kernel.
    _kind = 0
    _connecting = False
    _listening = False
    _send_buffer = 0
    _linger = 0

    def __new__(cls, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> socket:
        kind = 0
        if fileno is not None:
            kind = identify(fileno, family)
        elif family in (-1, kernel.AF_INET):
            kind = STREAM if type == -1 else type & ~_FLAGS
        if kind == DATAGRAM:
            from .datagram import datagram_class

            cls = datagram_class(cls)  # type: ignore[arg-type]  # mypy: a type is not Hashable
        self = super().__new__(cls)
        self._kind = kind if kind in (STREAM, DATAGRAM) else 0
        return self

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        if not self._kind:
            super().__init__(family, type, proto, fileno)
        elif fileno is not None:
            super().__init__(kernel.AF_INET, self._kind, max(proto, 0), fileno)
        else:
            self._create(max(proto, 0))
            if type != -1 and type & kernel.SOCK_NONBLOCK:
                self.setblocking(False)

    def _create(self, proto: int) -> None:
        argument = SOCKET_ARGUMENT.pack(kernel.AF_INET, self._kind, proto)
        descriptor = client.shared().call_for_descriptor(Operation.SOCKET, argument)
        super().__init__(kernel.AF_INET, self._kind, proto, descriptor)
        if self._kind == STREAM:
            self.__dict__.update(_UNCONNECTED)

    @classmethod
    def _adopt(cls, descriptor: int) -> socket:
        """A connected stream whose descriptor came from the stack."""
        adopted: socket = super().__new__(cls)
        kernel.socket.__init__(adopted, kernel.AF_INET, kernel.SOCK_STREAM, 0, descriptor)
        adopted._kind = STREAM
        return adopted

    def _descriptor(self) -> int:
        descriptor = self.fileno()
        if descriptor < 0:
            raise error(errno.EBADF)
        return descriptor

    def _call(self, operation: int, argument: bytes = b"") -> bytes:
        return client.shared().call(operation, argument, self._descriptor())

    # names

    def bind(self, address: Any) -> None:
        if not self._kind:
            return super().bind(address)
        self._call(Operation.BIND, encode(address, "bind"))

    def getsockname(self) -> Any:
        if not self._kind:
            return super().getsockname()
        return decode(self._call(Operation.GETSOCKNAME))

    def getpeername(self) -> Any:
        if not self._kind:
            return super().getpeername()
        return decode(self._call(Operation.GETPEERNAME))

    # accepting

    def listen(self, backlog: int = min(kernel.SOMAXCONN, 128)) -> None:
        if not self._kind:
            return super().listen(backlog)
        self._call(Operation.LISTEN, LISTEN_ARGUMENT.pack(backlog))
        self._listening = True

    def accept(self) -> tuple[socket, Any]:
        if self._kind:
            accepted, address = self._accept_record()
        else:
            descriptor, address = self._accept()  # type: ignore[attr-defined]
            accepted = socket(self.family, self.type, self.proto, fileno=descriptor)
        if kernel.getdefaulttimeout() is None and self.gettimeout():
            accepted.setblocking(True)
        return accepted, address

    def _accept_record(self) -> tuple[socket, Any]:
        if not self._listening:  # or another process made it listen
            self._listening = bool(self.getsockopt(kernel.SOL_SOCKET, kernel.SO_ACCEPTCONN))
            if not self._listening:
                raise error(errno.EINVAL)
        os.close(os.dup(self._descriptor()))  # EMFILE shows here, before a connection is taken from the queue
        record, ancillary, _, _ = _recvmsg(self, ACCEPTED.size, kernel.CMSG_SPACE(4), kernel.MSG_CMSG_CLOEXEC)
        if not record:  # shut down, by us or with the stack
            self._raise_if_gone()
            raise error(errno.EINVAL)
        if not ancillary:
            raise error(errno.EMFILE)
        descriptor = int.from_bytes(ancillary[0][2][:4], sys.byteorder)
        return socket._adopt(descriptor), decode(record[:SOCKADDR_SIZE])

    def _raise_if_gone(self) -> None:
        """Whether the stack is gone: ENETDOWN. Then the descriptor is ready for ever, and a server that tries again
        whatever happens would spin, so this takes a while."""
        try:
            self.getsockopt(kernel.SOL_SOCKET, kernel.SO_ERROR)
        except OSError:
            time.sleep(_GONE_PAUSE)
            raise error(errno.ENETDOWN) from None

    # connecting

    def connect(self, address: Any) -> None:
        if not self._kind:
            return super().connect(address)
        sockaddr = encode(address, "connect")
        outcome = self._start_connecting(sockaddr) if self.gettimeout() == 0 else self._wait_connected(sockaddr)
        if outcome:
            raise error(outcome)

    def connect_ex(self, address: Any) -> int:
        if not self._kind:
            return super().connect_ex(address)
        try:
            self.connect(address)
        except TimeoutError as failure:
            return failure.errno or errno.EAGAIN
        except OSError as failure:
            if isinstance(failure, kernel.gaierror) or failure.errno is None:
                raise
            return failure.errno
        return 0

    def _start_connecting(self, sockaddr: bytes) -> int:
        filler = self._fill() if self._unconnected else 0
        outcome = self._connect_call(ConnectMode.NON_BLOCKING, filler, sockaddr)
        if outcome == errno.EINPROGRESS:
            self._connecting = True
            self._hide_unconnected(False)
        elif filler or (self._connecting and outcome != errno.EALREADY):
            self._end_connecting()
        return outcome

    def _wait_connected(self, sockaddr: bytes) -> int:
        outcome = self._connect_call(ConnectMode.BLOCKING, 0, sockaddr)
        if outcome != errno.EINPROGRESS:
            return outcome
        self._hide_unconnected(False)
        try:
            record = _recv(self, CONNECTED.size)
        except BaseException:  # a time-out, or a signal handler's exception
            if self._call(Operation.CONNECT, CONNECT_ARGUMENT.pack(ConnectMode.GIVEN_UP, 0) + NO_ADDRESS) == b"\1":
                _recv(self, CONNECTED.size)
            raise
        outcome = CONNECTED.unpack(record)[0] if record else errno.ENETDOWN
        if outcome:
            self._hide_unconnected(True)
        return int(outcome)

    def _connect_call(self, mode: ConnectMode, filler: int, sockaddr: bytes) -> int:
        try:
            self._call(Operation.CONNECT, CONNECT_ARGUMENT.pack(mode, filler) + sockaddr)
        except OSError as failure:
            return failure.errno or errno.EIO
        return 0

    def _fill(self) -> int:
        """Leave no room to send, so that the descriptor does not poll writable until the stack has drained it. Each
        byte is a message of its own: the stack leaves the last one in the queue, where a large one would go on
        filling it."""
        self._send_buffer = super().getsockopt(kernel.SOL_SOCKET, kernel.SO_SNDBUF) // 2
        super().setsockopt(kernel.SOL_SOCKET, kernel.SO_SNDBUF, 0)
        filled = 0
        try:
            while True:
                filled += _send(self, b"\0", kernel.MSG_DONTWAIT)
        except BlockingIOError:
            return filled

    def _end_connecting(self) -> None:
        """The stack has decided: the descriptor gets its room to send back."""
        self._connecting = False
        super().setsockopt(kernel.SOL_SOCKET, kernel.SO_SNDBUF, self._send_buffer)

    @property
    def _unconnected(self) -> bool:
        return "recv" in self.__dict__

    def _hide_unconnected(self, unconnected: bool) -> None:
        if unconnected:
            self.__dict__.update(_UNCONNECTED)
        else:
            for name in _UNCONNECTED:
                self.__dict__.pop(name, None)

    # data: the kernel's own calls, but for the errno of a connection that died

    def _cause(self, failure: OSError) -> OSError | None:
        """What an AF_UNIX descriptor can only call a reset, the stack knows better (ETIMEDOUT, EHOSTUNREACH ...).
        None when it was told before: an error is told once, and then the connection is just at its end."""
        if not self._kind:
            return failure
        try:
            cause = self.getsockopt(kernel.SOL_SOCKET, kernel.SO_ERROR)
        except OSError:
            return failure
        return error(cause) if cause else None

    def _end(self, failure: ConnectionResetError) -> None:
        """The connection was found reset: raises why, or returns if that was told before."""
        cause = self._cause(failure)
        if cause is not None:
            raise cause from None

    def recv(self, *arguments: Any) -> bytes:
        try:
            return _recv(self, *arguments)
        except ConnectionResetError as failure:
            self._end(failure)
            return b""

    def recv_into(self, *arguments: Any, **named: Any) -> int:
        try:
            return _recv_into(self, *arguments, **named)
        except ConnectionResetError as failure:
            self._end(failure)
            return 0

    def recvfrom(self, *arguments: Any) -> tuple[bytes, Any]:
        try:
            return super().recvfrom(*arguments)
        except ConnectionResetError as failure:
            self._end(failure)
            return b"", None

    def recvfrom_into(self, *arguments: Any, **named: Any) -> tuple[int, Any]:
        try:
            return super().recvfrom_into(*arguments, **named)
        except ConnectionResetError as failure:
            self._end(failure)
            return 0, None

    def recvmsg(self, *arguments: Any) -> tuple[bytes, list[Any], int, Any]:
        try:
            return super().recvmsg(*arguments)
        except ConnectionResetError as failure:
            self._end(failure)
            return b"", [], 0, None

    def recvmsg_into(self, *arguments: Any) -> tuple[int, list[Any], int, Any]:
        try:
            return super().recvmsg_into(*arguments)
        except ConnectionResetError as failure:
            self._end(failure)
            return 0, [], 0, None

    def _send_urgent(self, data: Any) -> int:
        """MSG_OOB: the data stay in line, and are marked (RFC 6093); the stack is told where."""
        piece = bytes(memoryview(data).cast("B")[:_URGENT_SIZE])
        time_out = self.gettimeout()
        deadline = None if time_out is None else time.monotonic() + time_out
        while True:
            try:
                return int.from_bytes(self._call(Operation.URGENT, piece), sys.byteorder)
            except BlockingIOError:  # the stack takes no more just now
                if time_out == 0:
                    raise
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError("timed out")
            time.sleep(_URGENT_WAIT)

    def _is_urgent(self, flags: Any) -> bool:
        return bool(self._kind and flags and flags[0] & kernel.MSG_OOB)

    def send(self, *arguments: Any) -> int:
        if self._is_urgent(arguments[1:]):
            return self._send_urgent(arguments[0])
        try:
            return _send(self, *arguments)
        except ConnectionError as failure:
            raise self._cause(failure) or failure from None

    def sendall(self, *arguments: Any) -> None:
        if self._is_urgent(arguments[1:]):
            rest = memoryview(arguments[0]).cast("B")
            while rest:
                rest = rest[self._send_urgent(rest) :]
            return None
        try:
            return _sendall(self, *arguments)
        except ConnectionError as failure:
            raise self._cause(failure) or failure from None

    def sendmsg(self, *arguments: Any) -> int:
        if self._is_urgent(arguments[2:]):
            return self._send_urgent(b"".join(arguments[0]))
        try:
            return super().sendmsg(*arguments)
        except ConnectionError as failure:
            raise self._cause(failure) or failure from None

    def shutdown(self, how: int) -> None:
        if self._unconnected and not self._listening:
            raise error(errno.ENOTCONN)
        super().shutdown(how)

    # options

    def getsockopt(self, level: int, option: int, size: int = 0, /) -> Any:
        if not self._kind or (level == kernel.SOL_SOCKET and option in _LOCAL_OPTIONS):
            return super().getsockopt(level, option, size) if size else super().getsockopt(level, option)
        value = client.shared().getsockopt(self._descriptor(), level, option, size or 4)
        if self._connecting and level == kernel.SOL_SOCKET and option == kernel.SO_ERROR:
            self._learn_outcome(int.from_bytes(value, sys.byteorder))
        return value if size else int.from_bytes(value, sys.byteorder, signed=True)

    def _learn_outcome(self, outcome: int) -> None:
        """A non-blocking connect is decided when SO_ERROR says so, or when the descriptor has become writable."""
        if outcome:
            self._end_connecting()
            self._hide_unconnected(True)
        elif self._ready(select.POLLOUT):
            self._end_connecting()

    def _ready(self, events: int) -> bool:
        poll = select.poll()
        poll.register(self.fileno(), events)
        return bool(poll.poll(0))

    def setsockopt(self, level: int, option: int, value: Any, length: int | None = None) -> None:
        if not self._kind or (level == kernel.SOL_SOCKET and option in _LOCAL_OPTIONS):
            return super().setsockopt(level, option, value, *(() if length is None else (length,)))
        if value is None:
            data = bytes(length or 0)
        elif isinstance(value, int):
            data = array.array("i", [value]).tobytes()
        else:
            data = bytes(value)
        client.shared().setsockopt(self._descriptor(), level, option, data)
        if level == kernel.SOL_SOCKET and option == kernel.SO_LINGER and len(data) == 8:
            on, seconds = array.array("i", data)
            self._linger = seconds if on else 0

    # the end

    def _real_close(self, *arguments: Any) -> None:
        if self._linger and self.gettimeout() != 0 and self.fileno() >= 0:
            self._linger_on()
        super()._real_close(*arguments)  # type: ignore[misc]

    def _linger_on(self) -> None:
        """SO_LINGER: close returns when the peer has acknowledged all, or when the time is over (POSIX close)."""
        try:
            super().shutdown(kernel.SHUT_WR)
        except OSError:
            return  # not connected: nothing to wait for
        poll = select.poll()
        poll.register(self.fileno(), 0)  # the stack hangs up when all is acknowledged
        poll.poll(self._linger * 1000)


os.register_at_fork(before=client.share_with_forks)
socket.__module__ = "netower.stack.socket"
