"""Two sides that take the same calls: the kernel's sockets and ours, each on a loopback of its own.

A script is a list of steps, each a call on a numbered socket. After each step a side reports what the call gave
(a value, or its errno) and what poll would say about every socket.
"""

from __future__ import annotations

import ctypes
import errno
import select
import socket as kernel
from typing import TYPE_CHECKING, Any

from netower.net.address import parse, text
from netower.stack import Host

if TYPE_CHECKING:
    from netower.stack.calls import Socket

POLL = select.POLLIN | select.POLLPRI | select.POLLOUT | select.POLLRDHUP
EPHEMERAL = 32768
#: SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING
TIMES = (29, 35, 37)
LIBC = ctypes.CDLL(None, use_errno=True)
Step = tuple[str, Any]


class Kernel:
    """Linux."""

    def __init__(self) -> None:
        self.sockets: list[kernel.socket] = []

    def socket(self, family: int, kind: int, protocol: int) -> None:
        created = kernel.socket(family, kind | kernel.SOCK_NONBLOCK, protocol)
        self.sockets.append(created)

    def bind(self, number: int, address: str, port: int) -> None:
        self.sockets[number].bind((address, port))

    def listen(self, number: int, backlog: int) -> None:
        self.sockets[number].listen(backlog)

    def accept(self, number: int) -> str:
        accepted, peer = self.sockets[number].accept()
        accepted.setblocking(False)
        self.sockets.append(accepted)
        return peer[0]

    def connect(self, number: int, address: str, port: int) -> None:
        self.sockets[number].connect((address, port))

    def shutdown(self, number: int, how: int) -> None:
        self.sockets[number].shutdown(how)

    def close(self, number: int) -> None:
        self.sockets[number].close()

    def send(self, number: int, data: bytes) -> int:
        return self.sockets[number].send(data, kernel.MSG_NOSIGNAL)

    def send_with(self, number: int, data: bytes, flags: int) -> int:
        return self.sockets[number].send(data, kernel.MSG_NOSIGNAL | flags)

    def disconnect(self, number: int) -> None:
        if LIBC.connect(self.sockets[number].fileno(), bytes(16), 16):
            raise OSError(ctypes.get_errno(), "")

    def ioctl(self, number: int, request: int) -> int:
        found = ctypes.c_int()
        if LIBC.ioctl(self.sockets[number].fileno(), request, ctypes.byref(found)):
            raise OSError(ctypes.get_errno(), "")
        return found.value

    def message(self, number: int, size: int, flags: int) -> tuple[object, ...]:
        """What recvmsg gives, but for the sender's port and for times."""
        data, control, given, _ = self.sockets[number].recvmsg(size, 1000, flags)
        data = bytes(len(data)) if flags & kernel.MSG_TRUNC else data
        return data, [untimed(*one) for one in control], given

    def send_to(self, number: int, data: bytes, address: str, port: int) -> int:
        return self.sockets[number].sendto(data, kernel.MSG_NOSIGNAL, (address, port))

    def receive(self, number: int, size: int, flags: int) -> bytes:
        one = self.sockets[number]
        data = one.recv(size, flags) if size else one.recvmsg(0, 0, flags)[0]  # CPython asks nobody for recv(0)
        return bytes(len(data)) if flags & kernel.MSG_TRUNC else data  # thrown away: only how many counts

    def name(self, number: int) -> tuple[str, int]:
        return named(*self.sockets[number].getsockname())

    def peer(self, number: int) -> tuple[str, int]:
        return named(*self.sockets[number].getpeername())

    def get(self, number: int, level: int, name: int, size: int) -> bytes:
        return self.sockets[number].getsockopt(level, name, size)

    def set(self, number: int, level: int, name: int, value: bytes) -> None:
        self.sockets[number].setsockopt(level, name, value)

    def readiness(self) -> list[int]:
        found = []
        for one in self.sockets:
            poll = select.poll()
            if one.fileno() >= 0:
                poll.register(one, POLL)
                found.append(dict(poll.poll(0)).get(one.fileno(), 0))
            else:
                found.append(-1)
        return found

    def finish(self) -> None:
        for one in self.sockets:
            one.close()


class Tower:
    """A host of ours."""

    def __init__(self) -> None:
        self.host = Host()
        self.host.advance(1000.0)
        self.sockets: list[Socket] = []

    def _number(self, number: int) -> Any:
        found = self.sockets[number]
        if found.closed:
            raise OSError(errno.EBADF, "closed")
        return found

    def socket(self, family: int, kind: int, protocol: int) -> None:
        self.sockets.append(self.host.calls.socket(family, kind, protocol))

    def bind(self, number: int, address: str, port: int) -> None:
        self._number(number).bind((parse(address), port))

    def listen(self, number: int, backlog: int) -> None:
        self._number(number).listen(backlog)

    def accept(self, number: int) -> str:
        accepted = self._number(number).accept()
        self.sockets.append(accepted)
        return text(accepted.remote[0])

    def connect(self, number: int, address: str, port: int) -> None:
        self._number(number).connect((parse(address), port))

    def shutdown(self, number: int, how: int) -> None:
        self._number(number).shutdown(how)

    def close(self, number: int) -> None:
        self.sockets[number].close()

    def send(self, number: int, data: bytes) -> int:
        one = self._number(number)
        sent: int = one.send(data if one.type == kernel.SOCK_STREAM else [data])
        return sent

    def send_with(self, number: int, data: bytes, flags: int) -> int:
        one = self._number(number)
        sent: int = one.send(data, flags) if one.type == kernel.SOCK_STREAM else one.send([data])
        return sent

    def disconnect(self, number: int) -> None:
        self._number(number).connect(None)

    def ioctl(self, number: int, request: int) -> int:
        found: int = self._number(number).ioctl(request)
        return found

    def message(self, number: int, size: int, flags: int) -> tuple[object, ...]:
        found = self._number(number).receive_message(size, flags)
        if found is None:
            raise OSError(errno.EAGAIN, "none")
        return found.data[:size], [untimed(*one) for one in found.control], found.flags

    def send_to(self, number: int, data: bytes, address: str, port: int) -> int:
        one = self._number(number)
        if one.type == kernel.SOCK_STREAM:
            return self.send(number, data)
        sent: int = one.send([data], (parse(address), port))
        return sent

    def receive(self, number: int, size: int, flags: int) -> bytes:
        one = self._number(number)
        if one.type == kernel.SOCK_STREAM:
            data: bytes = one.receive(size, flags)
            return data
        found = one.receive()
        if found is None:
            raise OSError(errno.EAGAIN, "none")
        return bytes(found[0][:size])

    def name(self, number: int) -> tuple[str, int]:
        address, port = self._number(number).getsockname()
        return named(text(address), port)

    def peer(self, number: int) -> tuple[str, int]:
        address, port = self._number(number).getpeername()
        return named(text(address), port)

    def get(self, number: int, level: int, name: int, size: int) -> bytes:
        value: bytes = self._number(number).getsockopt(level, name, size)
        return value

    def set(self, number: int, level: int, name: int, value: bytes) -> None:
        self._number(number).setsockopt(level, name, value)

    def readiness(self) -> list[int]:
        self.host.pump()
        return [-1 if one.closed else one.readiness() for one in self.sockets]

    def finish(self) -> None:
        for one in self.sockets:
            one.close()
        self.host.pump()


def named(address: str, port: int) -> tuple[str, int]:
    """Ephemeral ports are alike. (Without an address Linux may still show that of a connect that failed.)"""
    return address, port if port < EPHEMERAL else EPHEMERAL if address != "0.0.0.0" else 0


def untimed(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """A control message; of a time only the size."""
    timed = level == kernel.SOL_SOCKET and kind in TIMES
    return level, kind, bytes(len(data)) if timed else data


def perform(side: Kernel | Tower, step: Step) -> object:
    """What the step gives on this side, or the errno by its name; with it the readiness of all sockets."""
    try:
        outcome: object = getattr(side, step[0])(*step[1:])
    except OSError as error:
        outcome = errno.errorcode[error.errno or 0]
    except IndexError:
        outcome = "no such socket"
    return outcome, side.readiness()


def compare(script: list[Step]) -> None:
    theirs, ours = Kernel(), Tower()
    try:
        for number, step in enumerate(script):
            assert perform(ours, step) == perform(theirs, step), (number, step)
    finally:
        ours.finish()
        theirs.finish()
