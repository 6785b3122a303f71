"""The machine under test, whichever it is: its clock, its link, and what it has sent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final

from ...net.address import parse
from ...stack import sysctl
from ...transport.tcp.siphash import siphash

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...transport.tcp.state import State
    from .configuration import Configuration
    from .routes import Metrics
    from .wire import Datagram

#: What packetdrill's scripts have for net.ipv4.tcp_fastopen_key.
FAST_OPEN_KEY: Final = "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"


class Machine(ABC):
    """A host with one interface, ``tun0``, behind which are the gateway and the remote host, both played by the script.

    ``sent`` are the packets that it has sent and that nobody has asked for yet. ``settled`` is called whenever
    something may have happened on the host.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.local = parse(configuration.local_ip)
        self.remote = parse(configuration.remote_ip)
        self.sent: deque[Datagram] = deque()
        self.settled: Callable[[], None] = lambda: None

    # -- time

    #: When the script began, on the clock that time stamps are taken from.
    clock_began: float = 0.0

    @property
    @abstractmethod
    def now(self) -> float:
        """Seconds since the script began."""

    @abstractmethod
    def begin(self) -> None:
        """The script's time begins now."""

    @abstractmethod
    def settle(self) -> None:
        """Let the host do what an event has left it to do."""

    @abstractmethod
    def run(self, until: float, done: Callable[[], object] = bool) -> None:
        """Let time pass: up to ``until``, or as soon as ``done`` says so."""

    @abstractmethod
    def wake_at(self, time: float) -> None:
        """See to it that ``settled`` is called at that time, not an instant before."""

    # -- the link

    @abstractmethod
    def inject(self, datagram: Datagram) -> None:
        """A packet arrives."""

    # -- what flows and commands ask of it

    @abstractmethod
    def state(self, local_port: int, remote_port: int) -> State | None:
        """Of the connection with the remote host between these ports, or None."""

    @abstractmethod
    def has_sysctl(self, name: str) -> bool: ...

    @abstractmethod
    def get_sysctl(self, name: str) -> str:
        """The value of a setting that there is."""

    @abstractmethod
    def set_sysctl(self, name: str, value: str) -> None:
        """Raises KeyError for a setting that is not known, ValueError for a value that it does not take."""

    @abstractmethod
    def replace_route(self, destination: str, metrics: Metrics) -> None:
        """Give the route to ``destination`` (a prefix) these metrics; it is made if there is none.

        Raises ValueError for a metric that the host does not take.
        """

    @abstractmethod
    def set_mtu(self, mtu: int) -> None:
        """Of the link, which holds for the routes over it."""


def fast_open_cookies(configuration: Configuration) -> dict[str, str]:
    """The words that scripts have for the cookie that the host under test gives the remote host, and what they stand
    for: with the key above, and with a key of zeros."""
    addresses = parse(configuration.remote_ip) + parse(configuration.local_ip)
    key = sysctl.fast_open_key(FAST_OPEN_KEY)
    keys = {"TFO_COOKIE": key, "TFO_COOKIE_ZERO": bytes(len(key))}
    return {word: siphash(key, addresses).to_bytes(8, "little").hex() for word, key in keys.items()}
