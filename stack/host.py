"""A host: one of each floor, composed bottom-up.

A host knows nothing of how it is run. It is told the time, is fed packets, and says when it wants to be called next:
the engine does that on epoll and the machine's clock, a simulated network on a virtual one, a program inline.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Final

from ..link import Scheduler
from ..link.loopback import Loopback
from ..net.internet import Internet
from ..net.protocols import TCP, UDP
from ..net.settings import NetSettings
from ..transport import ports
from ..transport.tcp.protocol import Tcp
from ..transport.tcp.settings import TcpSettings
from ..transport.udp import Udp, UdpSettings
from .calls import Calls, CallSettings

if TYPE_CHECKING:
    from ..link import Link
    from ..net.interface import Interface
    from ..net.routing import RoutingTable

log = logging.getLogger(__name__)

#: Frames that are taken from one link before the others have their turn.
BATCH: Final = 64
#: Rounds over the links in memory in one batch: what is sent there may be answered there, for ever.
_ROUNDS: Final = 64


@dataclass
class HostSettings:
    """The settings of a host's floors. ``ephemeral_ports``: first and last port of Linux's ip_local_port_range."""

    net: NetSettings = field(default_factory=NetSettings)
    udp: UdpSettings = field(default_factory=UdpSettings)
    tcp: TcpSettings = field(default_factory=TcpSettings)
    calls: CallSettings = field(default_factory=CallSettings)
    ephemeral_ports: tuple[int, int] = ports.EPHEMERAL


class Host:
    """One machine on the network: interfaces, routes, transports, and the calls that programs make.

    ``scheduler`` keeps its time and ``random`` is where all its randomness comes from (the operating system's, unless
    given). With ``loopback`` it has an interface ``lo`` with 127.0.0.1/8 from the start.
    """

    def __init__(
        self,
        name: str = "host",
        *,
        scheduler: Scheduler | None = None,
        random: Random | None = None,
        settings: HostSettings | None = None,
        loopback: bool = True,
    ) -> None:
        self.name = name
        self.settings = settings = settings or HostSettings()
        self.scheduler = scheduler or Scheduler()
        random = random or SystemRandom()
        self.internet = Internet(self.scheduler, random, settings.net)
        self.udp = Udp(self.internet, ports.PortRegistry(random, settings.ephemeral_ports), settings.udp)
        self.tcp = Tcp(self.internet, ports.PortRegistry(random, settings.ephemeral_ports), settings.tcp)
        self.internet.register(UDP, self.udp)
        self.internet.register(TCP, self.tcp)
        self.calls = Calls(self)
        self._in_memory: list[Interface] = []
        self._unfinished = False
        if loopback:
            self.attach(Loopback(), "127.0.0.1/8", name="lo")

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.interfaces}>"

    @property
    def interfaces(self) -> list[Interface]:
        return self.internet.interfaces

    @property
    def routes(self) -> RoutingTable:
        return self.internet.routes

    def attach(self, link: Link, *addresses: str, name: str | None = None) -> Interface:
        """Connect the host to a link, with addresses like ``"10.0.0.2/24"`` on its subnet.

        Raises ValueError for an address that cannot be understood.
        """
        interface = self.internet.attach(link, *addresses, name=name)
        if link.fileno() < 0:
            self._in_memory.append(interface)
        return interface

    def detach(self, interface: Interface) -> None:
        """Take the host off a link; the link stays open."""
        self.internet.detach(interface)
        if interface in self._in_memory:
            self._in_memory.remove(interface)

    def lose(self, interface: Interface, failure: OSError) -> None:
        """A link is gone for good (ENETDOWN): the host goes on without it."""
        log.warning("%s: %s", interface.name, failure.strerror)
        self.detach(interface)

    def advance(self, now: float) -> None:
        """Begin a batch: tell the host the time, in seconds on a clock that never goes back. Due timers run."""
        self.scheduler.advance(now)

    def receive(self, interface: Interface) -> int:
        """Take what waits on a link, up to a batch; how many packets that was."""
        receive_packet, receive = interface.link.receive_packet, interface.receive
        for count in range(BATCH):
            packet = receive_packet()
            if packet is None:
                return count
            receive(packet)
        return BATCH

    def pump(self) -> None:
        """End a batch: do what was left for its end, and take what waits on the links that live in memory, until all is
        quiet. (Links with a descriptor are read with `receive` when that is ready.)"""
        flush = self.scheduler.flush
        flush()
        for _ in range(_ROUNDS):
            received = 0
            for interface in self._in_memory:
                try:
                    packet = interface.link.receive_packet()
                except OSError as failure:
                    self.lose(interface, failure)
                    received += 1
                    break
                if packet is not None:
                    interface.receive(packet)
                    received += 1 + self.receive(interface)
            if not received:
                self._unfinished = False
                return
            self._unfinished = True
            flush()

    def next_event(self) -> float | None:
        """When to call `advance` and `pump` next, on the host's clock, if nothing arrives before; None: no need to."""
        return self.scheduler.now if self._unfinished else self.scheduler.next_event()
