"""The nodes of a simulated network: hosts and routers, which crash and restart, and switches."""

from __future__ import annotations

import errno
import os
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from ...link.branch import Branch
from ...link.capture import Capture, PcapFile
from ...link.switch import Switch
from ..host import Host

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Interface

    from ...link.scheduler import Scheduler
    from ...net.interface import Interface
    from ...net.routing import Route
    from ..host import HostSettings
    from .addressing import Subnet
    from .port import Port
    from .wire import SimulatedWire


class Attachment:
    """Where a node is on a subnet: its port, its address there."""

    __slots__ = ("address", "interface", "name", "node", "port", "subnet", "wire")

    def __init__(
        self, node: Node, wire: SimulatedWire, subnet: Subnet, port: Port, address: IPv4Interface, name: str
    ) -> None:
        self.node = node
        self.wire = wire
        self.subnet = subnet
        self.port = port
        self.address = address
        self.name = name
        self.interface: Interface | None = None

    @property
    def up(self) -> bool:
        return self.node.up and self.wire.up


class Node:
    """A host (or router) of a network, made by `Network.host` and `Network.router`: a name, a place, and a `Host`.

    The node outlives its `Host`: a crash ends that one, and a restart makes another, with the same links and
    addresses, and nothing that the first one knew. ``observers`` are called with the node after either.
    """

    def __init__(
        self,
        name: str,
        *,
        seed: int | str,
        scheduler: Scheduler,
        settle: Callable[[], None],
        reroute: Callable[[], None],
        settings: HostSettings | None,
        forwarding: bool,
        address: str | None,
        recorder: PcapFile | None,
    ) -> None:
        self.name = name
        self.forwarding = forwarding
        self.attachments: list[Attachment] = []
        #: Routes that were asked for: destination, and gateway's address or name.
        self.wanted_routes: list[tuple[str, str]] = []
        #: Those in the host's table that are the network's doing.
        self.installed_routes: list[Route] = []
        self.observers: list[Callable[[Node], object]] = []
        #: The address for the first wire that brings none.
        self.wanted_address = address
        self.recorder = recorder
        self._seed = seed
        self._scheduler = scheduler
        self._settle = settle
        self._reroute = reroute
        self._settings = settings
        self._boots = 0
        self._host: Host | None = None
        self._boot()

    def __repr__(self) -> str:
        return f"<{'router' if self.forwarding else 'host'} {self.name}{'' if self.up else ', down'}>"

    @property
    def up(self) -> bool:
        """Whether it runs."""
        return self._host is not None

    @property
    def host(self) -> Host:
        """The stack that runs here now. Raises OSError EHOSTDOWN between a crash and the restart."""
        if self._host is None:
            raise OSError(errno.EHOSTDOWN, f"{self.name} is down")
        self._settle()
        return self._host

    @property
    def addresses(self) -> list[str]:
        """Its addresses, in the order of its wires."""
        return [str(attachment.address.ip) for attachment in self.attachments]

    @property
    def address(self) -> str:
        """Its (first) address. Raises ValueError while it is on no wire."""
        if not self.attachments:
            raise ValueError(f"{self.name} has no address: no wire leads there yet")
        return self.addresses[0]

    def attach(self, attachment: Attachment) -> None:
        """Be on another wire."""
        self.attachments.append(attachment)
        if self._host is not None:
            self._plug(attachment, self._host)
        else:
            attachment.port.discard()

    def crash(self) -> None:
        """End at once: connections, timers and all that is queued are gone, nobody is told, and nothing answers.

        Raises ValueError if it is down already.
        """
        host = self._running("crash")
        self._host = None
        assert isinstance(host.scheduler, Branch)
        host.scheduler.cut()
        host.internet.transports.clear()
        for socket in host.calls.sockets:
            socket.observer = None
        for attachment in self.attachments:
            attachment.port.discard()
            assert attachment.interface is not None
            attachment.interface.down()
            attachment.interface = None
        self._tell()

    def restart(self) -> None:
        """Start again with a fresh stack. Raises ValueError if it runs."""
        if self._host is not None:
            raise ValueError(f"cannot restart {self.name}: it is up")
        host = self._boot()
        for attachment in self.attachments:
            self._plug(attachment, host)
        self._reroute()
        self._tell()

    def _running(self, what: str) -> Host:
        if self._host is None:
            raise ValueError(f"cannot {what} {self.name}: it is down")
        return self._host

    def _tell(self) -> None:
        for observer in list(self.observers):
            observer(self)

    def _boot(self) -> Host:
        random = Random(f"{self._seed}/host/{self.name}/{self._boots}")
        self._boots += 1
        host = self._host = Host(self.name, scheduler=Branch(self._scheduler), random=random, settings=self._settings)
        host.internet.forwarding = self.forwarding
        self.installed_routes = []
        self._serve_loopback(host)
        return host

    def _serve_loopback(self, host: Host) -> None:
        """What is sent there arrives at the end of the batch."""
        interface = host.interfaces[0]
        link: Any = interface.link

        def drain() -> None:
            while (packet := link.receive_packet()) is not None:
                interface.receive(packet)

        link.observer = lambda: host.scheduler.call_soon(drain)

    def _plug(self, attachment: Attachment, host: Host) -> None:
        port, recorder = attachment.port, self.recorder
        link = port if recorder is None else Capture(port, recorder, lambda: self._scheduler.now)
        interface = attachment.interface = host.attach(link, str(attachment.address), name=attachment.name)
        port.hand_to(interface.receive, *(() if recorder is None else (recorder,)))


class SwitchNode:
    """A switch of a network, made by `Network.switch`."""

    def __init__(self, name: str, scheduler: Scheduler, subnet: Subnet) -> None:
        self.name = name
        self.subnet = subnet
        self.switch = Switch(lambda: scheduler.now)

    def __repr__(self) -> str:
        return f"<switch {self.name}>"

    def attach(self, port: Port) -> None:
        """Be at the end of another wire."""
        self.switch.attach(port)
        port.hand_to(partial(self.switch.forward, port))


def recorder(folder: os.PathLike[str] | str | None, file: str, link_type: int, now: Callable[[], float]) -> Any:
    """The pcap file of something on the network, if there are to be any."""
    return None if folder is None else PcapFile(os.path.join(folder, file), link_type, now)
