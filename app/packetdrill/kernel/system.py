"""System calls as C has them: any argument may be given, the wrong ones too, and each call is made once."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from typing import Any, Final, NamedTuple

SOL_SOCKET: Final = socket.SOL_SOCKET
SO_TYPE: Final = socket.SO_TYPE
SOCK_STREAM: Final = socket.SOCK_STREAM

_libc: Final = ctypes.CDLL(None, use_errno=True)
for _name in (
    *("read", "readv", "recv", "recvfrom", "recvmsg", "write", "writev", "send", "sendto", "sendmsg"),
    *("sendfile", "splice"),
):
    getattr(_libc, _name).restype = ctypes.c_ssize_t
#: struct sockaddr_in: ip(7).
_ADDRESS: Final = struct.Struct("=H2s4s8x")
_ADDRESS_ROOM: Final = 128
#: struct cmsghdr
_CONTROL: Final = struct.Struct("=Qii")
#: A control message: its level, its type, and its data.
Control = tuple[int, int, bytes]


class Vector(ctypes.Structure):
    """struct iovec"""

    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class Message(ctypes.Structure):
    """struct msghdr"""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint),
        ("vectors", ctypes.POINTER(Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


def control_room(sizes: list[int]) -> Any:
    """A buffer for control messages with data of these sizes; a byte follows it, so that it is never empty."""
    return ctypes.create_string_buffer(sum(map(socket.CMSG_SPACE, sizes)) + 1)


def control_bytes(messages: list[Control]) -> Any:
    """Control messages as sendmsg wants them, and a byte more."""
    room = control_room([len(data) for _, _, data in messages])
    at = 0
    for level, kind, data in messages:
        _CONTROL.pack_into(room, at, _CONTROL.size + len(data), level, kind)
        room[at + _CONTROL.size : at + _CONTROL.size + len(data)] = data
        at += socket.CMSG_SPACE(len(data))
    return room


def read_control(content: bytes) -> list[Control]:
    """Control messages as recvmsg gives them."""
    found: list[Control] = []
    while len(content) >= _CONTROL.size:
        length, level, kind = _CONTROL.unpack_from(content)
        found.append((level, kind, content[_CONTROL.size : length]))
        content = content[socket.CMSG_SPACE(length - _CONTROL.size) :]
    return found


class Opened(NamedTuple):
    """What a call has opened: a new descriptor of this process."""

    descriptor: int


class Vectors:
    """One buffer as sendmsg and recvmsg want it; to be kept until the call is done."""

    def __init__(self, content: bytes) -> None:
        self._buffer = ctypes.create_string_buffer(content, max(len(content), 1))
        self._vector = Vector(ctypes.addressof(self._buffer), len(content))

    def header(self, name: bytes | None) -> Message:
        self._name = ctypes.create_string_buffer(name or b"")
        where = ctypes.addressof(self._name) if name else None
        return Message(where, len(name or b""), ctypes.pointer(self._vector), 1, None, 0, 0)


def call(name: str, *arguments: Any) -> int:
    """Raises OSError with the call's errno."""
    result: int = getattr(_libc, name)(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def size(value: int) -> ctypes.c_size_t:
    return ctypes.c_size_t(value)


def address_bytes(family: int, host: bytes, port: int) -> bytes:
    return _ADDRESS.pack(family, port.to_bytes(2), host)


def read_address(value: bytes) -> tuple[bytes, int] | None:
    """Host and port, None if there is no address."""
    if len(value) < _ADDRESS.size:
        return None
    _, port, host = _ADDRESS.unpack_from(value)
    return host, int.from_bytes(port)


class Address:
    """Room for an address that a call gives."""

    def __init__(self) -> None:
        self.room = ctypes.create_string_buffer(_ADDRESS_ROOM)
        self.size = ctypes.c_uint(_ADDRESS_ROOM)

    @property
    def arguments(self) -> tuple[Any, Any]:
        return self.room, ctypes.byref(self.size)

    @property
    def value(self) -> tuple[bytes, int] | None:
        return read_address(self.room.raw[: self.size.value])


def getsockname(descriptor: int) -> tuple[bytes, int]:
    return _name_of("getsockname", descriptor)


def getpeername(descriptor: int) -> tuple[bytes, int]:
    return _name_of("getpeername", descriptor)


def _name_of(name: str, descriptor: int) -> tuple[bytes, int]:
    address = Address()
    call(name, descriptor, *address.arguments)
    return address.value or (bytes(4), 0)


def getsockopt(descriptor: int, level: int, option: int, room: int, *, nowhere: bool = False) -> bytes:
    """What the call gives; ``room``: bytes that it may have, a negative number too; ``nowhere``: but no place."""
    buffer = ctypes.create_string_buffer(max(room, 1))
    length = ctypes.c_int(room)
    call("getsockopt", descriptor, level, option, None if nowhere else buffer, ctypes.byref(length))
    return buffer.raw[: length.value]
