"""This stack as the machine under test, in virtual time."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from ...link import Scheduler
from ...link.fed import FedLink
from ...link.link import EVERY_OFFLOAD
from ...net.address import Prefix
from ...net.routing import Route
from ...stack import sysctl
from ...stack.host import Host
from .machine import FAST_OPEN_KEY, Machine
from .routes import Metrics
from .wire import Datagram

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...link.packet import Packet
    from ...transport.tcp.state import State
    from .configuration import Configuration

#: What an event takes, in seconds: no round trip of a script is nought, as on no machine.
STEP: Final = 10e-6
#: More than what is lost when times are added, in seconds.
_INSTANT: Final = 1e-9
#: The host's clock when the script begins: it was not switched on just now.
_START: Final = 1000.0
#: Of net.ipv4.tcp_fastopen: data in SYNs without a cookie, as a client and as a server.
_NO_COOKIES: Final = 0x204


class OffloadingLink(FedLink):
    """A link that leaves checksums and segmentation to whom it hands packets, as packetdrill's interface does:
    ``taken`` is called with each packet, and the size of the segments that it is to be cut into, or 0."""

    __slots__ = ("_taken",)

    offloads = EVERY_OFFLOAD

    def __init__(self, taken: Callable[[bytes, int], object], *, mtu: int) -> None:
        super().__init__(bool, mtu=mtu)
        self._taken = taken

    def send_packet(self, packet: Packet) -> None:
        self._taken(b"".join(packet.buffers), packet.segment_size)


class StackMachine(Machine):
    """A host on a clock that jumps from event to event."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self.scheduler = Scheduler(_START)
        self.host = Host("machine", scheduler=self.scheduler, random=Random(0))
        self.host.settings.tcp.send_buffer = 16384  # as on Linux, where what begins larger here grows at once
        self.host.tcp.fast_open.set_key(sysctl.fast_open_key(FAST_OPEN_KEY))
        self.host.tcp.settings.measure_rates = True
        self.host.tcp.settings.quick_after_gap = False  # nor does Linux
        self.host.tcp.settings.soft_errors_end_handshakes = True  # as Linux has it
        self.link = OffloadingLink(self._capture, mtu=configuration.mtu)
        self.interface = self.host.attach(self.link, f"{configuration.local_ip}/{configuration.prefix}", name="tun0")
        self.host.routes.add("default", via=configuration.via, interface=self.interface)
        self._began_at = _START

    def begin(self) -> None:
        self._began_at = self.clock_began = self.scheduler.now

    @property
    def now(self) -> float:
        return self.scheduler.now - self._began_at

    def _capture(self, packet: bytes, segment_size: int) -> None:
        datagram = Datagram.from_bytes(packet, self.now)
        datagram.segment_size = segment_size
        self.sent.append(datagram)

    def inject(self, datagram: Datagram) -> None:
        self.link.feed(datagram.to_bytes(), segment_size=datagram.segment_size)

    def wake_at(self, time: float) -> None:
        self.scheduler.call_at(self._began_at + time + _INSTANT, bool)

    def settle(self) -> None:
        """That takes a moment."""
        self.host.pump()
        self.settled()
        self._move(self.scheduler.now + STEP)

    def run(self, until: float, done: Callable[[], object] = bool) -> None:
        until += self._began_at
        while not done():
            due = self.host.next_event()
            if due is None or due > until:
                self._move(until)
                return
            self._move(due)

    def _move(self, clock: float) -> None:
        self.host.advance(clock)
        self.host.pump()
        self.settled()

    def state(self, local_port: int, remote_port: int) -> State | None:
        ports = remote_port.to_bytes(2) + local_port.to_bytes(2)
        known = self.host.tcp.connections.get(self.remote + self.local + ports)
        return known.state if known is not None else None

    def has_sysctl(self, name: str) -> bool:
        return name in sysctl.names()

    def get_sysctl(self, name: str) -> str:
        return sysctl.read(self.host, name)

    def set_sysctl(self, name: str, value: str) -> None:
        sysctl.write(self.host, name, value)

    def replace_route(self, destination: str, metrics: Metrics) -> None:
        """All routes lead to the remote host: what is said of one of them is said of the whole host."""
        prefix = Prefix.parse(destination)
        via = None
        for route in list(self.host.routes):
            if route.prefix == prefix or (not route.prefix.length and via is None):
                via = route.via
            if route.prefix == prefix:
                self.host.routes.discard(route)
        self.host.routes.insert(Route(prefix, self.interface, via, mtu=metrics.mtu))
        tcp = self.host.settings.tcp
        for name, value in (
            ("initial_window", metrics.initcwnd),
            ("initial_receive_window", metrics.initrwnd),
            ("advertised_mss", metrics.advmss),
            ("min_rto", metrics.rto_min),
            ("reordering", metrics.reordering),
            ("quick_ack", metrics.quickack),
            ("fast_open", tcp.fast_open | _NO_COOKIES if metrics.fastopen_no_cookie else 0),
            ("ecn", metrics.ecn),
        ):
            if value:
                setattr(tcp, name, value)
        if metrics.congctl:
            sysctl.write(self.host, "net.ipv4.tcp_congestion_control", metrics.congctl)
        if metrics.mtu_locked:
            self.host.settings.net.path_mtu_minimum = metrics.mtu
        if metrics.hoplimit:
            self.host.settings.net.hop_limit = metrics.hoplimit

    def set_mtu(self, mtu: int) -> None:
        self.link.mtu = self.interface.mtu = mtu
        for route in list(self.host.routes):  # whoever goes by them asks again how large packets may be
            self.host.routes.discard(route)
            self.host.routes.insert(route)
