"""Fragments: cut, shuffled, duplicated, overlapping, late."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netower.link import Packet, Scheduler, Wire
from netower.net.address import parse
from netower.net.fragments import fragments
from netower.net.internet import Internet
from netower.net.settings import NetSettings
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.l2 import Ether

HERE, THERE = parse("10.0.0.1"), parse("10.0.0.2")
ETHERNET = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")


class Receiver:
    """A host that receives frames, and the payloads that reach protocol 17."""

    def __init__(self, network, sink, net_settings: NetSettings | None = None) -> None:
        self.network = network
        self.host: Internet = network.host(net_settings)
        self.sent = network.attach(self.host, Wire().ends[0], "10.0.0.1/24").sent
        self.host.register(17, sink)
        self.sent.clear()

    def receive(self, packets: list[IP]) -> None:
        for packet in packets:
            self.host.interfaces[0].receive(Packet([bytes(ETHERNET / packet)]))

    def pending(self) -> int:
        return len(self.host.families[4]._reassembly)


@pytest.fixture
def receiver(network, sink) -> Receiver:
    return Receiver(network, sink)


def piece(offset: int, data: bytes, more: bool, ident: int = 7) -> IP:
    return IP(src="10.0.0.2", dst="10.0.0.1", proto=17, id=ident, flags=int(more), frag=offset // 8) / data


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_fragments_are_put_together_in_any_order(data: st.DataObject) -> None:
    scheduler = Scheduler()
    host = Internet(scheduler, Random(1))
    interface = host.attach(Wire().ends[0], "10.0.0.1/24")
    got: list[bytes] = []
    host.transports[17] = type("Sink", (), {"receive": lambda self, packet: got.append(packet.tobytes())})()
    payload = bytes(range(256)) * data.draw(st.integers(1, 30)) + b"end"
    size = data.draw(st.integers(8, 3000))
    pieces = fragment(IP(src="10.0.0.2", dst="10.0.0.1", proto=17, id=3) / payload, fragsize=size)
    duplicates = data.draw(st.lists(st.sampled_from(pieces), max_size=5))
    order = data.draw(st.permutations(pieces))
    for packet in [*duplicates, *order]:
        interface.receive(Packet([bytes(ETHERNET / packet)]))
    # A duplicate that comes after the last missing piece begins a datagram of its own.
    assert got[0] == payload
    scheduler.advance(31)
    reassembly = host.families[4]._reassembly
    assert len(reassembly) == reassembly.memory == 0
    assert scheduler.next_event() is None or scheduler.next_event() > 31


@given(
    st.binary(max_size=5000),
    st.integers(68, 1500),
    st.sampled_from([0, 0x2000, 185]),
    st.sampled_from([b"", b"\x94\x04\0\0", b"\x07\x04\x04\0\x94\x04\0\0"]),
)
@settings(deadline=None)
def test_scapy_puts_ours_together(payload: bytes, mtu: int, word: int, options: bytes) -> None:
    header = bytearray(bytes(IP(src="10.0.0.1", dst="10.0.0.2", proto=99, id=9))[:20] + options)
    header[0] = 0x40 | len(header) // 4
    header[6:8] = word.to_bytes(2)
    place = (word & 0x1FFF) * 8
    got = b""
    made = [packet.tobytes() for packet in fragments(header, [payload[:100], payload[100:]], mtu)]
    for number, data in enumerate(made):
        packet = IP(data)
        assert len(data) == packet.len <= mtu
        assert packet.frag * 8 == place + len(got)
        assert bool(packet.flags.MF) == (number < len(made) - 1 or bool(word & 0x2000))
        again = packet.copy()
        del again.chksum
        assert IP(bytes(again)).chksum == packet.chksum
        kept = data[20 : packet.ihl * 4]
        assert (b"\x94\x04" in kept) == (b"\x94\x04" in options)  # router alert is copied
        assert (b"\x07\x04" in kept) == (b"\x07\x04" in options and not number)  # record route is not
        got += bytes(packet.payload)
    assert got == payload


def test_a_large_datagram_travels_between_hosts(network, sink) -> None:
    sender, receiver = network.host(), network.host()
    frames, _ = network.connect(sender, "10.0.0.1/24", receiver, "10.0.0.2/24", mtu=576)
    receiver.register(200, sink)
    payload = bytes(range(251)) * 200
    sender.path(THERE).send(Packet([payload[:9], memoryview(payload)[9:]]), 200, dont_fragment=False)
    network.settle()
    assert sink.payloads == [payload]
    assert max(map(len, frames.sent)) <= 590
    with pytest.raises(OSError, match="does not fit"):
        sender.path(THERE).send(Packet([payload]), 200)
    with pytest.raises(OSError, match="does not fit"):
        sender.path(THERE).send(Packet([bytes(65516)]), 200, dont_fragment=False)


def test_the_link_header_and_other_facts_stay_with_the_whole(receiver: Receiver, sink) -> None:
    receiver.receive([piece(8, b"B" * 8, False), piece(0, b"A" * 8, True)])
    (packet,) = sink.packets
    assert packet.tobytes() == b"A" * 8 + b"B" * 8
    assert (packet.source, packet.destination, packet.network) == (THERE, HERE, 14)
    header = IP(packet.buffers[0][14:])
    assert (header.len, header.frag, int(header.flags)) == (36, 0, 0)
    again = header.copy()
    del again.chksum
    assert IP(bytes(again)).chksum == header.chksum


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([piece(0, bytes(16), True), piece(8, bytes(16), True)], "overlap"),
        ([piece(8, bytes(16), True), piece(0, bytes(16), True)], "overlap"),
        ([piece(8, bytes(8), True), piece(0, bytes(24), True)], "overlap"),
        ([piece(0, bytes(16), True), piece(8, bytes(8), True)], "duplicate"),
        ([piece(8, bytes(8), False), piece(24, bytes(8), True)], "inconsistent"),
        ([piece(24, bytes(8), True), piece(8, bytes(8), False)], "inconsistent"),
        ([piece(8, bytes(8), False), piece(16, bytes(8), False)], "inconsistent"),
    ],
)
def test_pieces_that_do_not_fit(receiver: Receiver, sink, pieces: list[IP], reason: str) -> None:
    receiver.receive(pieces)
    assert receiver.host.counters[f"ip.fragment_{reason}"] == 1
    assert receiver.pending() == (reason == "duplicate")
    assert sink.packets == []


@pytest.mark.parametrize("bad", [piece(0, b"", True), piece(0, bytes(9), True), piece(65528, bytes(16), False)])
def test_impossible_pieces_are_dropped(receiver: Receiver, bad: IP) -> None:
    receiver.receive([bad])
    assert receiver.host.counters["ip.bad_fragment"] == 1
    assert receiver.pending() == 0


def test_what_does_not_come_in_time_is_given_up(receiver: Receiver) -> None:
    receiver.host.interfaces[0].neighbors.set(THERE, b"\2\0\0\0\0\2")
    receiver.receive([IP(bytes(piece(0, bytes(UDP(sport=1, dport=2)) + bytes(8), True)))])
    receiver.network.run(10)
    receiver.receive([piece(8, bytes(8), True, ident=8)])
    receiver.network.run(19.9)
    assert receiver.pending() == 2
    receiver.network.run(0.2)
    assert receiver.pending() == 1
    (error,) = receiver.sent
    assert (Ether(error)[ICMP].type, Ether(error)[ICMP].code) == (11, 1)
    receiver.network.run(10)
    assert receiver.pending() == 0
    assert len(receiver.sent) == 1  # nothing is said about a datagram whose first fragment never came
    assert receiver.host.counters["ip.reassembly_timeout"] == 2


def test_memory_is_bounded(network, sink) -> None:
    receiver = Receiver(network, sink, NetSettings(reassembly_memory=20_000))
    for ident in range(100):
        receiver.receive([piece(0, bytes(1000), True, ident=ident)])
        assert receiver.host.families[4]._reassembly.memory <= 20_000
    receiver.receive([piece(1000, b"tail", False, ident=99)])
    assert len(sink.packets) == 1
    assert receiver.host.counters["ip.reassembly_evicted"] > 80


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        (0b00, 0b00, 0b00),
        (0b10, 0b10, 0b10),
        (0b01, 0b01, 0b01),
        (0b10, 0b11, 0b11),
        (0b11, 0b01, 0b11),
        (0b11, 0b11, 0b11),
        (0b00, 0b11, None),
        (0b10, 0b00, None),
    ],
)
def test_a_mark_on_a_fragment_is_one_on_the_whole(
    receiver: Receiver, sink, first: int, second: int, whole: int | None
) -> None:
    """RFC 3168 §5.3."""
    pieces = [piece(8, b"B" * 8, False), piece(0, b"A" * 8, True)]
    for packet, codepoint in zip(pieces, (second, first), strict=True):
        packet.tos = 0x28 | codepoint
    receiver.receive(pieces)
    found = [packet.buffers[0][packet.network + 1] for packet in sink.packets]
    assert found == ([] if whole is None else [0x28 | whole])
    assert receiver.pending() == 0
    assert receiver.host.counters["ip.fragment_ecn"] == (whole is None)
