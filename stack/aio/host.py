"""The network calls of an event loop, on the sockets of one host: connections, servers, datagram endpoints, streams."""

from __future__ import annotations

import asyncio
import errno
import socket as kernel
import ssl as tls
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ...transport.errors import error
from ..calls import DatagramSocket, StreamSocket
from ..direct import HostSocket
from ..names import AddressInfo, Lookup, Names
from .datagrams import DatagramTransport
from .secured import Secured
from .server import Server
from .transports import StreamTransport, reraise

if TYPE_CHECKING:
    from ..calls import Socket
    from ..host import Host

P = TypeVar("P", bound=asyncio.BaseProtocol)

#: How much a stream reader holds, in bytes: asyncio's default.
_LIMIT: Final = 64 << 10


class AsyncHost(ABC):
    """A host as programs on ``loop`` use it. The methods are those of an event loop, and of asyncio's streams."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lookup: Lookup) -> None:
        self.loop = loop
        self.names = Names(lookup)
        #: The servers that are open.
        self.servers: dict[Server, None] = {}
        #: The transports that are open.
        self.transports: dict[asyncio.BaseTransport, None] = {}

    @property
    @abstractmethod
    def host(self) -> Host:
        """The host itself."""

    @abstractmethod
    def poke(self) -> None:
        """A call may have left the host something to do: see to it soon."""

    def wait(self, socket: Socket, events: int, timeout: float | None) -> bool:
        """Refuse: a blocking call would stop the loop, and with it the network that it waits for."""
        raise OSError(
            errno.EDEADLK,
            "a blocking call on a socket of a host that this event loop runs would wait for ever: use loop.sock_*",
        )

    def abandon(self) -> None:
        """Close all that programs have left open, at once."""
        for server in list(self.servers):
            server.close()
        for transport in list(self.transports):
            transport.abort()  # type: ignore[attr-defined]

    def socket(self, family: int = kernel.AF_INET, type: int = kernel.SOCK_STREAM, proto: int = 0) -> HostSocket:
        """A new socket of this host, as ``socket.socket``. Raises OSError EAFNOSUPPORT, EPROTONOSUPPORT, ENFILE …"""
        return HostSocket(self, family, type, proto)

    # streams

    async def open_connection(
        self, host: str, port: int, *, limit: int = _LIMIT, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As asyncio.open_connection; ``options`` are those of `create_connection`."""
        reader = asyncio.StreamReader(limit=limit, loop=self.loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=self.loop)
        transport, _ = await self.create_connection(lambda: protocol, host, port, **options)
        return reader, asyncio.StreamWriter(transport, protocol, reader, self.loop)

    async def start_server(
        self,
        client_connected_cb: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
        host: str | Iterable[str] | None = None,
        port: int | None = None,
        *,
        limit: int = _LIMIT,
        **options: Any,
    ) -> Server:
        """As asyncio.start_server; ``options`` are those of `create_server`."""

        def make() -> asyncio.StreamReaderProtocol:
            reader = asyncio.StreamReader(limit=limit, loop=self.loop)
            return asyncio.StreamReaderProtocol(reader, client_connected_cb, loop=self.loop)

        return await self.create_server(make, host, port, **options)

    # connections

    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str | None = None,
        port: str | int | None = None,
        *,
        ssl: bool | tls.SSLContext | None = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: Any = None,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[asyncio.Transport, P]:
        """As loop.create_connection. Addresses are tried one after another; ``sock`` must be a socket of this host.

        Raises OSError as connect(2): ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH …; gaierror for a name that
        is not known; ValueError for arguments that contradict each other.
        """
        if server_hostname is not None and not ssl:
            raise ValueError("server_hostname is only meaningful with ssl")
        if ssl and server_hostname is None:
            if not host:
                raise ValueError("You must set server_hostname when using ssl without a host")
            server_hostname = host
        if sock is not None:
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            outer, socket = sock, self._adopt(sock, StreamSocket)
        elif host is None and port is None:
            raise ValueError("host and port was not specified and no sock specified")
        else:
            infos = self.names.getaddrinfo(host, port, family, kernel.SOCK_STREAM, proto, flags)
            outer, socket = None, await self._connect_any(infos, local_addr, all_errors)
        protocol = protocol_factory()
        if not ssl:
            transport = StreamTransport(self, socket, protocol, outer=outer)
            transport.start()
            return transport, protocol
        secured = Secured(self.loop, protocol, ssl, server_hostname, (ssl_handshake_timeout, ssl_shutdown_timeout))
        transport = StreamTransport(self, socket, secured.protocol, outer=outer)
        return await secured.handshake(transport), protocol

    async def _connect_any(
        self, infos: list[AddressInfo], local: tuple[str, int] | None, all_errors: bool
    ) -> StreamSocket:
        failures: list[OSError] = []
        for family, kind, protocol, _, address in infos:
            sock = self.socket(family, kind | kernel.SOCK_NONBLOCK, protocol)
            try:
                if local is not None:
                    sock.bind(local)
                await self.sock_connect(sock, address)
            except OSError as failure:
                sock.close()
                failures.append(failure)
            except BaseException:
                sock.close()
                raise
            else:
                adopted: StreamSocket = self._adopt(sock, StreamSocket)
                return adopted
        if all_errors:
            raise ExceptionGroup("create_connection failed", failures)
        if len({str(failure) for failure in failures}) == 1:
            raise failures[0]
        raise OSError(f"Multiple exceptions: {', '.join(map(str, failures))}")

    async def connect_accepted_socket(
        self,
        protocol_factory: Callable[[], P],
        sock: Any,
        *,
        ssl: tls.SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, P]:
        """As loop.connect_accepted_socket."""
        protocol = protocol_factory()
        socket = self._adopt(sock, StreamSocket)
        if not ssl:
            transport = StreamTransport(self, socket, protocol, outer=sock)
            transport.start()
            return transport, protocol
        secured = Secured(self.loop, protocol, ssl, None, (ssl_handshake_timeout, ssl_shutdown_timeout))
        return await secured.handshake(StreamTransport(self, socket, secured.protocol, outer=sock)), protocol

    def _adopt(self, sock: Any, kind: type[Any]) -> Any:
        """The calls' socket of a socket object of this host, for a transport."""
        if not isinstance(sock, HostSocket) or sock.calls.calls is not self.host.calls:
            raise ValueError(f"a socket of {self.host.name} was expected, got {sock!r}")
        if not isinstance(sock.calls, kind):
            raise ValueError(f"a {kind.__name__} was expected, got {sock!r}")
        if isinstance(sock.calls, StreamSocket):
            sock.calls.options.nodelay = True  # as asyncio sets it
            sock.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, 1)
        return sock.calls

    # servers

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | Iterable[str] | None = None,
        port: int | None = None,
        *,
        family: int = 0,
        flags: int = kernel.AI_PASSIVE,
        sock: Any = None,
        backlog: int = 100,
        ssl: tls.SSLContext | None = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> Server:
        """As loop.create_server. Raises OSError EADDRINUSE, EADDRNOTAVAIL; gaierror."""
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        if sock is not None:
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            self._adopt(sock, StreamSocket)
            listeners = [sock]
        elif host is None and port is None:
            raise ValueError("Neither host/port nor sock were specified")
        else:
            listeners = self._bound(host, port, family, flags, reuse_address is not False, bool(reuse_port))
        if keep_alive:
            for listener in listeners:
                listener.setsockopt(kernel.SOL_SOCKET, kernel.SO_KEEPALIVE, 1)

        def welcome(socket: StreamSocket, server: Server) -> None:
            self._welcome(socket, server, protocol_factory, ssl, (ssl_handshake_timeout, ssl_shutdown_timeout))

        server = Server(self, listeners, backlog, welcome)
        if start_serving:
            try:
                server.begin()
            except BaseException:
                server.close()
                raise
            await asyncio.sleep(0)
        return server

    def _bound(
        self, host: str | Iterable[str] | None, port: int | None, family: int, flags: int, reuse: bool, share: bool
    ) -> list[HostSocket]:
        hosts = [host or None] if host is None or isinstance(host, str) else list(host)
        addresses = {
            info[4]: info
            for name in hosts
            for info in self.names.getaddrinfo(name, port, family, kernel.SOCK_STREAM, 0, flags)
        }
        listeners: list[HostSocket] = []
        try:
            for info in addresses.values():
                listener = self.socket(info[0], info[1] | kernel.SOCK_NONBLOCK, info[2])
                listeners.append(listener)
                listener.setsockopt(kernel.SOL_SOCKET, kernel.SO_REUSEADDR, int(reuse))
                listener.setsockopt(kernel.SOL_SOCKET, kernel.SO_REUSEPORT, int(share))
                listener.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, 1)
                self._bind(listener, info[4])
        except BaseException:
            for listener in listeners:
                listener.close()
            raise
        return listeners

    def _bind(self, sock: HostSocket, address: tuple[Any, ...]) -> None:
        try:
            sock.bind(address)
        except OSError as failure:
            reason = (failure.strerror or "").lower()
            raise OSError(failure.errno, f"error while attempting to bind on address {address!r}: {reason}") from None

    def _welcome(
        self,
        socket: StreamSocket,
        server: Server,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        ssl: tls.SSLContext | None,
        timeouts: tuple[float | None, float | None],
    ) -> None:
        """An accepted connection gets its protocol and transport."""
        try:
            protocol = protocol_factory()
            if ssl is not None:
                protocol = Secured(self.loop, protocol, ssl, None, timeouts, awaited=False).protocol
        except BaseException as failure:
            socket.abort()
            if isinstance(failure, SystemExit | KeyboardInterrupt):
                self.loop.call_soon(reraise, failure)
                return
            message = "Error on transport creation for incoming connection"
            self.loop.call_exception_handler({"message": message, "exception": failure})
            return
        StreamTransport(self, socket, protocol, server).start()

    # datagrams

    async def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], P],
        local_addr: tuple[str, int] | None = None,
        remote_addr: tuple[str, int] | None = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: Any = None,
    ) -> tuple[asyncio.DatagramTransport, P]:
        """As loop.create_datagram_endpoint. Raises OSError EADDRINUSE, EADDRNOTAVAIL, ENETUNREACH; gaierror."""
        if sock is None:
            sock = self._datagram_socket(local_addr, remote_addr, family, proto, bool(reuse_port), allow_broadcast)
        elif local_addr or remote_addr:
            raise ValueError("socket modifier keyword arguments can not be used when sock is specified")
        socket: DatagramSocket = self._adopt(sock, DatagramSocket)
        transport = DatagramTransport(self, socket, protocol := protocol_factory(), sock)
        transport.start()
        return transport, protocol

    def _datagram_socket(
        self,
        local: tuple[str, int] | None,
        remote: tuple[str, int] | None,
        family: int,
        proto: int,
        reuse_port: bool,
        broadcast: bool | None,
    ) -> HostSocket:
        for address in local, remote:
            if address is not None and not (isinstance(address, tuple) and len(address) == 2):
                raise TypeError("2-tuple is expected")
        if not local and not remote and not family:
            raise ValueError("unexpected address family")
        kind = kernel.SOCK_DGRAM
        if aim := remote or local:
            passive = 0 if remote else kernel.AI_PASSIVE
            family = self.names.getaddrinfo(*aim, family=family, type=kind, proto=proto, flags=passive)[0][0]
        sock = self.socket(family, kind | kernel.SOCK_NONBLOCK, proto)
        try:
            if reuse_port:
                sock.setsockopt(kernel.SOL_SOCKET, kernel.SO_REUSEPORT, 1)
            if broadcast:
                sock.setsockopt(kernel.SOL_SOCKET, kernel.SO_BROADCAST, 1)
            if local is not None:
                self._bind(sock, local)
            if remote is not None:
                sock.connect(remote)
        except BaseException:
            sock.close()
            raise
        return sock

    # socket objects

    async def sock_recv(self, sock: HostSocket, nbytes: int) -> bytes:
        """As loop.sock_recv, for a socket of this host; so the other ``sock_`` methods."""
        result: bytes = await self._when_ready(sock, sock.recv, nbytes)
        return result

    async def sock_recv_into(self, sock: HostSocket, buf: Any) -> int:
        result: int = await self._when_ready(sock, sock.recv_into, buf)
        return result

    async def sock_recvfrom(self, sock: HostSocket, bufsize: int) -> tuple[bytes, Any]:
        result: tuple[bytes, Any] = await self._when_ready(sock, sock.recvfrom, bufsize)
        return result

    async def sock_recvfrom_into(self, sock: HostSocket, buf: Any, nbytes: int = 0) -> tuple[int, Any]:
        result: tuple[int, Any] = await self._when_ready(sock, sock.recvfrom_into, buf, nbytes)
        return result

    async def sock_sendall(self, sock: HostSocket, data: Any) -> None:
        view = memoryview(data).cast("B")
        while view:
            view = view[await self._when_ready(sock, sock.send, view) :]

    async def sock_sendto(self, sock: HostSocket, data: Any, address: Any) -> int:
        result: int = await self._when_ready(sock, sock.sendto, data, address)
        return result

    async def sock_accept(self, sock: HostSocket) -> tuple[HostSocket, Any]:
        accepted, address = await self._when_ready(sock, sock.accept)
        accepted.setblocking(False)
        return accepted, address

    async def sock_connect(self, sock: HostSocket, address: Any) -> None:
        try:
            sock.connect(address)
        except OSError as failure:
            if failure.errno != errno.EINPROGRESS:
                raise
        else:
            return
        calls = sock.calls
        await self._until(sock, lambda: not getattr(calls, "connecting", False))
        outcome = sock.calls.take_error()
        if outcome:
            text = f"Connect call failed {address}"
            raise OSError(outcome, text) if outcome != errno.ETIMEDOUT else TimeoutError(outcome, text)
        if not getattr(calls, "connected", True):
            raise error(errno.ECONNABORTED)
        sock.connect(address)  # finds it done, which settles the socket's phase

    async def _when_ready(self, sock: HostSocket, call: Callable[..., Any], *arguments: Any) -> Any:
        if sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")
        while True:
            try:
                return call(*arguments)
            except BlockingIOError:
                await self._change(sock)

    async def _until(self, sock: HostSocket, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._change(sock)

    async def _change(self, sock: HostSocket) -> None:
        """Wait until the socket's readiness may have changed."""
        future = self.loop.create_future()
        stop = sock.watch(lambda: None if future.done() else future.set_result(None))
        try:
            await future
        finally:
            stop()
