"""A host inside a program, on the program's own asyncio loop: no process of its own, no thread, no root.

A program that holds packets already hands them in and out::

    import asyncio
    from netower.link.fed import FedLink
    from netower.stack.aio.embedded import EmbeddedHost

    async def main() -> None:
        async with EmbeddedHost() as here, EmbeddedHost() as there:
            near = FedLink(send=lambda packet: far.feed(packet))
            far = FedLink(send=lambda packet: near.feed(packet))
            here.attach(near, "10.0.0.1/24")
            there.attach(far, "10.0.0.2/24")

            async def echo(reader, writer):
                writer.write(await reader.read(100))
                writer.close()

            await there.start_server(echo, "10.0.0.2", 7)
            reader, writer = await here.open_connection("10.0.0.2", 7)
            writer.write(b"hello")
            print(await reader.read())
            writer.close()

    asyncio.run(main())

Links with a descriptor (a TAP, a `DatagramLink`) are read when the loop finds them readable.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..host import Host, HostSettings
from ..names import names_lookup
from ..parting import close_all, undelivered
from .host import AsyncHost

if TYPE_CHECKING:
    from types import TracebackType

    from ...link import Link
    from ...net.interface import Interface
    from ...net.routing import RoutingTable

log = logging.getLogger(__name__)


class EmbeddedHost(AsyncHost):
    """A host that the running event loop runs.

    Everything that a host is made of is ``self.host``; the most common of it is here: `attach`, ``routes``. Programs
    use it through `open_connection`, `start_server`, `create_connection`, `create_server`, `create_datagram_endpoint`,
    which are asyncio's own but for the network they reach. ``names`` are the host names it knows, like
    ``{"server": "10.0.0.1"}``; other names raise gaierror.

    Leaving the ``async with`` block closes servers, waits up to ``grace`` seconds for closed connections to deliver
    what was written, resets the rest, and closes the links.
    """

    def __init__(
        self,
        host: Host | None = None,
        *,
        names: Mapping[str, str | Sequence[str]] | None = None,
        settings: HostSettings | None = None,
        grace: float = 2.0,
    ) -> None:
        super().__init__(asyncio.get_running_loop(), names_lookup(names or {}))
        self._host = host or Host(settings=settings)
        self._grace = grace
        self._context = contextvars.copy_context()
        self._turn_due: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_when = 0.0
        self._turning = False
        self._links: dict[Interface, int] = {}
        self.host.advance(self.loop.time())
        for interface in self.host.interfaces:
            self._watch(interface)
        self.poke()

    def __repr__(self) -> str:
        return f"<EmbeddedHost {self.host!r}>"

    async def __aenter__(self) -> EmbeddedHost:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def host(self) -> Host:
        """The host itself: its floors, settings, counters, calls."""
        return self._host

    @property
    def routes(self) -> RoutingTable:
        """The host's routes: ``routes.add("default", gateway)`` and so on."""
        return self.host.routes

    def attach(self, link: Link, *addresses: str, name: str | None = None) -> Interface:
        """Connect the host to a link, with addresses like ``"10.0.0.2/24"`` on its subnet; the host closes the link.

        Raises ValueError for an address that cannot be understood.
        """
        interface = self.host.attach(link, *addresses, name=name)
        self._watch(interface)
        self.poke()
        return interface

    def detach(self, interface: Interface) -> None:
        """Take the host off a link; the link stays open."""
        self._unwatch(interface)
        self.host.detach(interface)

    # running the host

    def poke(self) -> None:
        if self._turn_due is None and not self._turning:
            self._turn_due = self.loop.call_soon(self._turn, context=self._context)

    def _turn(self) -> None:
        """A batch without news from descriptors: calls of the program, packets that were fed, timers."""
        if self._turn_due is not None:
            self._turn_due.cancel()
            self._turn_due = None
        self._turning = True
        host = self.host
        host.advance(self.loop.time())
        self._detach_gone()
        try:
            host.pump()
        finally:
            self._turning = False
        self._arm()

    def _readable(self, interface: Interface) -> None:
        """A batch that begins with what a descriptor has."""
        self._turning = True
        host = self.host
        host.advance(self.loop.time())
        try:
            host.receive(interface)
        except OSError as failure:
            log.warning("%s: %s", interface.name, failure)
            self.detach(interface)
        self._turn()

    def _detach_gone(self) -> None:
        """A link in memory that was closed is left."""
        for interface in [each for each in self._links if getattr(each.link, "closed", False)]:
            self.detach(interface)

    def _arm(self) -> None:
        """See to it that the host is called when it wants to be."""
        due = self.host.next_event()
        timer = self._timer
        if due is None or (timer is not None and self._timer_when <= due):
            return  # an early call does no harm, and moving the timer for every packet would cost more
        if timer is not None:
            timer.cancel()
        self._timer_when = due
        self._timer = self.loop.call_at(due, self._wake, context=self._context)

    def _wake(self) -> None:
        self._timer = None
        self._turn()

    def _watch(self, interface: Interface) -> None:
        descriptor = interface.link.fileno()
        self._links[interface] = descriptor
        if descriptor >= 0:
            self.loop.add_reader(descriptor, partial(self._readable, interface))
        else:
            link: Any = interface.link  # those in memory tell when something has arrived
            link.observer = self.poke

    def _unwatch(self, interface: Interface) -> None:
        descriptor = self._links.pop(interface, -1)
        if descriptor >= 0:
            self.loop.remove_reader(descriptor)
        elif hasattr(interface.link, "observer"):
            interface.link.observer = None

    # the end

    async def aclose(self) -> None:
        """What leaving the ``async with`` block does."""
        for server in list(self.servers):
            server.close()
        await asyncio.sleep(0)  # transports that were closed just now finish
        self._turn()
        deadline = self.loop.time() + self._grace
        while undelivered(self.host) and self.loop.time() < deadline:
            await asyncio.sleep(0.005)
        self.abandon()
        await asyncio.sleep(0)  # and those that were not, too
        close_all(self.host)
        self._turn()
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._turn_due is not None:
            self._turn_due.cancel()
        for interface in list(self._links):
            self._unwatch(interface)
            interface.link.close()
