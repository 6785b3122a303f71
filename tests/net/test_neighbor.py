"""Neighbors: the state machine, its time-outs, the queue and the bounds of the cache."""

from __future__ import annotations

import errno

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from netower.link import Packet, Wire
from netower.net.address import parse
from netower.net.internet import Internet
from netower.net.neighbor import NeighborState as State
from netower.net.settings import NetSettings
from scapy.layers.inet import IP
from scapy.layers.l2 import ARP, Ether

THERE = parse("10.0.0.2")
MAC = "02:00:00:00:00:02"
BROADCAST = "ff:ff:ff:ff:ff:ff"


class Peer:
    """A host, and a scripted station on its subnet."""

    def __init__(self, network, settings: NetSettings | None = None) -> None:
        self.network = network
        self.host: Internet = network.host(settings)
        self.sent = network.attach(self.host, Wire().ends[0], "10.0.0.1/24").sent
        self.sent.clear()
        self.interface = self.host.interfaces[0]

    def send(self, count: int = 1, to: bytes = THERE) -> None:
        for number in range(count):
            self.host.path(to).send(Packet([bytes([number]) * 20]), 99)

    def arp(self, operation: int, *, dst: str = "02:00:00:00:00:01", mac: str = MAC, psrc="10.0.0.2", pdst="10.0.0.1"):
        frame = Ether(src=mac, dst=dst) / ARP(op=operation, hwsrc=mac, psrc=psrc, pdst=pdst)
        self.interface.receive(Packet([bytes(frame)]))

    def take(self) -> tuple[list[ARP], list[Ether]]:
        """What was sent since the last time: ARP, and the rest."""
        frames = [Ether(frame) for frame in self.sent]
        self.sent.clear()
        return [frame for frame in frames if ARP in frame], [frame for frame in frames if IP in frame]

    @property
    def state(self) -> State:
        neighbor = self.interface.neighbors.get(THERE)
        assert neighbor is not None
        return neighbor.state


@pytest.fixture
def peer(network) -> Peer:
    return Peer(network)


def test_packets_wait_for_the_answer_and_go_in_order(peer: Peer) -> None:
    peer.send(3)
    asked, packets = peer.take()
    assert packets == []
    (request,) = asked
    assert (request.dst, request[ARP].op, request[ARP].psrc, request[ARP].pdst) == (
        BROADCAST,
        1,
        "10.0.0.1",
        "10.0.0.2",
    )
    assert peer.state is State.INCOMPLETE
    peer.arp(2)
    assert peer.state is State.REACHABLE
    _, packets = peer.take()
    assert [bytes(packet[IP].payload)[0] for packet in packets] == [0, 1, 2]
    assert {packet.dst for packet in packets} == {MAC}
    peer.send()
    assert len(peer.take()[1]) == 1


def test_nobody_answers(peer: Peer, sink) -> None:
    peer.host.register(99, sink)
    peer.send(2)
    peer.network.run(2.9)
    assert len(peer.take()[0]) == 3
    assert sink.failures == []
    peer.network.run(0.2)
    assert peer.state is State.FAILED
    assert [failure.errno for failure in sink.failures] == [errno.EHOSTUNREACH] * 2
    failure = sink.failures[1]
    assert (failure.hard, failure.reporter, failure.destination) == (False, None, THERE)
    assert failure.source == parse("10.0.0.1")
    assert failure.quote == b"\x01" * 20
    peer.network.run(100)
    assert peer.take() == ([], [])
    peer.send()
    assert peer.state is State.INCOMPLETE  # the next packet tries again, as on Linux
    assert len(peer.take()[0]) == 1
    peer.arp(2)
    assert len(peer.take()[1]) == 1


def test_the_queue_is_bounded_and_drops_the_oldest(network) -> None:
    peer = Peer(network, NetSettings(neighbor_queue=5))
    peer.send(8)
    peer.arp(2)
    assert [bytes(packet[IP].payload)[0] for packet in peer.take()[1]] == [3, 4, 5, 6, 7]
    assert peer.host.counters["neighbor.queue_full"] == 3


def test_reachable_grows_stale_and_is_probed_by_unicast_when_used(peer: Peer) -> None:
    peer.send()
    peer.arp(2)
    peer.network.run(14.9)
    assert peer.state is State.REACHABLE
    peer.network.run(50)
    assert peer.state is State.STALE
    assert peer.host.scheduler.next_event() is None  # an idle host sleeps
    peer.take()
    peer.send()
    assert peer.state is State.DELAY
    assert [len(part) for part in peer.take()] == [0, 1]
    peer.network.run(5.1)
    assert peer.state is State.PROBE
    (probe,) = peer.take()[0]
    assert (probe.dst, probe[ARP].op) == (MAC, 1)
    peer.send()
    assert len(peer.take()[1]) == 1  # packets flow on meanwhile
    peer.arp(2)
    assert peer.state is State.REACHABLE


def test_probes_that_nobody_answers(peer: Peer, sink) -> None:
    peer.host.register(99, sink)
    peer.send()
    peer.arp(2)
    peer.network.run(60)
    peer.take()
    peer.send()
    peer.network.run(5 + 3 + 0.1)
    assert [request.dst for request in peer.take()[0]] == [MAC] * 3
    assert peer.state is State.FAILED
    peer.send()
    assert peer.take()[0][0].dst == BROADCAST


def test_confirmation_by_upper_layers_saves_the_probe(peer: Peer) -> None:
    peer.send()
    peer.arp(2)
    path = peer.host.path(THERE)
    for _ in range(100):
        peer.network.run(3)
        path.confirm()
    assert peer.state is State.REACHABLE
    peer.network.run(60)
    assert peer.state is State.STALE
    peer.send()
    peer.network.run(2)
    path.confirm()
    peer.network.run(4)
    assert peer.state is State.REACHABLE
    assert len(peer.take()[0]) == 1  # the very first question


def test_gratuitous_arp_updates_only_what_is_known(peer: Peer) -> None:
    peer.arp(1, dst=BROADCAST, pdst="10.0.0.2")
    assert peer.interface.neighbors.get(THERE) is None
    peer.send()
    peer.arp(2)
    peer.take()
    peer.arp(1, dst=BROADCAST, mac="02:00:00:00:00:33", pdst="10.0.0.2")
    assert peer.state is State.STALE
    peer.send()
    assert peer.take()[1][0].dst == "02:00:00:00:00:33"


def test_who_asks_for_us_is_answered_and_known(peer: Peer) -> None:
    peer.arp(1, dst=BROADCAST)
    (reply,) = peer.take()[0]
    assert (reply.dst, reply[ARP].op, reply[ARP].psrc, reply[ARP].hwsrc) == (MAC, 2, "10.0.0.1", "02:00:00:00:00:01")
    assert (reply[ARP].pdst, reply[ARP].hwdst) == ("10.0.0.2", MAC)
    assert peer.state is State.STALE
    peer.arp(1, dst=BROADCAST, psrc="0.0.0.0")  # a probe for our address (RFC 5227) is answered, and nothing learned
    assert len(peer.take()[0]) == 1
    assert peer.interface.neighbors.get(bytes(4)) is None
    peer.arp(1, dst=BROADCAST, pdst="10.0.0.77")
    peer.arp(1, dst=BROADCAST, psrc="192.168.1.1", mac="02:00:00:00:00:44")
    assert peer.interface.neighbors.get(parse("192.168.1.1")) is None


def test_addresses_are_announced_and_defended(network) -> None:
    host = network.host()
    sent = network.attach(host, Wire().ends[0], "10.0.0.1/24").sent
    announcement = Ether(sent.pop())
    assert (announcement.dst, announcement[ARP].psrc, announcement[ARP].pdst) == (BROADCAST, "10.0.0.1", "10.0.0.1")
    usurper = Ether(src=MAC, dst=BROADCAST) / ARP(op=1, hwsrc=MAC, psrc="10.0.0.1", pdst="10.0.0.1")
    for _ in range(3):
        host.interfaces[0].receive(Packet([bytes(usurper)]))
    assert host.counters["arp.conflict"] == 3
    assert len(sent) == 1  # at most once in ten seconds
    network.run(11)
    host.interfaces[0].receive(Packet([bytes(usurper)]))
    assert len(sent) == 2


def test_a_neighbor_entered_by_hand_is_permanent(peer: Peer) -> None:
    peer.send(2)
    peer.interface.neighbors.set(THERE, bytes.fromhex("020000000077"))
    assert {packet.dst for packet in peer.take()[1]} == {"02:00:00:00:00:77"}
    peer.arp(2)
    peer.network.run(1000)
    peer.send()
    assert (peer.state, peer.take()[1][0].dst) == (State.PERMANENT, "02:00:00:00:00:77")
    peer.interface.neighbors.remove(THERE)
    peer.send()
    assert peer.state is State.INCOMPLETE


def test_the_cache_is_bounded_and_keeps_who_answered(network) -> None:
    peer = Peer(network, NetSettings(neighbor_cache=8))
    peer.send()
    peer.arp(2)
    for last in range(3, 200):
        peer.send(to=bytes([10, 0, 0, last]))
    assert len(peer.interface.neighbors) == 8
    assert peer.state is State.REACHABLE
    for last in range(3, 20):
        peer.arp(1, mac=f"02:00:00:00:00:{last:02x}", psrc=f"10.0.0.{last}")
    assert len(peer.interface.neighbors) == 8
    assert peer.interface.neighbors.get(THERE) is None  # by now the least recently used
    path = peer.host.path(THERE)
    peer.take()
    path.send(Packet([b"again"]), 99)
    assert peer.state is State.INCOMPLETE  # a path survives that its neighbor is forgotten


class NeighborMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order: no packet is lost without a word, sent twice, or out of order."""

    def __init__(self) -> None:
        super().__init__()
        from random import Random

        from netower.link import Scheduler

        self.scheduler = Scheduler()
        self.host = Internet(self.scheduler, Random(0))
        self.link = Wire().ends[0]
        self.other = self.link._peer
        self.interface = self.host.attach(self.link, "10.0.0.1/24")
        self.number = 0
        self.fate: list[int] = []
        self.host.register(99, self)

    def receive(self, packet: Packet) -> None:
        raise AssertionError("nobody sends us anything")

    def receive_failure(self, failure) -> None:
        self.fate.append(int.from_bytes(failure.quote[:8]))

    def vouches(self, source, destination, quote) -> bool:
        return True

    @rule()
    def send(self) -> None:
        self.host.path(THERE).send(Packet([self.number.to_bytes(8)]), 99)
        self.number += 1

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 20.0, 100.0]))
    def wait(self, seconds: float) -> None:
        end = self.scheduler.now + seconds
        while (when := self.scheduler.next_event()) is not None and when <= end:
            self.scheduler.advance(when)
        self.scheduler.advance(end)

    @rule(operation=st.sampled_from([1, 2]), mac=st.sampled_from([MAC, "02:00:00:00:00:33"]), alone=st.booleans())
    def arp(self, operation: int, mac: str, alone: bool) -> None:
        dst = "02:00:00:00:00:01" if alone else BROADCAST
        frame = Ether(src=mac, dst=dst) / ARP(op=operation, hwsrc=mac, psrc="10.0.0.2", pdst="10.0.0.1")
        self.interface.receive(Packet([bytes(frame)]))

    @rule()
    def confirm(self) -> None:
        self.host.path(THERE).confirm()

    @rule()
    def forget(self) -> None:
        self.interface.neighbors.remove(THERE)

    @invariant()
    def every_packet_has_one_fate(self) -> None:
        while (packet := self.other.receive_packet()) is not None:
            frame = packet.tobytes()
            if frame[12:14] == b"\x08\x00":
                self.fate.append(int.from_bytes(frame[34:42]))
        neighbor = self.interface.neighbors.get(THERE)
        waiting = neighbor._waiting or () if neighbor else ()
        queued = [int.from_bytes(packet.tobytes()[20:28]) for packet in waiting]
        assert self.fate + queued == list(range(self.number))
        if neighbor is not None:
            assert not queued or neighbor.state is State.INCOMPLETE
            usable = neighbor.state not in (State.INCOMPLETE, State.STALE, State.FAILED)
            assert (neighbor.header is not None) == usable


TestNeighborMachine = NeighborMachine.TestCase
