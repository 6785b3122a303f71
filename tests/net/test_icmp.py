"""ICMP: echo, errors in and out, and what must never be answered."""

from __future__ import annotations

import errno

import pytest
from netower.link import Loopback, Packet, Wire
from netower.net.address import parse
from netower.net.checksum import checksum
from netower.net.internet import Internet
from netower.net.ping import EchoReply
from netower.net.settings import NetSettings
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.l2 import Ether
from scapy.packet import Raw

HERE, THERE = parse("10.0.0.1"), parse("10.0.0.2")
ETHERNET = Ether(type=0x0800, dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
TO_US = IP(src="10.0.0.2", dst="10.0.0.1")


class Station:
    """A host with one interface, fed by hand."""

    def __init__(self, network, settings: NetSettings | None = None) -> None:
        self.network = network
        self.host: Internet = network.host(settings)
        self._sent = network.attach(self.host, Wire().ends[0], "10.0.0.1/24").sent
        self.host.interfaces[0].neighbors.set(THERE, b"\2\0\0\0\0\2")
        self._sent.clear()

    def receive(self, packet: IP, ethernet: Ether = ETHERNET) -> list[IP]:
        """Feed a packet; returns what is sent for it."""
        self.host.interfaces[0].receive(Packet([bytes(ethernet / packet)]))
        answers = [Ether(frame)[IP] for frame in self._sent]
        self._sent.clear()
        for answer in answers:
            again = answer.copy()
            del again.chksum, again[ICMP].chksum
            assert bytes(IP(bytes(again))) == bytes(answer)
        return answers


@pytest.fixture
def station(network) -> Station:
    return Station(network)


def test_an_echo_request_is_answered_with_its_own_data(station: Station) -> None:
    (answer,) = station.receive(IP(src="10.0.0.2", dst="10.0.0.1", tos=0x28) / ICMP(id=7, seq=9) / b"some data")
    assert (answer.src, answer.dst, answer.tos, answer.ttl) == ("10.0.0.1", "10.0.0.2", 0x28, 64)
    assert (answer[ICMP].type, answer[ICMP].id, answer[ICMP].seq) == (0, 7, 9)
    assert bytes(answer[ICMP].payload) == b"some data"
    (answer,) = station.receive(TO_US / ICMP(id=0, seq=0))  # the sum of the reply is zero
    assert answer[ICMP].chksum == 0xFFFF


def test_options_are_skipped(station: Station) -> None:
    options = [IPOption(b"\x01"), IPOption(b"\x94\x04\0\0")]
    assert len(station.receive(IP(src="10.0.0.2", dst="10.0.0.1", options=options) / ICMP() / b"x")) == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (b"\x83\x07\x04\x0a\x00\x00\x09\x00", "ip.source_route"),
        (b"\x89\x07\x04\x0a\x00\x00\x09\x00", "ip.source_route"),
        (b"\x94\x00\x00\x00", "ip.bad_options"),
        (b"\x94\x09\x00\x00", "ip.bad_options"),
        (b"\x01\x01\x01\x94", "ip.bad_options"),
    ],
)
def test_options_that_are_refused(station: Station, options: bytes, reason: str) -> None:
    packet = IP(src="10.0.0.2", dst="10.0.0.1", ihl=5 + len(options) // 4, len=20 + len(options) + 8, proto=1)
    data = bytearray(bytes(packet)[:20] + options + bytes(ICMP()))
    data[10:12] = bytes(2)
    data[10:12] = checksum([data[: 20 + len(options)]]).to_bytes(2)
    assert station.receive(Raw(bytes(data))) == []
    assert station.host.counters[reason] == 1


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (TO_US / ICMP(chksum=1), "icmp.bad_checksum"),
        (TO_US / ICMP(type=5), "icmp.redirect"),
        (TO_US / ICMP(type=77), "icmp.ignored"),
        (TO_US / ICMP(type=4), "icmp.ignored"),  # source quench: RFC 9293 §3.9.2.2, MUST-55
        (IP(src="10.0.0.2", dst="10.0.0.1", proto=1) / b"\x08\0\xf7", "icmp.short"),
        (IP(src="10.0.0.2", dst="10.0.0.255") / ICMP(), "icmp.echo_broadcast"),
        (IP(src="10.0.0.2", dst="224.0.0.1") / ICMP(), "icmp.echo_broadcast"),
        (TO_US / ICMP(type=0, id=1, seq=1), "icmp.unexpected_reply"),
        (TO_US / ICMP(type=3, code=3) / IP(src="10.0.0.77", dst="10.0.0.2") / UDP(), "icmp.not_ours"),
        (TO_US / ICMP(type=3, code=3) / IP(src="10.0.0.1", dst="10.0.0.2", frag=9, proto=17) / UDP(), "icmp.not_ours"),
        (TO_US / ICMP(type=3, code=3) / (b"E" * 19), "icmp.malformed"),
        (TO_US / ICMP(type=3, code=3) / bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP())[:27], "icmp.malformed"),
        (TO_US / ICMP(type=11) / bytes(40), "icmp.malformed"),
        (IP(src="10.0.0.2", dst="10.0.0.1", chksum=5) / ICMP(), "ip.bad_checksum"),
        (IP(src="10.0.0.2", dst="10.0.0.1", len=18) / ICMP(), "ip.malformed"),
        (IP(src="10.0.0.2", dst="10.0.0.1", len=180) / ICMP(), "ip.truncated"),
        (IP(src="10.0.0.2", dst="10.0.0.1", ihl=4) / ICMP(), "ip.malformed"),
        (IP(src="10.0.0.2", dst="10.0.0.1", version=5) / ICMP(), "ip.malformed"),
        (IP(src="10.0.0.1", dst="10.0.0.1") / ICMP(), "ip.martian_source"),
        (IP(src="127.0.0.1", dst="10.0.0.1") / ICMP(), "ip.martian_source"),
        (IP(src="224.0.0.1", dst="10.0.0.1") / ICMP(), "ip.martian_source"),
        (IP(src="10.0.0.255", dst="10.0.0.1") / ICMP(), "ip.martian_source"),
        (IP(src="255.255.255.255", dst="10.0.0.1") / ICMP(), "ip.martian_source"),
        (IP(src="0.0.0.0", dst="10.0.0.1") / ICMP(), "ip.martian_source"),
        (IP(src="10.0.0.2", dst="127.0.0.1") / ICMP(), "ip.martian_destination"),
        (IP(src="10.0.0.2", dst="240.0.0.1") / ICMP(), "ip.martian_destination"),
        (IP(src="10.0.0.2", dst="224.0.0.9") / ICMP(), "ip.not_member"),
        (IP(src="10.0.0.2", dst="10.0.0.9") / ICMP(), "ip.not_ours"),
        # Nothing is said about errors, broadcasts, multicasts and fragments.
        (IP(src="10.0.0.2", dst="10.0.0.255", proto=99) / b"x", "icmp.not_reported"),
        (IP(src="10.0.0.2", dst="255.255.255.255", proto=99) / b"x", "icmp.not_reported"),
        (IP(src="10.0.0.2", dst="224.0.0.1", proto=99) / b"x", "icmp.not_reported"),
        (IP(src="0.0.0.0", dst="255.255.255.255", proto=99) / b"x", "icmp.not_reported"),
    ],
)
def test_dropped_and_counted(station: Station, packet: IP, reason: str) -> None:
    assert station.receive(packet) == []
    assert station.host.counters[reason] == 1


def test_a_link_layer_broadcast_gets_no_error(station: Station) -> None:
    broadcast = Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:02")
    assert station.receive(TO_US.copy() / UDP(dport=1), broadcast) == []
    assert station.host.counters["icmp.not_reported"] == 1


def test_an_unknown_protocol_is_reported_with_a_quote(station: Station) -> None:
    packet = IP(src="10.0.0.2", dst="10.0.0.1", proto=99, id=5) / bytes(1000)
    (answer,) = station.receive(packet)
    assert (answer[ICMP].type, answer[ICMP].code, answer.src, answer.tos) == (3, 2, "10.0.0.1", 0xC0)
    assert answer.len == 576
    assert bytes(answer[ICMP])[8:] == bytes(packet)[:548]


def test_errors_are_rate_limited(station: Station) -> None:
    packet = TO_US / UDP(dport=1) / b"x"
    assert sum(len(station.receive(packet)) for _ in range(200)) == 50
    assert station.host.counters["icmp.rate_limited"] == 150
    station.network.run(0.01)
    assert sum(len(station.receive(packet)) for _ in range(200)) == 10


@pytest.mark.parametrize(
    ("kind", "code", "expected", "hard"),
    [
        (3, 0, errno.ENETUNREACH, False),
        (3, 1, errno.EHOSTUNREACH, False),
        (3, 2, errno.ENOPROTOOPT, True),
        (3, 3, errno.ECONNREFUSED, True),
        (3, 5, errno.EOPNOTSUPP, False),
        (3, 13, errno.EHOSTUNREACH, True),
        (11, 0, errno.EHOSTUNREACH, False),
        (12, 0, errno.EPROTO, True),
    ],
)
def test_errors_reach_the_transport(station: Station, sink, kind: int, code: int, expected: int, hard: bool) -> None:
    station.host.register(6, sink)
    quoted = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=5, dport=6, seq=7)
    station.receive(TO_US / ICMP(type=kind, code=code) / quoted)
    (failure,) = sink.failures
    assert (failure.errno, failure.hard, failure.mtu) == (expected, hard, 0)
    assert (failure.source, failure.destination, failure.reporter) == (HERE, THERE, THERE)
    assert failure.quote == bytes(quoted)[20:]


def test_a_smaller_path_mtu_is_believed_for_ten_minutes(station: Station, sink) -> None:
    station.host.register(6, sink)
    path = station.host.path(THERE)

    def needed(mtu: int, size: int = 1500) -> int:
        quoted = IP(src="10.0.0.1", dst="10.0.0.2", len=size) / TCP()
        station.receive(TO_US / ICMP(type=3, code=4, nexthopmtu=mtu) / quoted)
        assert sink.failures[-1].errno == errno.EMSGSIZE
        return sink.failures[-1].mtu

    assert needed(1400) == path.mtu == 1400
    assert needed(1450) == path.mtu == 1400  # no news
    with pytest.raises(OSError, match="does not fit"):
        path.send(Packet([bytes(1381)]), 6)
    assert needed(700) == path.mtu == 700
    assert needed(0) == path.mtu == 552  # an old router: RFC 1191 §5
    assert needed(68) == path.mtu == 552  # as far as anybody is believed
    station.host.routes.add("default", via="10.0.0.2")
    assert not path.valid
    path = station.host.path(THERE)
    assert path.mtu == 552
    station.network.run(599)
    assert path.mtu == 552
    station.network.run(2)
    assert path.mtu == 1500
    quoted = IP(src="10.0.0.1", dst="9.9.9.9") / TCP()
    station.receive(TO_US / ICMP(type=3, code=4, nexthopmtu=600) / quoted)
    assert station.host.path(parse("9.9.9.9")).mtu == 1500  # we never talked to that one


class TestPing:
    def test_reply(self, network) -> None:
        first, second = network.host(), network.host()
        network.connect(first, "10.0.0.1/24", second, "10.0.0.2/24")
        results: list[object] = []
        first.ping(THERE, results.append, size=100)
        first.ping(THERE, results.append, size=4000)
        network.settle()
        assert results == [EchoReply(THERE, 0.0, 64, 100, 1), EchoReply(THERE, 0.0, 64, 4000, 2)]

    @pytest.mark.parametrize("loopback", [False, True])
    def test_ourselves(self, network, loopback: bool) -> None:
        host = network.host()
        link = network.attach(host, Wire().ends[0], "10.0.0.1/24")
        link.sent.clear()
        if loopback:
            network.attach(host, Loopback(), "127.0.0.1/8")
        results: list[EchoReply] = []
        host.ping(HERE, results.append)
        if loopback:
            host.ping(parse("127.1.2.3"), results.append)
        assert results == []  # delivery waits for the end of the batch
        network.settle()
        assert [reply.source for reply in results] == [HERE, parse("127.1.2.3")][: 1 + loopback]
        assert link.sent == []

    def test_failures(self, network) -> None:
        first, second = network.host(), network.host()
        frames, _ = network.connect(first, "10.0.0.1/24", second, "10.0.0.2/24")
        results: list[object] = []
        first.ping(parse("10.0.0.9"), results.append)
        network.run(5)
        frames.lost = True
        first.interfaces[0].neighbors.set(THERE, b"\2\0\0\0\0\2")
        first.ping(THERE, results.append, timeout=2)
        first.ping(THERE, results.append, timeout=2).cancel()
        network.run(3)
        assert [failure.errno for failure in results] == [errno.EHOSTUNREACH, errno.ETIMEDOUT]
        with pytest.raises(OSError) as caught:
            first.ping(parse("9.9.9.9"), results.append)
        assert caught.value.errno == errno.ENETUNREACH
        with pytest.raises(OSError) as caught:
            first.ping(THERE, results.append, size=1473, dont_fragment=True)
        assert caught.value.errno == errno.EMSGSIZE
        network.run(10)
        assert len(results) == 2

    def test_a_broadcast_is_answered_where_that_is_wanted(self, network) -> None:
        settings = NetSettings(icmp_echo_broadcast=True)
        first, second = network.host(), network.host(settings)
        network.connect(first, "10.0.0.1/24", second, "10.0.0.2/24")
        results: list[EchoReply] = []
        first.ping(parse("10.0.0.255"), results.append)
        network.settle()
        assert [reply.source for reply in results] == [THERE]
