"""The kernel's end of a TUN interface, in the namespace of this process, on the real clock."""

from __future__ import annotations

import os
import select
import time
from dataclasses import asdict
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyroute2 import IPRoute

from ....link.packet import Packet
from ....link.tap import Tun
from ....stack.calls.info import STATES
from ..errors import Unsupported
from ..machine import FAST_OPEN_KEY, Machine
from ..routes import Metrics
from ..wire import Datagram

if TYPE_CHECKING:
    from collections.abc import Callable

    from ....transport.tcp.state import State
    from ..configuration import Configuration

_INTERFACE: Final = "tun0"
#: How long before it is due an event is waited for without sleeping, in seconds: a sleep ends late.
_SPIN: Final = 100e-6
_SYSCTL: Final = Path("/proc/sys")
_CONGESTION_CONTROL: Final = "net.ipv4.tcp_congestion_control"
#: What a script may count on, whatever this machine's administrator prefers.
_SETTINGS: Final = {
    _CONGESTION_CONTROL: "cubic",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_fastopen_key": FAST_OPEN_KEY,
    "net.ipv6.conf.all.disable_ipv6": "1",
}
_IPV4: Final = 4
_STATES: Final = {number: state for state, number in STATES.items()}
#: Metrics of routes that have another form in a message to the kernel; RTAX_FEATURE_ECN; the bits of locked ones, of
#: RTAX_MTU and of RTAX_RTO_MIN, which counts only so, as ip(8) does.
_OTHERWISE: Final = frozenset({"rto_min", "ecn", "congctl", "mtu_locked"})
_FEATURE_ECN: Final = 1
_MTU: Final = 1 << 2
_RTO_MIN: Final = 1 << 13
_TIME_WAIT_OF_FIN_WAIT_2: Final = 5


class KernelMachine(Machine):
    """To be made in a fresh namespace, once. Raises OSError as `Tun`."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        if configuration.mss:
            raise Unsupported("--mss on the kernel")
        self._via = {"gateway": configuration.via} if configuration.via else {}
        self._tun = Tun(
            _INTERFACE, mtu=configuration.mtu, host_address=f"{configuration.local_ip}/{configuration.prefix}"
        )
        #: What sockets are to be given, if it may not be the namespace's default.
        self.congestion_control = ""
        for name, value in _SETTINGS.items():
            if self.has_sysctl(name):
                self.set_sysctl(name, value)
        self.replace_route("0.0.0.0/0", Metrics())
        self._woken, self._waker = os.pipe()
        self._began_at = time.monotonic()

    # -- time

    @property
    def now(self) -> float:
        return time.monotonic() - self._began_at

    def begin(self) -> None:
        self._began_at = time.monotonic()
        self.clock_began = time.time()

    def settle(self) -> None:
        self._take()
        self.settled()

    def run(self, until: float, done: Callable[[], object] = bool) -> None:
        while True:
            self.settle()
            left = until - self.now
            if done() or left <= 0:
                return
            if left > _SPIN:
                ready, _, _ = select.select([self._tun.fileno(), self._woken], [], [], left - _SPIN)
                if self._woken in ready:
                    os.read(self._woken, 1)

    def wake_at(self, time: float) -> None:
        """The kernel wakes its programs itself."""

    def wake(self) -> None:
        """``settled`` is to be called at once; may come from another thread."""
        os.write(self._waker, b"\0")

    # -- the link

    def inject(self, datagram: Datagram) -> None:
        self._tun.send_packet(Packet([datagram.to_bytes()]))

    def _take(self) -> None:
        while (packet := self._tun.receive_packet()) is not None:
            data = bytes(packet.buffers[0])
            if data[0] >> 4 == _IPV4:
                datagram = Datagram.from_bytes(data, self.now)
                datagram.segment_size = packet.segment_size
                self.sent.append(datagram)

    # -- what flows and commands ask of it

    def state(self, local_port: int, remote_port: int) -> State | None:
        ends = _shown(self.local, local_port), _shown(self.remote, remote_port)
        for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            if (words[1], words[2]) == ends:
                return _STATES.get(int(words[3], 16))
        return None

    def has_sysctl(self, name: str) -> bool:
        return name.startswith("net.") and _setting(name).exists()

    def get_sysctl(self, name: str) -> str:
        return _setting(name).read_text().strip()

    def set_sysctl(self, name: str, value: str) -> None:
        if not self.has_sysctl(name):
            raise KeyError(f"the setting {name}")
        try:
            _setting(name).write_text(value)
            if name == _CONGESTION_CONTROL:
                self.congestion_control = ""
        except PermissionError:
            if name != _CONGESTION_CONTROL:
                raise KeyError(f"the setting {name}, which is all namespaces'") from None
            self.congestion_control = value  # whoever may make a namespace may do so socket by socket
        except OSError as failure:
            raise ValueError(f"{name}: {value!r}: {failure.strerror}") from None

    def replace_route(self, destination: str, metrics: Metrics) -> None:
        values = {name: value for name, value in asdict(metrics).items() if name not in _OTHERWISE and value}
        if locked := _MTU * metrics.mtu_locked | _RTO_MIN * bool(metrics.rto_min):
            values["lock"] = locked
        if metrics.rto_min:
            values["rto_min"] = round(metrics.rto_min * 1000)
        if metrics.ecn:
            values["features"] = _FEATURE_ECN
        if metrics.congctl:
            values["cc_algo"] = metrics.congctl
        given = {"metrics": values} if values else {}
        with IPRoute() as route:
            index = route.link_lookup(ifname=_INTERFACE)[0]
            on_link = IPv4Network(destination).prefixlen and self._is_local(destination)
            via = {} if on_link else self._via
            route.route("replace", dst=destination, oif=index, **via, **given)

    def _is_local(self, destination: str) -> bool:
        return IPv4Network(destination).network_address.packed == self.local[:2] + bytes(2)

    def set_mtu(self, mtu: int) -> None:
        with IPRoute() as route:
            route.link("set", index=route.link_lookup(ifname=_INTERFACE)[0], mtu=mtu)


def _setting(name: str) -> Path:
    return _SYSCTL / name.replace(".", "/")


def _shown(address: bytes, port: int) -> str:
    """As /proc/net/tcp has it: the address as a number in the machine's order."""
    return f"{address[::-1].hex().upper()}:{port:04X}"
