"""What an event loop offers beside its tasks and timers: on a simulated network, the calls of the host that one is on.

What would bring real time into virtual time is refused: threads, processes, the kernel's descriptors.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn

from ..calls import numbers as n
from ..direct import HostSocket, find

if TYPE_CHECKING:
    from .host import AsyncHost
    from .watches import Watches


class NetworkCalls:
    """The part of an event loop that is about sockets, threads and processes."""

    _watches: Watches

    @abstractmethod
    def here(self) -> AsyncHost:
        """The host that the caller runs on."""

    # the calls of the network

    async def getaddrinfo(self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0,
                          flags: int = 0) -> Any:  # fmt: skip
        """Names of hosts on the network; raises gaierror for others."""
        return self.here().names.getaddrinfo(host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        return self.here().names.getnameinfo(sockaddr, flags)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        return await self.here().create_connection(protocol_factory, host, port, **options)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        return await self.here().create_server(protocol_factory, host, port, **options)

    async def create_datagram_endpoint(self, protocol_factory: Any, *addresses: Any, **options: Any) -> Any:
        return await self.here().create_datagram_endpoint(protocol_factory, *addresses, **options)

    async def connect_accepted_socket(self, protocol_factory: Any, sock: Any, **options: Any) -> Any:
        return await self.here().connect_accepted_socket(protocol_factory, sock, **options)

    async def sock_recv(self, sock: Any, nbytes: int) -> bytes:
        return await self.here().sock_recv(_ours(sock), nbytes)

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        return await self.here().sock_recv_into(_ours(sock), buf)

    async def sock_recvfrom(self, sock: Any, bufsize: int) -> Any:
        return await self.here().sock_recvfrom(_ours(sock), bufsize)

    async def sock_recvfrom_into(self, sock: Any, buf: Any, nbytes: int = 0) -> Any:
        return await self.here().sock_recvfrom_into(_ours(sock), buf, nbytes)

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        await self.here().sock_sendall(_ours(sock), data)

    async def sock_sendto(self, sock: Any, data: Any, address: Any) -> int:
        return await self.here().sock_sendto(_ours(sock), data, address)

    async def sock_accept(self, sock: Any) -> Any:
        return await self.here().sock_accept(_ours(sock))

    async def sock_connect(self, sock: Any, address: Any) -> None:
        await self.here().sock_connect(_ours(sock), address)

    async def _sendfile_fallback(self, transp: Any, file: Any, offset: int, count: int | None) -> int:
        """As asyncio's, which would read the file in a thread."""
        file.seek(offset)
        sent = 0
        while count is None or sent < count:
            data = file.read(min(65536, 65536 if count is None else count - sent))
            if not data:
                break
            transp.write(data)
            sent += len(data)
            while transp.get_write_buffer_size():
                await asyncio.sleep(0.001)
        return sent

    # readiness of socket objects

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        """For sockets of simulated hosts."""
        self._watches.add(_socket_of(fd), n.READABLE, callback, args)

    def remove_reader(self, fd: Any) -> bool:
        return self._watches.remove(_socket_of(fd), n.READABLE)

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:
        """For sockets of simulated hosts."""
        self._watches.add(_socket_of(fd), n.WRITABLE, callback, args)

    def remove_writer(self, fd: Any) -> bool:
        return self._watches.remove(_socket_of(fd), n.WRITABLE)

    # what there cannot be

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Refused: RuntimeError."""
        refuse("there are no threads", "they would take real time while the virtual clock stands still")

    async def subprocess_exec(self, *_: Any, **__: Any) -> Any:
        """Refused: RuntimeError."""
        refuse("there are no subprocesses", "they would live in real time, on the kernel's network")

    subprocess_shell = subprocess_exec

    async def connect_read_pipe(self, *_: Any) -> Any:
        """Refused: RuntimeError."""
        refuse("there are no pipes", "a descriptor of the kernel becomes ready in real time")

    connect_write_pipe = connect_read_pipe

    async def create_unix_connection(self, *_: Any, **__: Any) -> Any:
        """Refused: RuntimeError."""
        refuse("there are no AF_UNIX sockets", "a descriptor of the kernel becomes ready in real time")

    create_unix_server = create_unix_connection


def refuse(what: str, why: str) -> NoReturn:
    """Raise RuntimeError saying what there cannot be, and why."""
    raise RuntimeError(f"on the event loop of a simulated network {what}: {why}")


def _ours(sock: Any) -> HostSocket:
    if not isinstance(sock, HostSocket):
        refuse(f"{sock!r} cannot be awaited", "a descriptor of the kernel becomes ready in real time")
    return sock


def _socket_of(fd: Any) -> HostSocket:
    return _ours((find(fd) or fd) if isinstance(fd, int) else fd)
