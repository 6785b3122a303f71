"""A program's control connection: requests in, replies out (the words are in ``stack/control.py``)."""

from __future__ import annotations

import array
import errno
import json
import logging
import os
import socket as kernel
import sys
from struct import Struct
from typing import TYPE_CHECKING, Any

from ..calls import DatagramSocket, StreamSocket
from ..calls.info import CLOSED_INFO
from ..control import (
    CONNECT_ARGUMENT,
    LISTEN_ARGUMENT,
    MESSAGE_LIMIT,
    OPTION_ARGUMENT,
    REPLY,
    REQUEST,
    SOCKET_ARGUMENT,
    Operation,
    pack_sockaddr,
    unpack_sockaddr,
)
from .datagram import DatagramGate
from .gate import HUNG_UP, IN, Gate
from .listener import ListenerGate
from .queries import answer
from .stream import StreamGate

if TYPE_CHECKING:
    from .server import StackServer

log = logging.getLogger(__name__)

_ANCILLARY = kernel.CMSG_SPACE(4 * 4)
_CREDENTIALS = Struct("iii")


class ControlConnection:
    """One program's connection; it ends with the program."""

    def __init__(self, server: StackServer, connection: kernel.socket) -> None:
        self._server = server
        self._connection = connection
        connection.setblocking(False)
        credentials = connection.getsockopt(kernel.SOL_SOCKET, kernel.SO_PEERCRED, _CREDENTIALS.size)
        self._process = _CREDENTIALS.unpack(credentials)[0]
        server.engine.register(connection.fileno(), IN, self._on_event)
        server.connections.add(self)

    def close(self) -> None:
        self._server.connections.discard(self)
        self._server.engine.unregister(self._connection.fileno())
        self._connection.close()

    def _on_event(self, events: int) -> None:
        if events & IN:
            self._serve()
        elif events & HUNG_UP:
            self.close()

    def _serve(self) -> None:
        try:
            request, ancillary, _, _ = self._connection.recvmsg(MESSAGE_LIMIT, _ANCILLARY, kernel.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            request, ancillary = b"", []
        descriptors = array.array("i", ancillary[0][2]) if ancillary else ()
        try:
            if len(request) < REQUEST.size:
                self.close()  # the program is gone, or speaks another language
                return
            inode = os.fstat(descriptors[0]).st_ino if descriptors else 0
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        operation, _, serial = REQUEST.unpack_from(request)
        self._perform(operation, serial, inode, request[REQUEST.size :])

    def _perform(self, operation: int, serial: int, inode: int, argument: bytes) -> None:
        if operation == Operation.QUERY:
            self._query(serial, argument)
            return
        result: bytes | kernel.SocketType = b""
        error = 0
        try:
            result = (
                self._socket(argument) if operation == Operation.SOCKET else self._on_gate(operation, inode, argument)
            )
        except OSError as failure:
            error = failure.errno or errno.EIO
        except (ValueError, IndexError, ArithmeticError):
            error = errno.EINVAL
        except Exception:  # whatever a program asks for, the stack goes on
            log.exception("request %d failed", operation)
            error = errno.EIO
        if isinstance(result, bytes):
            self._reply(serial, error, result)
        else:
            self._reply(serial, error, b"", result.fileno())
            result.close()

    def _reply(self, serial: int, error: int, result: bytes = b"", descriptor: int = -1) -> None:
        rights = [] if descriptor < 0 else [(kernel.SOL_SOCKET, kernel.SCM_RIGHTS, array.array("i", [descriptor]))]
        try:
            self._connection.sendmsg([REPLY.pack(error, serial), result], rights)
        except OSError:
            log.debug("process %d does not read its replies", self._process)

    def _socket(self, argument: bytes) -> kernel.SocketType:
        server = self._server
        socket = server.calls.socket(*SOCKET_ARGUMENT.unpack(argument))
        try:
            if isinstance(socket, StreamSocket):
                return StreamGate.make(server, socket, self._process)[1]
            assert isinstance(socket, DatagramSocket)
            return DatagramGate.make(server, socket, self._process)[1]
        except OSError:
            socket.close()
            raise

    def _on_gate(self, operation: int, inode: int, argument: bytes) -> bytes:
        gate = self._server.gates.get(inode)
        if gate is None:
            return self._on_the_departed(operation, inode, argument)
        socket = gate.socket
        match operation:
            case Operation.BIND:
                socket.bind(_address(argument))
            case Operation.LISTEN:
                self._listen(gate, *LISTEN_ARGUMENT.unpack(argument))
            case Operation.CONNECT:
                mode, filler = CONNECT_ARGUMENT.unpack_from(argument)
                return gate.connect(unpack_sockaddr(argument[CONNECT_ARGUMENT.size :]), mode, filler)
            case Operation.GETSOCKNAME:
                return pack_sockaddr(*socket.getsockname())
            case Operation.GETPEERNAME:
                return pack_sockaddr(*socket.getpeername())
            case Operation.GETSOCKOPT:
                level, option, size = OPTION_ARGUMENT.unpack(argument)
                return bytes(socket.getsockopt(level, option)[:size])
            case Operation.SETSOCKOPT:
                level, option, _ = OPTION_ARGUMENT.unpack_from(argument)
                socket.setsockopt(level, option, argument[OPTION_ARGUMENT.size :])
                gate.option_changed(level, option)
            case Operation.URGENT if isinstance(gate, StreamGate):
                return gate.send_urgent(argument).to_bytes(4, sys.byteorder)
            case Operation.ROUTE:
                socket.check_route(_address(argument))
            case _:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return b""

    def _listen(self, gate: Gate[Any], backlog: int) -> None:
        gate.socket.listen(backlog)
        if isinstance(gate, StreamGate):
            ListenerGate.take_over(gate)
        elif isinstance(gate, ListenerGate):
            gate.backlog_changed()

    def _on_the_departed(self, operation: int, inode: int, argument: bytes) -> bytes:
        """A descriptor that no gate serves any more: if its connection has died, what is left of it is why."""
        if operation == Operation.GETSOCKOPT:
            level, option, size = OPTION_ARGUMENT.unpack(argument)
            if (level, option) == (kernel.SOL_SOCKET, kernel.SO_ERROR):
                return self._server.causes.pop(inode, 0).to_bytes(4, sys.byteorder)  # an error is told once
            if (level, option) == (kernel.IPPROTO_TCP, kernel.TCP_INFO):
                return CLOSED_INFO[: max(size, 0)]
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def _query(self, serial: int, question: bytes) -> None:
        def reply(result: Any) -> None:
            descriptor = os.memfd_create("answer", os.MFD_CLOEXEC)
            with open(descriptor, "w+b") as file:
                file.write(json.dumps(result).encode())
                file.seek(0)
                self._reply(serial, 0, b"", descriptor)

        try:
            asked = json.loads(question)
            answer(self._server, asked["name"], asked["arguments"], reply)
        except Exception as error:  # a tool is waiting for an answer, whatever happens
            log.debug("a query failed", exc_info=True)
            reply({"error": str(error) or repr(error)})


def _address(sockaddr: bytes) -> tuple[bytes, int]:
    address = unpack_sockaddr(sockaddr)
    if address is None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    return address
