"""A small network in memory, on one virtual clock, for the tests of the net floor."""

from __future__ import annotations

from random import Random

import pytest
from netower.link import Link, Offloads, Packet, Scheduler, Wire
from netower.net.failure import Failure
from netower.net.interface import Interface
from netower.net.internet import Internet
from netower.net.settings import NetSettings


class Recorder:
    """A link that wraps a link and remembers what was sent, as bytes."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.address = link.address
        self.mtu = link.mtu
        self.offloads = link.offloads
        self.sent: list[bytes] = []
        self.lost = False

    def send_packet(self, packet: Packet) -> None:
        self.sent.append(packet.tobytes())
        if not self.lost:
            self._link.send_packet(packet)

    def receive_packet(self) -> Packet | None:
        return self._link.receive_packet()

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self._link.close()


class Sink:
    """A transport that keeps what it gets."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.failures: list[Failure] = []

    def receive(self, packet: Packet) -> None:
        self.packets.append(packet)

    def receive_failure(self, failure: Failure) -> None:
        self.failures.append(failure)

    def vouches(self, source: bytes, destination: bytes, quote: bytes) -> bool:
        return True

    @property
    def payloads(self) -> list[bytes]:
        return [packet.tobytes() for packet in self.packets]


class TestNetwork:
    """Hosts, wires between them, and the clock of them all."""

    __test__ = False

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self._random = Random(0)
        self._attached: list[Interface] = []

    def host(self, settings: NetSettings | None = None) -> Internet:
        return Internet(self.scheduler, Random(self._random.random()), settings)

    def attach(self, host: Internet, link: Link, *addresses: str) -> Recorder:
        """Attach a link, and return what it records."""
        recorder = Recorder(link)
        self._attached.append(host.attach(recorder, *addresses))
        return recorder

    def connect(
        self,
        first: Internet,
        first_address: str,
        second: Internet,
        second_address: str,
        *,
        mtu: int = 1500,
        ethernet: bool = True,
        offloads: Offloads = Offloads.NONE,
    ) -> tuple[Recorder, Recorder]:
        ends = Wire(mtu=mtu, ethernet=ethernet, offloads=offloads).ends
        return self.attach(first, ends[0], first_address), self.attach(second, ends[1], second_address)

    def settle(self) -> None:
        """Let everything arrive that is under way, in no time."""
        busy = True
        while busy:
            busy = False
            for interface in self._attached:
                while (packet := interface.link.receive_packet()) is not None:
                    interface.receive(packet)
                    busy = True
            self.scheduler.flush()

    def run(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        end = self.scheduler.now + seconds
        self.settle()
        while (when := self.scheduler.next_event()) is not None and when <= end:
            self.scheduler.advance(when)
            self.settle()
        self.scheduler.advance(end)
        self.settle()


@pytest.fixture
def network() -> TestNetwork:
    return TestNetwork()


@pytest.fixture
def sink() -> Sink:
    return Sink()
