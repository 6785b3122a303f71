"""Three subnets in a row: forwarding, and what a router says when it cannot."""

from __future__ import annotations

import errno

import pytest
from netower.link import PARTIAL, VERIFIED, Offloads, Packet
from netower.net.address import parse
from netower.net.checksum import pseudo_header_sum
from netower.net.ping import EchoReply
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether

CLIENT, SERVER = parse("10.0.1.2"), parse("10.0.3.2")
ALL = Offloads.CHECKSUM | Offloads.TSO4


class Row:
    """client - first router - second router - server; the middle subnet is narrow and has no link-layer addresses."""

    def __init__(self, network, offloads: tuple[Offloads, Offloads, Offloads] = (ALL, ALL, ALL)) -> None:
        self.network = network
        self.client, self.first, self.second, self.server = (network.host() for _ in range(4))
        self.client_link, _ = network.connect(
            self.client, "10.0.1.2/24", self.first, "10.0.1.1/24", offloads=offloads[0]
        )
        self.middle, _ = network.connect(
            self.first, "10.0.2.1/30", self.second, "10.0.2.2/30", mtu=1400, ethernet=False, offloads=offloads[1]
        )
        self.last, self.server_link = network.connect(
            self.second, "10.0.3.1/24", self.server, "10.0.3.2/24", offloads=offloads[2]
        )
        self.client.routes.add("default", via="10.0.1.1")
        self.server.routes.add("default", via="10.0.3.1")
        self.first.routes.add("10.0.3.0/24", via="10.0.2.2")
        self.second.routes.add("10.0.1.0/24", via="10.0.2.1")
        self.first.forwarding = self.second.forwarding = True
        self.results: list[EchoReply] = []

    def ping(self, destination: bytes = SERVER, **arguments: int) -> object:
        self.client.ping(destination, self.results.append, **arguments)
        self.network.run(5)
        return self.results.pop()


@pytest.fixture
def row(network) -> Row:
    return Row(network)


def test_hops_are_counted_down(row: Row) -> None:
    reply = row.ping()
    assert (reply.source, reply.hop_limit, reply.size) == (SERVER, 62, 56)
    for frame in (row.middle.sent[0], next(frame[14:] for frame in row.last.sent if frame[12:14] == b"\x08\0")):
        again = IP(frame).copy()
        del again.chksum
        assert IP(bytes(again)).chksum == IP(frame).chksum


@pytest.mark.parametrize(("hops", "reporter"), [(1, "10.0.1.1"), (2, "10.0.2.2")])
def test_a_packet_that_comes_too_far_is_reported_hop_by_hop(row: Row, hops: int, reporter: str) -> None:
    failure = row.ping(hop_limit=hops)
    assert (failure.errno, failure.hard, failure.reporter) == (errno.EHOSTUNREACH, False, parse(reporter))
    assert row.ping(hop_limit=3).source == SERVER


def test_no_route_and_no_neighbor(row: Row) -> None:
    failure = row.ping(parse("10.0.9.9"))
    assert (failure.errno, failure.reporter) == (errno.ENETUNREACH, parse("10.0.1.1"))
    failure = row.ping(parse("10.0.3.99"))
    assert (failure.errno, failure.reporter) == (errno.EHOSTUNREACH, parse("10.0.2.2"))
    assert row.second.counters["neighbor.failed"] == 1


def test_without_forwarding_nothing_passes(row: Row) -> None:
    row.first.forwarding = False
    assert row.ping().errno == errno.ETIMEDOUT
    assert row.first.counters["ip.not_ours"] == 1


def test_the_path_mtu_is_found(row: Row) -> None:
    failure = row.ping(size=1472, dont_fragment=True)
    assert (failure.errno, failure.mtu) == (errno.EMSGSIZE, 1400)
    assert row.client.path(SERVER).mtu == 1400
    assert row.ping(size=1372, dont_fragment=True).size == 1372


def test_a_router_fragments_what_may_be_fragmented(row: Row) -> None:
    reply = row.ping(size=4000)
    assert reply.size == 4000
    assert max(map(len, row.middle.sent)) <= 1400
    assert row.server.counters["ip.reassembled"] == 1


def tcp_packet(size: int, mss: int) -> Packet:
    header = bytearray(bytes(TCP(sport=1, dport=2, seq=1000, flags="PA"))[:20])
    header[16:18] = pseudo_header_sum(CLIENT, SERVER, 6, size + 20).to_bytes(2)
    packet = Packet([header, bytes(range(256)) * (size // 256)], checksum=PARTIAL, segment_size=mss)
    packet.checksum_offset = 16
    return packet


def test_a_large_packet_stays_whole_through_links_that_can(row: Row, sink) -> None:
    row.server.register(6, sink)
    row.client.path(SERVER).send(tcp_packet(51200, 1300), 6)
    row.network.settle()
    (packet,) = sink.packets
    assert (len(packet), packet.segment_size, packet.checksum) == (51220, 1300, PARTIAL)
    frame = packet.buffers[0]
    assert packet.checksum_start == packet.offset == 34
    assert int.from_bytes(frame[50:52]) == pseudo_header_sum(CLIENT, SERVER, 6, 51220)


@pytest.mark.parametrize("offloads", [(ALL, Offloads.NONE, ALL), (ALL, ALL, Offloads.NONE), (Offloads.NONE,) * 3])
def test_a_large_packet_is_cut_where_a_link_cannot(network, sink, offloads) -> None:
    row = Row(network, offloads)
    row.server.register(6, sink)
    row.client.path(SERVER).send(tcp_packet(51200, 1300), 6)
    row.network.settle()
    assert len(sink.packets) == 40
    assert b"".join(payload[20:] for payload in sink.payloads) == bytes(range(256)) * 200
    for packet in sink.packets:
        ours = IP(packet.buffers[0][14:])
        again = ours.copy()
        del again.chksum, again[TCP].chksum
        again = IP(bytes(again))
        assert (ours.chksum, ours[TCP].chksum) == (again.chksum, again[TCP].chksum)


def test_a_large_packet_that_was_verified_is_opened_again(row: Row, sink) -> None:
    """As from a link that coalesces what it receives, and has checked the sums."""
    row.server.register(6, sink)
    frame = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01") / IP(src="10.0.1.2", dst="10.0.3.2")
    packet = Packet([bytes(frame / TCP(sport=1, dport=2, seq=5) / bytes(5000))], checksum=VERIFIED, segment_size=1000)
    row.first.interfaces[0].receive(packet)
    row.network.settle()
    assert [len(packet) for packet in sink.packets] == [5020]
    assert sink.packets[0].checksum == PARTIAL
    assert int.from_bytes(sink.packets[0].buffers[0][50:52]) == pseudo_header_sum(CLIENT, SERVER, 6, 5020)


def test_segments_too_large_for_the_next_link_are_reported(row: Row, sink) -> None:
    row.client.register(6, sink)
    row.client.path(SERVER).send(tcp_packet(51200, 1460), 6)
    row.network.settle()
    assert [(failure.errno, failure.mtu) for failure in sink.failures] == [(errno.EMSGSIZE, 1400)]
    assert row.first.counters["forward.fragmentation_needed"] == 1


def test_segments_that_may_be_fragmented_are(row: Row, sink) -> None:
    row.server.register(6, sink)
    row.client.path(SERVER).send(tcp_packet(5120, 1460), 6, dont_fragment=False)
    row.network.settle()
    assert b"".join(payload[20:] for payload in sink.payloads) == bytes(range(256)) * 20
    assert row.server.counters["ip.reassembled"] == 3


@pytest.mark.parametrize(
    ("ethernet", "packet", "reason"),
    [
        ("ff:ff:ff:ff:ff:ff", IP(src="10.0.1.2", dst="10.0.3.2") / UDP(), "forward.link_broadcast"),
        ("02:00:00:00:00:02", IP(src="169.254.1.2", dst="10.0.3.2") / UDP(), "forward.martian"),
        ("02:00:00:00:00:02", IP(src="10.0.1.2", dst="169.254.3.2") / UDP(), "forward.martian"),
        ("02:00:00:00:00:02", IP(src="0.0.0.0", dst="10.0.3.2") / UDP(), "ip.martian_source"),
        ("02:00:00:00:00:02", IP(src="10.0.1.2", dst="127.0.0.1") / UDP(), "ip.martian_destination"),
        ("02:00:00:00:00:03", IP(src="10.0.1.2", dst="10.0.3.2") / UDP(), "link.other_host"),
        (
            "02:00:00:00:00:02",
            IP(src="10.0.1.2", dst="10.0.3.2", ttl=1) / ICMP(type=3) / bytes(28),
            "icmp.not_reported",
        ),
    ],
)
def test_what_is_not_forwarded(row: Row, ethernet: str, packet: IP, reason: str) -> None:
    row.middle.sent.clear()
    frame = Ether(dst=ethernet, src="02:00:00:00:00:01") / packet
    row.first.interfaces[0].receive(Packet([bytes(frame)]))
    row.network.run(5)
    assert row.middle.sent == []
    assert row.first.counters[reason] == 1


def test_offload_fields_that_make_no_sense_are_dropped(row: Row) -> None:
    for kind, data, start, size in ((17, bytes(100), 6, 30), (6, bytes(20), 16, 10), (17, bytes(7), 6, 0)):
        frame = Ether(dst="02:00:00:00:00:02") / IP(src="10.0.1.2", dst="10.0.3.2", proto=kind) / data
        packet = Packet([bytes(frame)], checksum=PARTIAL, segment_size=size)
        packet.checksum_offset = start
        row.first.interfaces[0].receive(packet)
    assert row.first.counters["forward.malformed"] == 3


def test_a_router_answers_on_all_its_addresses(row: Row) -> None:
    assert row.ping(parse("10.0.2.1")).source == parse("10.0.2.1")
