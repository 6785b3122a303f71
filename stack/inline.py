"""A host inside a program without an event loop: blocking sockets, whose calls run the host while they wait.

::

    from netower.link.tap import Tap
    from netower.stack.inline import InlineHost

    with InlineHost() as host:
        host.attach(Tap("tap0", host_address="10.0.0.1/24"), "10.0.0.2/24")
        with host.create_connection(("10.0.0.1", 8000), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            print(connection.recv(65536))

There is no thread and no other process: packets move while a call of a socket (or `InlineHost.run`) runs, in the thread
that makes it. A program that computes for long without calls is a slow peer, as one that does not read. Several
sockets are waited for with `InlineHost.select`.
"""

from __future__ import annotations

import errno
import socket as kernel
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .calls import numbers as n
from .direct import HostSocket
from .engine import LONGEST_SLEEP, Engine
from .host import Host, HostSettings
from .names import Names, names_lookup
from .parting import close_all, undelivered

if TYPE_CHECKING:
    from types import TracebackType

    from ..link import Link
    from ..net.interface import Interface
    from ..net.routing import RoutingTable
    from .calls import Socket


class InlineHost:
    """A host that runs in the calls made on its sockets. Not for several threads at once.

    Its links must have a descriptor (a `Tap`, a `DatagramLink`) to be waited on; what a link in memory was fed is seen
    at the next call. ``names`` are the host names it knows, like ``{"server": "10.0.0.1"}``.

    Leaving the ``with`` block waits up to ``grace`` seconds for closed connections to deliver what was sent, resets the
    rest, and closes the links.
    """

    def __init__(
        self,
        host: Host | None = None,
        *,
        names: Mapping[str, str | Sequence[str]] | None = None,
        settings: HostSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        grace: float = 2.0,
    ) -> None:
        self._host = host or Host(settings=settings)
        self.names = Names(names_lookup(names or {}))
        self._clock = clock
        self._grace = grace
        self._engine = Engine(self._host, clock)

    def __repr__(self) -> str:
        return f"<InlineHost {self._host!r}>"

    def __enter__(self) -> InlineHost:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def host(self) -> Host:
        """The host itself: its floors, settings, counters, calls."""
        return self._host

    @property
    def routes(self) -> RoutingTable:
        """The host's routes: ``routes.add("default", gateway)`` and so on."""
        return self._host.routes

    def attach(self, link: Link, *addresses: str, name: str | None = None) -> Interface:
        """Connect the host to a link, with addresses like ``"10.0.0.2/24"`` on its subnet; the host closes the link.

        Raises ValueError for an address that cannot be understood.
        """
        return self._host.attach(link, *addresses, name=name)

    # sockets

    def socket(self, family: int = kernel.AF_INET, type: int = kernel.SOCK_STREAM, proto: int = 0) -> HostSocket:
        """A new socket of this host, as ``socket.socket``. Raises OSError EAFNOSUPPORT, EPROTONOSUPPORT, ENFILE …"""
        return HostSocket(self, family, type, proto)

    def create_connection(
        self,
        address: tuple[str, int],
        timeout: float | None = None,
        source_address: tuple[str, int] | None = None,
    ) -> HostSocket:
        """A socket that is connected to ``address``, as ``socket.create_connection``. ``timeout`` in seconds is the
        socket's from then on. Raises OSError as connect(2), TimeoutError, gaierror."""
        sock = self.socket()
        try:
            sock.settimeout(timeout)
            if source_address is not None:
                sock.bind(source_address)
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock

    def create_server(self, address: tuple[str, int], *, backlog: int = 128, reuse_port: bool = False) -> HostSocket:
        """A socket that listens at ``address``, as ``socket.create_server``. Raises OSError EADDRINUSE …"""
        sock = self.socket()
        try:
            sock.setsockopt(kernel.SOL_SOCKET, kernel.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(kernel.SOL_SOCKET, kernel.SO_REUSEPORT, 1)
            sock.bind(address)
            sock.listen(backlog)
        except BaseException:
            sock.close()
            raise
        return sock

    def select(
        self, readers: Sequence[HostSocket], writers: Sequence[HostSocket] = (), timeout: float | None = None
    ) -> tuple[list[HostSocket], list[HostSocket]]:
        """Wait until some are ready: those that can be read, and those that can be written; none of either when
        ``timeout`` seconds are over."""

        def ready() -> tuple[list[HostSocket], list[HostSocket]]:
            return (
                [sock for sock in readers if sock.calls.readiness() & n.READABLE],
                [sock for sock in writers if sock.calls.readiness() & n.WRITABLE],
            )

        self._turn_until(lambda: any(ready()), timeout)
        return ready()

    # running the host

    def run(self, seconds: float) -> None:
        """Let the host work for so long."""
        self._turn_until(lambda: False, seconds)

    def poke(self) -> None:
        """A call may have left the host something to do: it is done."""
        host = self._host
        host.advance(self._clock())
        host.pump()

    def wait(self, socket: Socket, events: int, timeout: float | None) -> bool:
        """Run the host until ``socket`` unblocks for any of ``events``; False when ``timeout`` seconds are over."""
        return self._turn_until(lambda: socket.unblocks(events), timeout)

    def _turn_until(self, condition: Callable[[], Any], timeout: float | None) -> bool:
        """Whether the condition came true before ``timeout`` seconds were over."""
        self.poke()
        engine = self._engine
        if timeout is None:
            while not condition():
                self._check_hope()
                engine.turn()
            return True
        end = self._clock() + timeout
        while not condition():
            left = end - self._clock()
            if left <= 0:
                return False
            engine.turn(min(left, LONGEST_SLEEP))
        return True

    def _check_hope(self) -> None:
        """Raise OSError EDEADLK where nothing could ever end a wait."""
        host = self._host
        if host.next_event() is None and all(interface.link.fileno() < 0 for interface in host.interfaces):
            raise OSError(errno.EDEADLK, "this host has no link with a descriptor and no timer: nothing will happen")

    # the end

    def close(self) -> None:
        """What leaving the ``with`` block does."""
        self._turn_until(lambda: not undelivered(self._host), self._grace)
        close_all(self._host)
        self.poke()
        self._engine.close()
        for interface in list(self._host.interfaces):
            interface.link.close()
