"""Interfaces: which frames are taken, and that none whatever does harm."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from netower.link import PARTIAL, UNVERIFIED, VERIFIED, Packet, Scheduler, Wire
from netower.net.address import parse
from netower.net.internet import Internet
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

US, PEER = "02:00:00:00:00:01", "02:00:00:00:00:02"
THERE = parse("10.0.0.2")


class Tolerant:
    """A transport that looks at all of what it gets."""

    def receive(self, packet: Packet) -> None:
        assert len(packet.view()) == packet.end - packet.offset == len(packet)
        assert 0 <= packet.network < packet.offset <= packet.end

    def receive_failure(self, failure) -> None:
        assert len(failure.quote) >= 8

    def vouches(self, source, destination, quote) -> bool:
        return True


def hosts() -> list[Internet]:
    """A router on Ethernet, and one on a link without addresses, which sees the packets of the frames."""
    made = []
    for ethernet in (True, False):
        host = Internet(Scheduler(), Random(0))
        host.attach(Wire(ethernet=ethernet).ends[0], "10.0.0.1/24")
        host.attach(Wire(ethernet=ethernet, mtu=100).ends[0], "10.0.1.1/24")
        host.forwarding = True
        host.register(6, Tolerant())
        host.register(17, Tolerant())
        made.append(host)
    return made


FROM = Ether(src=PEER, dst=US)
INNER = IP(src="10.0.0.1", dst="10.0.0.2") / TCP()
FRAMES = [
    bytes(frame)
    for frame in (
        FROM / IP(src="10.0.0.2", dst="10.0.0.1") / UDP() / bytes(30),
        FROM / IP(src="10.0.0.2", dst="10.0.0.1") / TCP() / bytes(30),
        FROM / IP(src="10.0.0.2", dst="10.0.0.1", id=1, flags="MF") / UDP() / bytes(32),
        FROM / IP(src="10.0.0.2", dst="10.0.0.1", id=1, frag=5) / bytes(32),
        FROM / IP(src="10.0.0.2", dst="10.0.1.9") / TCP() / bytes(200),
        FROM / IP(src="10.0.0.2", dst="10.0.1.9", flags="DF") / UDP() / bytes(200),
        FROM / IP(src="10.0.0.2", dst="9.9.9.9", ttl=1) / UDP(),
        FROM / IP(src="10.0.0.2", dst="10.0.0.1") / ICMP() / bytes(30),
        FROM / IP(src="10.0.0.2", dst="10.0.0.1") / ICMP(type=3, code=4, nexthopmtu=99) / INNER,
        FROM / IP(src="10.0.0.2", dst="10.0.0.1", options=[]) / ICMP(type=11) / INNER,
        FROM / ARP(op=1, hwsrc=PEER, psrc="10.0.0.2", pdst="10.0.0.1"),
        FROM / ARP(op=2, hwsrc=PEER, psrc="10.0.0.2", pdst="10.0.0.1", hwdst=US),
    )
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sound frame with some bytes changed, and cut or lengthened; its IPv4 checksum may be right all the same."""
    frame = bytearray(draw(st.sampled_from(FRAMES)))
    for position, value in draw(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=6)):
        if position < len(frame):
            frame[position] = value
    if draw(st.booleans()) and len(frame) >= 34:
        size = (frame[14] & 15) * 4
        frame[24:26] = b"\0\0"
        header = bytes(frame[14 : 14 + size])
        frame[24:26] = ((-int.from_bytes(header)) % 0xFFFF).to_bytes(2)
    frame = frame[: draw(st.integers(0, len(frame)))] if draw(st.booleans()) else frame
    return bytes(frame) + draw(st.binary(max_size=20))


@given(
    st.lists(
        st.tuples(
            st.one_of(st.binary(max_size=100), mutated()),
            st.sampled_from([UNVERIFIED, VERIFIED, PARTIAL]),
            st.sampled_from([0, 0, 1, 40, 5000]),
            st.integers(0, 80),
        ),
        max_size=20,
    )
)
@example([(frame, UNVERIFIED, 0, 0) for frame in FRAMES])
@example([(b"", UNVERIFIED, 0, 0)])
@settings(deadline=None, max_examples=300)
def test_no_frame_whatever_raises(frames: list[tuple[bytes, int, int, int]]) -> None:
    ethernet, bare = hosts()
    for frame, checksum, segment_size, offset in frames:
        for host, data in ((ethernet, frame), (bare, frame[14:])):
            packet = Packet([data], checksum=checksum, segment_size=segment_size)
            packet.checksum_offset = offset
            host.interfaces[0].receive(packet)
            host.scheduler.flush()
    for host in (ethernet, bare):
        while (when := host.scheduler.next_event()) is not None and when < 100:
            host.scheduler.advance(when)
            host.scheduler.flush()
        assert host.interfaces[0].rx_packets == len(frames)
        assert len(host.families[4]._reassembly) == 0


@pytest.fixture
def host(network, sink) -> Internet:
    host = network.host()
    network.attach(host, Wire().ends[0], "10.0.0.1/24")
    host.register(17, sink)
    return host


@pytest.mark.parametrize(
    ("destination", "taken"),
    [(US, True), ("ff:ff:ff:ff:ff:ff", True), ("01:00:5e:00:00:01", True), (PEER, False), ("01:00:5e:00:00:09", False)],
)
def test_only_frames_for_us_are_taken(host: Internet, sink, destination: str, taken: bool) -> None:
    frame = Ether(src=PEER, dst=destination) / IP(src="10.0.0.2", dst="224.0.0.1") / UDP()
    host.interfaces[0].receive(Packet([bytes(frame)]))
    assert len(sink.packets) == taken
    assert host.counters["link.other_host"] == (not taken)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "link.other_host"),
        (bytes(FROM)[:12], "link.short"),
        (bytes(Ether(src=PEER, dst=US, type=0x9999)) + b"data", "link.unknown_type"),
        (bytes(FROM / IP(src="10.0.0.2", dst="10.0.0.1"))[:33], "ip.short"),
        (bytes(FROM / ARP())[:41], "arp.short"),
        (bytes(FROM / ARP())[:15] + b"\x06" + bytes(FROM / ARP())[16:], "arp.malformed"),
        (bytes(FROM / ARP(op=3)), "arp.malformed"),
        (bytes(FROM / ARP(hwsrc="ff:ff:ff:ff:ff:ff")), "arp.malformed"),
        (bytes(FROM / ARP(hwsrc=US)), "arp.own"),
    ],
)
def test_dropped_and_counted(host: Internet, frame: bytes, reason: str) -> None:
    host.interfaces[0].receive(Packet([frame]))
    assert host.counters == {reason: 1}
    assert (host.interfaces[0].rx_packets, host.interfaces[0].rx_bytes) == (1, len(frame))


def test_what_reaches_the_transport(host: Internet, sink) -> None:
    frame = bytes(FROM / IP(src="10.0.0.2", dst="10.0.0.1", ttl=9) / UDP() / b"data") + b"trailing padding"
    host.interfaces[0].receive(Packet([frame]))
    (packet,) = sink.packets
    assert packet.tobytes()[8:] == b"data"
    assert packet.buffers[0] is frame
    assert (packet.source, packet.destination, packet.hop_limit) == (THERE, parse("10.0.0.1"), 9)
    assert (packet.network, packet.offset, packet.interface) == (14, 34, host.interfaces[0])


def test_a_link_without_addresses_carries_bare_packets(network, sink) -> None:
    first, second = network.host(), network.host()
    sent, _ = network.connect(first, "10.0.0.1/30", second, "10.0.0.2/30", ethernet=False)
    second.register(99, sink)
    first.path(THERE).send(Packet([b"bare"]), 99)
    network.settle()
    assert sink.payloads == [b"bare"]
    assert IP(sent.sent[0]).dst == "10.0.0.2"
    assert len(sent.sent) == 1  # no ARP there
    second.interfaces[0].receive(Packet([b"\x60" + bytes(39)]))
    second.interfaces[0].receive(Packet([b""]))
    assert second.counters["link.unknown_type"] == second.counters["link.short"] == 1


def test_counters_of_what_was_sent(host: Internet) -> None:
    interface = host.interfaces[0]
    interface.neighbors.set(THERE, b"\2\0\0\0\0\2")
    before = interface.tx_packets, interface.tx_bytes
    host.path(THERE).send(Packet([bytes(100)]), 99)
    assert (interface.tx_packets, interface.tx_bytes) == (before[0] + 1, before[1] + 134)
