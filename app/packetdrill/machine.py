"""The machine under test: a host on one link, its clock, and what it has sent."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING, Final

from ...link import Scheduler
from ...link.fed import FedLink
from ...net.address import parse
from ...stack import sysctl
from ...stack.host import Host
from ...transport.tcp.fast_open import siphash
from .wire import Datagram

if TYPE_CHECKING:
    from collections.abc import Callable

    from .configuration import Configuration

#: What an event takes, in seconds: no round trip of a script is nought, as on no machine.
STEP: Final = 10e-6
#: What packetdrill's scripts have for net.ipv4.tcp_fastopen_key, and what that is as bytes.
_FAST_OPEN_KEY: Final = sysctl.fast_open_key("a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4")
#: More than what is lost when times are added, in seconds.
_INSTANT: Final = 1e-9
#: The host's clock when the script begins: it was not switched on just now.
_START: Final = 1000.0


class Machine:
    """A host with one interface, ``tun0``, behind which are the gateway and the remote host, both played by the script.

    ``sent`` are the packets that it has sent and that nobody has asked for yet. ``settled`` is called whenever
    something has happened on the host.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.local = parse(configuration.local_ip)
        self.remote = parse(configuration.remote_ip)
        self.sent: deque[Datagram] = deque()
        self.settled: Callable[[], None] = lambda: None
        self.scheduler = Scheduler(_START)
        self.host = Host("machine", scheduler=self.scheduler, random=Random(0))
        self.host.tcp.fast_open.set_key(_FAST_OPEN_KEY)
        self.link = FedLink(self._capture, mtu=configuration.mtu)
        self.interface = self.host.attach(self.link, f"{configuration.local_ip}/{configuration.prefix}", name="tun0")
        self.host.routes.add("default", via=configuration.gateway_ip, interface=self.interface)

    def fast_open_cookies(self) -> dict[str, str]:
        """The words that scripts have for the cookie that the stack gives the remote host, and what they stand for:
        with the key above, and with a key of zeros."""
        addresses = self.remote + self.local
        keys = {"TFO_COOKIE": _FAST_OPEN_KEY, "TFO_COOKIE_ZERO": bytes(len(_FAST_OPEN_KEY))}
        return {word: siphash(key, addresses).to_bytes(8, "little").hex() for word, key in keys.items()}

    @property
    def now(self) -> float:
        """Seconds since the script began."""
        return self.scheduler.now - _START

    def _capture(self, packet: bytes) -> None:
        self.sent.append(Datagram.from_bytes(packet, self.now))

    def inject(self, datagram: Datagram) -> None:
        """A packet arrives."""
        self.link.feed(datagram.to_bytes())

    def wake_at(self, time: float) -> None:
        """See to it that ``settled`` is called at that time, not an instant before."""
        self.scheduler.call_at(_START + time + _INSTANT, bool)

    def settle(self) -> None:
        """Let the host do what an event has left it to do; that takes a moment."""
        self.host.pump()
        self.settled()
        self._move(self.scheduler.now + STEP)

    def run(self, until: float, done: Callable[[], object] = bool) -> None:
        """Let time pass: up to ``until``, or as soon as ``done`` says so."""
        until += _START
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
