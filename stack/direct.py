"""Socket objects directly on a host's calls, in the same process: the standard library's interface, no descriptor.

The calls never block. What waiting is, is up to whoever runs the host, the *carrier*: an inline engine turns, a
simulation lets others go on, an event loop refuses and awaits readiness instead.
"""

from __future__ import annotations

import contextlib
import errno
import socket as kernel
import sys
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakValueDictionary

from ..transport.errors import error
from .calls import DatagramSocket, StreamSocket
from .calls import numbers as n
from .calls.messages import Message, stamps_asked_for
from .names import socket_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..link.packet import Buffer
    from ..net.address import Address
    from .calls import Socket
    from .calls.messages import Control
    from .host import Host
    from .names import Names

#: Larger than the descriptors that any kernel gives: using one as a descriptor fails with EBADF.
_FIRST_NUMBER: Final = 1 << 30

#: Nothing more will come.
_ENDED: Final = n.POLLRDHUP | n.POLLHUP | n.POLLERR

_numbers = count(_FIRST_NUMBER)
_by_number: WeakValueDictionary[int, HostSocket] = WeakValueDictionary()


class Carrier(Protocol):
    """Whoever runs the host that sockets are on."""

    @property
    def host(self) -> Host: ...

    @property
    def names(self) -> Names: ...

    def poke(self) -> None:
        """A call may have left the host something to do."""

    def wait(self, socket: Socket, events: int, timeout: float | None) -> bool:
        """Wait until ``socket`` unblocks for any of ``events`` (poll bits); False when ``timeout`` seconds are over."""


def find(number: int) -> HostSocket | None:
    """The open socket whose ``fileno`` is ``number``."""
    return _by_number.get(number)


class HostSocket(kernel.socket):
    """A socket of ``carrier.host``, for programs that know the standard library's socket objects.

    An instance of ``socket.socket`` by name only: no descriptor of the kernel is behind it. ``fileno`` is a number that
    serves as a name for it and is a bad descriptor to everybody else. Raises what the standard methods raise.
    """

    __slots__ = ("_carrier", "_number", "_released", "_timeout", "_watchers", "calls")

    calls: Socket

    def __init__(
        self, carrier: Carrier, family: int = n.AF_INET, type: int = n.SOCK_STREAM, proto: int = 0,
        *, calls: Socket | None = None,
    ) -> None:  # fmt: skip
        # Not the inherited one: it would open a descriptor.
        self._io_refs = 0
        self._closed = self._released = False
        self._carrier = carrier
        self._timeout = 0.0 if type & kernel.SOCK_NONBLOCK else kernel.getdefaulttimeout()
        self._watchers: list[Callable[[], object]] = []
        self.calls = calls or carrier.host.calls.socket(family, type, max(proto, 0))
        self._number = next(_numbers)
        _by_number[self._number] = self

    @classmethod
    def wrap(cls, carrier: Carrier, calls: Socket) -> HostSocket:
        """A non-blocking socket object around a socket that there is already."""
        sock = cls(carrier, calls=calls)
        sock.settimeout(0)
        return sock

    # what it is

    @property
    def family(self) -> Any:
        return kernel.AddressFamily(self.calls.family)

    @property
    def type(self) -> Any:
        return kernel.SocketKind(self.calls.type)

    @property
    def proto(self) -> int:
        return self.calls.protocol

    @property
    def timeout(self) -> float | None:
        return self._timeout

    def fileno(self) -> int:
        """Not a descriptor: a number that names this socket; -1 once closed."""
        return -1 if self.calls.closed or self._released else self._number

    def gettimeout(self) -> float | None:
        return self._timeout

    def settimeout(self, value: float | None, /) -> None:
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self._timeout = value

    def setblocking(self, flag: bool, /) -> None:
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        return self._timeout != 0.0

    def watch(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Have ``callback`` called when readiness may have changed; returns how to stop that."""
        self._watchers.append(callback)
        self.calls.observer = self._changed

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self._watchers.remove(callback)

        return stop

    def _changed(self) -> None:
        for callback in list(self._watchers):
            callback()

    # names

    def bind(self, address: Any, /) -> None:
        self._check_open()
        self.calls.bind(self._packed(address, "bind", passive=True))

    def getsockname(self) -> Any:
        self._check_open()
        return socket_address(*self.calls.getsockname())

    def getpeername(self) -> Any:
        self._check_open()
        return socket_address(*self.calls.getpeername())

    def _packed(self, address: Any, call: str, *, passive: bool = False) -> tuple[Address, int]:
        if not isinstance(address, tuple):
            raise TypeError(f"{call}(): address must be tuple, not {type(address).__name__}")
        if len(address) < 2:
            raise TypeError(f"{call}(): address must be a pair (host, port)")
        host, port = address[:2]
        if not hasattr(port, "__index__"):
            raise TypeError(f"{type(port).__name__!r} object cannot be interpreted as an integer")
        if not 0 <= port <= 0xFFFF:
            raise OverflowError(f"{call}(): port must be 0-65535.")
        return self._carrier.names.addresses(host, passive=passive or not host)[0], port.__index__()

    # opening

    def listen(self, backlog: int = 128, /) -> None:
        self._check_open()
        self.calls.listen(backlog)

    def accept(self) -> tuple[HostSocket, Any]:
        child = self._wait_for(self.calls.accept, n.READABLE)
        accepted = HostSocket(self._carrier, calls=child)
        return accepted, socket_address(*_remote(child))

    def connect(self, address: Any, /) -> None:
        self._check_open()
        target = None if address is None else self._packed(address, "connect")
        try:
            self.calls.connect(target)
        except OSError as failure:
            if failure.errno != errno.EINPROGRESS or self._timeout == 0:
                self._carrier.poke()
                raise
            self._carrier.poke()
            if not self._carrier.wait(self.calls, n.WRITABLE, self._timeout):
                raise TimeoutError("timed out") from None
            self.calls.connect(target)
        self._carrier.poke()

    def connect_ex(self, address: Any, /) -> int:
        try:
            self.connect(address)
        except kernel.gaierror:
            raise
        except OSError as failure:
            return failure.errno or errno.EAGAIN
        return 0

    # receiving

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if not bufsize:
            return b""  # as CPython has it: nobody is asked
        if isinstance(self.calls, StreamSocket):
            if flags & n.MSG_WAITALL:
                return self._receive_all(bufsize, flags & ~n.MSG_WAITALL)
            return self._receive(bufsize, flags)
        return self._datagram(bufsize, flags)[0]

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        view = memoryview(buffer).cast("B")
        if nbytes:
            view = view[:nbytes]
        calls = self.calls
        if isinstance(calls, StreamSocket) and not flags and view:
            return self._receive_into(calls, view)
        data = self.recv(len(view), flags)
        view[: len(data)] = data
        return len(data)

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        if isinstance(self.calls, StreamSocket):
            return self.recv(bufsize, flags), None
        payload, source = self._datagram(bufsize, flags)
        return payload, None if source is None else socket_address(*source)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        view = memoryview(buffer).cast("B")
        data, source = self.recvfrom(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data), source

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> tuple[bytes, list[Any], int, Any]:
        message = self._message(bufsize, flags)
        control, given = list(message.control), message.flags
        while control and sum(kernel.CMSG_SPACE(len(data)) for _, _, data in control) > ancbufsize:
            control.pop()
            given |= kernel.MSG_CTRUNC
        source = None if message.source is None else socket_address(*message.source)
        return message.data[:bufsize], control, given, source

    def _message(self, size: int, flags: int) -> Message:
        calls = self.calls
        assert isinstance(calls, StreamSocket | DatagramSocket)
        self._check_open()
        if isinstance(calls, StreamSocket) and flags & n.MSG_WAITALL and not flags & n.MSG_ERRQUEUE:
            return Message(self.recv(size, flags), [], 0, None)
        if isinstance(calls, StreamSocket):
            self._gather(calls, size, flags)
        while True:
            message = None
            with contextlib.suppress(BlockingIOError):
                message = calls.receive_message(size, flags)
            if message is not None:
                self._carrier.poke()  # the window may have opened
                return message
            self._block(n.READABLE, flags | (kernel.MSG_DONTWAIT if flags & n.MSG_ERRQUEUE else 0))

    def _gather(self, calls: StreamSocket, size: int, flags: int) -> None:
        """Wait until as much has come as SO_RCVLOWAT says, or as there is room for; or no more will come in time."""
        least = calls.receive_low_water
        if least == 1 or self._timeout == 0 or flags & (kernel.MSG_DONTWAIT | n.MSG_OOB | n.MSG_ERRQUEUE):
            return
        if calls.readable < min(size, least) and not calls.readiness() & _ENDED:
            try:
                self._block(n.READABLE, flags)
            except TimeoutError:
                if not calls.readable:
                    raise

    def _receive(self, size: int, flags: int) -> bytes:
        calls = self.calls
        assert isinstance(calls, StreamSocket)
        self._check_open()
        self._gather(calls, size, flags)
        while True:
            try:
                data = calls.receive(size, flags)
            except BlockingIOError:
                self._block(n.READABLE, flags)
            else:
                self._carrier.poke()  # the window may have opened
                return data

    def _receive_into(self, calls: StreamSocket, view: memoryview) -> int:
        self._check_open()
        self._gather(calls, len(view), 0)
        while not calls.readable:
            try:
                calls.receive(1)  # what it says without data: the end, an error, or to wait
            except BlockingIOError:
                self._block(n.READABLE, 0)
            else:
                return 0
        filled = move(calls, view)
        self._carrier.poke()  # the window may have opened
        return filled

    def _receive_all(self, size: int, flags: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            data = self._receive(size - len(parts), flags)
            if not data:
                break
            parts += data
        return bytes(parts)

    def _datagram(self, size: int, flags: int) -> tuple[bytes, tuple[Address, int] | None]:
        calls = self.calls
        assert isinstance(calls, DatagramSocket)
        if flags or calls.values:
            message = self._message(size, flags)
            return message.data[:size], message.source
        self._check_open()
        while (datagram := calls.receive()) is None:
            self._block(n.READABLE, flags)
        return bytes(datagram[0][:size]), datagram[1]

    # sending

    def send(self, data: Any, flags: int = 0, /) -> int:
        view = memoryview(data).cast("B")
        if isinstance(self.calls, DatagramSocket):
            return self._send_datagram([bytes(view)], None, flags)
        return self._send(view, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        view = memoryview(data).cast("B")
        if isinstance(self.calls, DatagramSocket):
            self._send_datagram([bytes(view)], None, flags)
            return
        if isinstance(data, bytes) and isinstance(self.calls, StreamSocket) and not self.calls.values:
            self._send_frozen(view, flags)  # no option asks for reports of what is sent
            return
        sent = 0
        while sent < len(view):
            sent += self._send(view[sent:], flags)

    def sendto(self, data: Any, *arguments: Any) -> int:
        if not 1 <= len(arguments) <= 2:
            raise TypeError(f"sendto() takes 2 or 3 arguments ({len(arguments) + 1} given)")
        if isinstance(self.calls, StreamSocket):
            return self.send(data, *arguments[:-1])
        address = arguments[-1]
        target = None if address is None else self._packed(address, "sendto")
        return self._send_datagram([bytes(data)], target, arguments[0] if len(arguments) > 1 else 0)

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Iterable[Any] = (), flags: int = 0, address: Any = None, /
    ) -> int:
        data, control = b"".join(buffers), [(level, kind, bytes(value)) for level, kind, value in ancdata]
        if isinstance(self.calls, StreamSocket):
            return self._send(memoryview(data), flags, stamps_asked_for(control))
        target = None if address is None else self._packed(address, "sendmsg")
        return self._send_datagram([data], target, flags, control)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        return int(self._sendfile_use_send(file, offset, count))  # type: ignore[attr-defined]

    def _send(self, data: memoryview, flags: int, stamped: int | None = None) -> int:
        calls = self.calls
        assert isinstance(calls, StreamSocket)
        self._check_open()
        while True:
            try:
                sent = calls.send(data, flags, stamped=stamped)
            except BlockingIOError:
                self._block(n.WRITABLE, flags)
            else:
                self._carrier.poke()
                return sent

    def _send_frozen(self, data: memoryview, flags: int) -> None:
        """Send all of a buffer that nobody can change: uncopied, as room appears."""
        calls = self.calls
        assert isinstance(calls, StreamSocket)
        while data:
            room = calls.room if not calls.error else 0
            if room <= 0:
                data = data[self._send(data, flags) :]
                continue
            calls.write(data[:room], flags, whole=room >= len(data))
            data = data[room:]
            self._carrier.poke()

    def _send_datagram(
        self, buffers: list[Buffer], target: tuple[Address, int] | None, flags: int, control: Sequence[Control] = ()
    ) -> int:
        calls = self.calls
        assert isinstance(calls, DatagramSocket)
        self._check_open()
        sent = calls.send(buffers, target, control, flags)
        self._carrier.poke()
        return sent

    # options and the end

    def getsockopt(self, level: int, option: int, size: int = 0, /) -> Any:
        self._check_open()
        value = self.calls.getsockopt(level, option, size or 4)
        return value if size else int.from_bytes(value, sys.byteorder, signed=True)

    def setsockopt(self, level: int, option: int, value: Any, length: int | None = None, /) -> None:
        self._check_open()
        if value is None:
            data = bytes(length or 0)
        elif isinstance(value, int):
            data = value.to_bytes(4, sys.byteorder, signed=value < 0)
        else:
            data = bytes(value)
        self.calls.setsockopt(level, option, data)
        self._carrier.poke()

    def shutdown(self, how: int, /) -> None:
        self._check_open()
        self.calls.shutdown(how)
        self._carrier.poke()

    def release(self) -> Socket:
        """Give the calls' socket away: this object is closed, the socket is not."""
        self._released = True
        self.calls.observer = None
        self._watchers.clear()
        _by_number.pop(self._number, None)
        return self.calls

    def detach(self) -> int:
        raise OSError(errno.EOPNOTSUPP, "a socket of a netower host in this process has no descriptor to detach")

    def dup(self) -> HostSocket:
        raise OSError(errno.EOPNOTSUPP, "a socket of a netower host in this process has no descriptor to duplicate")

    def _real_close(self, *_: Any) -> None:
        if self._released:
            return
        self.calls.close()
        _by_number.pop(self._number, None)
        self._changed()
        self._watchers.clear()
        self._carrier.poke()

    # waiting

    def _check_open(self) -> None:
        if self.calls.closed or self._released:
            raise error(errno.EBADF)

    def _block(self, events: int, flags: int) -> None:
        if self._timeout == 0 or flags & kernel.MSG_DONTWAIT:
            raise error(errno.EAGAIN)
        if not self._carrier.wait(self.calls, events, self._timeout):
            raise TimeoutError("timed out")
        self._check_open()

    def _wait_for(self, call: Callable[[], Any], events: int) -> Any:
        self._check_open()
        while True:
            try:
                return call()
            except BlockingIOError:
                self._block(events, 0)


def move(socket: StreamSocket, buffer: memoryview) -> int:
    """Move what has arrived into ``buffer``, as much as fits; how much, in bytes."""
    filled, size = 0, len(buffer)
    for view in socket.received:
        part = view[: size - filled]
        buffer[filled : filled + len(part)] = part
        filled += len(part)
        if filled == size:
            break
    socket.consume(filled)
    return filled


def _remote(socket: Any) -> tuple[Address, int]:
    """The peer of an accepted connection, even of one that has ended."""
    remote: tuple[Address, int] = socket.remote
    return remote
