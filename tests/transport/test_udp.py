"""UDP between hosts on wires in memory, and on one host's loopback."""

from __future__ import annotations

import errno
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netower.link import PARTIAL, UNVERIFIED, Packet, Scheduler
from netower.link.loopback import Loopback
from netower.link.wire import Wire
from netower.net.address import ANY4, BROADCAST4, parse
from netower.net.checksum import checksum
from netower.net.failure import Failure
from netower.net.internet import Internet
from netower.net.protocols import UDP
from netower.transport import udp as module
from netower.transport.ports import PortRegistry
from netower.transport.udp import FRAGMENT, HEADER, MAX_PAYLOAD, REFUSE, Udp, UdpEndpoint, UdpSettings

LOCAL = parse("127.0.0.1")
ONE = parse("10.0.0.1")
TWO = parse("10.0.0.2")
SUBNET = parse("10.0.0.255")


class Machine:
    """A host that has UDP and nothing else."""

    def __init__(self, scheduler: Scheduler, settings: UdpSettings | None = None) -> None:
        self.internet = Internet(scheduler, Random(1))
        self.udp = Udp(self.internet, PortRegistry(Random(2)), settings)
        self.internet.register(UDP, self.udp)

    def endpoint(self, port: int = 0, address: bytes = ANY4) -> UdpEndpoint:
        endpoint = self.udp.open()
        endpoint.bind(address, port)
        return endpoint


class World:
    """Two machines on one wire, each with a loopback."""

    def __init__(self, settings: UdpSettings | None = None) -> None:
        self.scheduler = Scheduler()
        self.machines = Machine(self.scheduler, settings), Machine(self.scheduler, settings)
        for machine, end, address in zip(self.machines, Wire().ends, ("10.0.0.1/24", "10.0.0.2/24"), strict=True):
            machine.internet.attach(Loopback(), "127.0.0.1/8")
            machine.internet.attach(end, address)
        self.settle()

    def settle(self) -> None:
        """Move packets until all is quiet."""
        moved = True
        while moved:
            moved = False
            self.scheduler.flush()
            for machine in self.machines:
                for interface in machine.internet.interfaces:
                    while packet := interface.link.receive_packet():
                        interface.receive(packet)
                        moved = True


@pytest.fixture
def world() -> World:
    return World()


def refused(number: int) -> pytest.RaisesExc[OSError]:
    return pytest.raises(OSError, check=lambda error: error.errno == number)


def texts(endpoint: UdpEndpoint) -> list[bytes]:
    return [bytes(payload) for payload, _ in iter(endpoint.receive, None)]


def arrived(world: World, data: bytes, destination: bytes = TWO, source: bytes = ONE) -> None:
    """Hand a UDP packet to the second machine's UDP, as IP would."""
    packet = Packet([bytes(20) + data])
    packet.offset, packet.network = 20, 0
    packet.source, packet.destination = source, destination
    packet.hop_limit = 64
    packet.interface = world.machines[1].internet.interfaces[1]
    world.machines[1].udp.receive(packet)


# the header


@given(st.tuples(*[st.integers(0, 65535)] * 4))
def test_both_readings_of_the_header_agree(fields: tuple[int, int, int, int]) -> None:
    names = "source", "destination", "length", "checksum"
    wire = HEADER.build(dict(zip(names, fields, strict=True)))
    assert wire == module._HEADER.pack(*fields)
    assert tuple(HEADER.parse(wire)[name] for name in names) == module._HEADER.unpack(wire) == fields


@given(st.binary(max_size=64), st.integers(1, 65535), st.integers(1, 65535))
def test_scapy_agrees_about_the_whole_datagram(payload: bytes, source: int, destination: int) -> None:
    from scapy.layers.inet import IP
    from scapy.layers.inet import UDP as ScapyUDP

    world = World()
    one = world.machines[0].endpoint(source)
    frames: list[bytes] = []
    interface = world.machines[0].internet.interfaces[1]
    send_packet = interface.link.send_packet
    one.send([payload], (TWO, destination))
    world.settle()  # ARP
    one_end, two_end = interface.link, world.machines[1].internet.interfaces[1].link
    assert send_packet == one_end.send_packet
    one.send([payload], (TWO, destination))
    world.scheduler.flush()
    while packet := two_end.receive_packet():
        frames.append(packet.tobytes()[14:])
    expected = IP(src="10.0.0.1", dst="10.0.0.2") / ScapyUDP(sport=source, dport=destination) / payload
    assert frames[0][20:] == bytes(expected)[20:]


# arriving


def test_a_datagram_arrives_with_its_sender(world: World) -> None:
    one, two = world.machines[0].endpoint(1000), world.machines[1].endpoint(2000)
    assert one.send([b"hel", bytearray(b"lo")], (TWO, 2000)) == 5
    world.settle()
    datagram = two.receive()
    assert datagram == (b"hello", (ONE, 1000))
    assert isinstance(datagram[0], memoryview)
    assert two.receive() is None


def test_the_observer_is_called_once_per_batch(world: World) -> None:
    calls: list[int] = []
    one, two = world.machines[0].endpoint(1000, LOCAL), world.machines[0].endpoint(2000)
    two.observer = lambda: calls.append(len(two.received))
    one.send([b"first"], (LOCAL, 2000))
    world.settle()
    one.send([b"second"], (LOCAL, 2000))
    world.settle()
    assert calls == [1, 2]


def test_the_nearest_endpoint_gets_it(world: World) -> None:
    one = world.machines[0].endpoint(1000)
    machine = world.machines[1]
    anywhere = machine.udp.open()
    bound = machine.udp.open()
    connected = machine.udp.open()
    stranger = machine.udp.open()
    for endpoint, address in (anywhere, ANY4), (bound, TWO), (connected, TWO), (stranger, TWO):
        endpoint.reuse = True
        endpoint.bind(address, 53)
    connected.connect(ONE, 1000)
    stranger.connect(ONE, 1001)
    one.send([b"x"], (TWO, 53))
    world.settle()
    assert [len(e.received) for e in (anywhere, bound, connected, stranger)] == [0, 0, 1, 0]
    connected.close()
    one.send([b"x"], (TWO, 53))
    world.settle()
    assert [len(e.received) for e in (anywhere, bound, stranger)] == [0, 1, 0]
    bound.close()
    one.send([b"x"], (TWO, 53))
    world.settle()
    assert [len(e.received) for e in (anywhere, stranger)] == [1, 0]


def test_of_several_that_share_a_port_the_last_one_gets_it(world: World) -> None:
    one = world.machines[0].endpoint()
    first, last = world.machines[1].udp.open(), world.machines[1].udp.open()
    for endpoint in first, last:
        endpoint.reuse = True
        endpoint.bind(ANY4, 53)
    one.send([b"x"], (TWO, 53))
    world.settle()
    assert (len(first.received), len(last.received)) == (0, 1)


def test_reuseport_spreads_senders_and_keeps_each_at_one_endpoint(world: World) -> None:
    group = [world.machines[1].udp.open() for _ in range(4)]
    for endpoint in group:
        endpoint.reuseport = True
        endpoint.bind(ANY4, 53)
    for _ in range(40):
        sender = world.machines[0].endpoint()
        for _ in range(3):
            sender.send([b"x"], (TWO, 53))
            world.settle()
    counts = [len(endpoint.received) for endpoint in group]
    assert sum(counts) == 120
    assert all(count and count % 3 == 0 for count in counts)


@pytest.mark.parametrize("destination", [SUBNET, BROADCAST4])
def test_a_broadcast_reaches_everyone_on_the_port(world: World, destination: bytes) -> None:
    machine = world.machines[1]
    anywhere, on_broadcast, on_address = machine.udp.open(), machine.udp.open(), machine.udp.open()
    for endpoint, address in (anywhere, ANY4), (on_broadcast, destination), (on_address, TWO):
        endpoint.reuse = True
        endpoint.bind(address, 67)
    one = world.machines[0].endpoint(68)
    with refused(errno.EACCES):
        one.send([b"x"], (destination, 67))
    one.broadcast = True
    one.send([b"x"], (destination, 67))
    world.settle()
    assert [len(e.received) for e in (anywhere, on_broadcast, on_address)] == [1, 1, 0]


def test_a_broadcast_nobody_waits_for_is_not_answered(world: World) -> None:
    one = world.machines[0].endpoint(68)
    one.broadcast = one.all_errors = True
    one.send([b"x"], (SUBNET, 67))
    world.settle()
    assert world.machines[1].internet.counters["udp.no_port"] == 1
    assert one.error == 0


def test_the_receive_buffer_is_bounded() -> None:
    world = World(UdpSettings(receive_buffer=8000))
    one, two = world.machines[0].endpoint(1000), world.machines[1].endpoint(2000)
    for number in range(60):
        one.send([bytes([number])], (TWO, 2000))
        world.settle()
    kept = texts(two)
    assert 8000 // 513 <= len(kept) <= 8000 // 513 + 1
    assert kept == [bytes([number]) for number in range(len(kept))]
    assert two.dropped == 60 - len(kept) == world.machines[1].internet.counters["udp.receive_buffer_full"]
    assert two.queued == 0
    one.send([b"again"], (TWO, 2000))
    world.settle()
    assert texts(two) == [b"again"]


# broken datagrams


def datagram(payload: bytes, *, length: int | None = None, check: int | None = None) -> bytes:
    header = {"source": 1000, "destination": 2000, "length": 8 + len(payload) if length is None else length}
    plain = HEADER.build(header | {"checksum": 0}) + payload
    pseudo = ONE + TWO + bytes([0, UDP]) + len(plain).to_bytes(2)
    right = checksum([pseudo, plain]) or 0xFFFF
    return HEADER.build(header | {"checksum": right if check is None else check}) + payload


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "short"),
        (bytes(7), "short"),
        (datagram(b"payload", length=7), "bad_length"),
        (datagram(b"payload", length=0), "bad_length"),
        (datagram(b"payload", length=16), "bad_length"),
        (datagram(b"payload", check=0x1234), "bad_checksum"),
    ],
)
def test_a_broken_datagram_is_dropped_and_counted(world: World, data: bytes, reason: str) -> None:
    two = world.machines[1].endpoint(2000)
    arrived(world, data)
    assert world.machines[1].internet.counters["udp." + reason] == 1
    assert two.receive() is None


@pytest.mark.parametrize("data", [datagram(b"payload"), datagram(b"payload", check=0)])
def test_a_right_checksum_and_none_are_taken(world: World, data: bytes) -> None:
    two = world.machines[1].endpoint(2000)
    arrived(world, data + b"padding")
    assert texts(two) == [b"payload"]


@given(st.binary(max_size=40))
def test_no_bytes_raise(data: bytes) -> None:
    world = World()
    world.machines[1].endpoint(2000)
    arrived(world, data)


@given(st.binary(max_size=12), st.sampled_from([errno.ECONNREFUSED, errno.EMSGSIZE]), st.booleans())
def test_no_failure_raises(quote: bytes, number: int, hard: bool) -> None:
    world = World()
    world.machines[1].endpoint(2000)
    world.machines[1].udp.receive_failure(Failure(number, hard, TWO, ONE, quote))


# errors from the network


def test_a_closed_port_refuses_a_connected_endpoint(world: World) -> None:
    one = world.machines[0].endpoint()
    told: list[int] = []
    one.connect(TWO, 2000)
    one.observer = lambda: told.append(one.error)
    one.send([b"x"])
    world.settle()
    assert told == [errno.ECONNREFUSED]
    with refused(errno.ECONNREFUSED):
        one.send([b"x"])
    one.send([b"x"])
    world.settle()
    assert one.take_error() == errno.ECONNREFUSED
    assert one.take_error() == 0


def test_an_unconnected_endpoint_hears_no_errors_unless_it_asks(world: World) -> None:
    one = world.machines[0].endpoint()
    for wanted in False, True:
        one.all_errors = wanted
        one.send([b"x"], (TWO, 2000))
        world.settle()
        assert one.error == (errno.ECONNREFUSED if wanted else 0)


def test_soft_errors_pass_by(world: World) -> None:
    one = world.machines[0].endpoint(1000)
    one.connect(TWO, 2000)
    quote = HEADER.build({"source": 1000, "destination": 2000, "length": 9, "checksum": 0})
    failure = Failure(errno.EHOSTUNREACH, hard=False, source=ONE, destination=TWO, quote=quote)
    world.machines[0].udp.receive_failure(failure)
    assert one.error == 0
    world.machines[0].udp.receive_failure(failure._replace(errno=errno.EMSGSIZE, mtu=1000))
    assert one.take_error() == errno.EMSGSIZE
    one.discover = FRAGMENT
    world.machines[0].udp.receive_failure(failure._replace(errno=errno.EMSGSIZE, mtu=1000))
    assert one.error == 0


def test_errors_find_the_endpoint_of_the_conversation(world: World) -> None:
    right, wrong = world.machines[0].endpoint(), world.machines[0].endpoint()
    right.connect(TWO, 2000)
    wrong.connect(TWO, 2001)
    right.send([b"x"])
    world.settle()
    assert (right.error, wrong.error) == (errno.ECONNREFUSED, 0)


# sending


def test_sending_binds_an_ephemeral_port(world: World) -> None:
    one = world.machines[0].udp.open()
    assert one.local == (ANY4, 0)
    one.send([b""], (TWO, 2000))
    assert one.local[0] == ANY4
    assert 32768 <= one.local[1] <= 60999


def test_send_needs_a_sensible_destination(world: World) -> None:
    one = world.machines[0].udp.open()
    with refused(errno.EDESTADDRREQ):
        one.send([b"x"])
    with refused(errno.EINVAL):
        one.send([b"x"], (TWO, 0))
    with refused(errno.ENETUNREACH):
        one.send([b"x"], (parse("192.0.2.1"), 9))


def test_the_largest_datagram_arrives_in_fragments(world: World) -> None:
    one, two = world.machines[0].endpoint(), world.machines[1].endpoint(2000)
    payload = Random(1).randbytes(MAX_PAYLOAD)
    with refused(errno.EMSGSIZE):
        one.send([payload, b"x"], (TWO, 2000))
    one.send([payload[:1000], payload[1000:]], (TWO, 2000))
    world.settle()
    assert texts(two) == [payload]


def test_fragmenting_can_be_refused(world: World) -> None:
    one, two = world.machines[0].endpoint(), world.machines[1].endpoint(2000)
    one.discover = REFUSE
    one.send([bytes(1472)], (TWO, 2000))
    with refused(errno.EMSGSIZE):
        one.send([bytes(1473)], (TWO, 2000))
    world.settle()
    assert texts(two) == [bytes(1472)]


def test_the_checksum_zero_is_sent_as_ones(world: World) -> None:
    """RFC 768: a zero on the wire would say that there is no checksum."""
    one, two = world.machines[0].endpoint(1000), world.machines[1].endpoint(2000)
    plain = datagram(b"\0\0", check=0)
    payload = checksum([ONE, TWO, bytes([0, UDP, 0, 10]), plain]).to_bytes(2)
    one.send([payload], (TWO, 2000))
    world.settle()
    texts(two)
    one.send([payload], (TWO, 2000))
    world.scheduler.flush()
    frame = world.machines[1].internet.interfaces[1].link.receive_packet()
    assert frame is not None
    assert frame.tobytes()[14 + 20 + 6 :][:2] == b"\xff\xff"


def test_a_link_that_completes_checksums_is_left_to_do_so(world: World) -> None:
    one = world.machines[0].endpoint(1000, LOCAL)
    seen: list[int] = []
    lo = world.machines[0].internet.interfaces[0]
    receive = world.machines[0].udp.receive
    world.machines[0].internet.register(UDP, Spy(seen, receive))
    one.send([b"x"], (LOCAL, 1000))
    world.settle()
    assert seen == [PARTIAL] != [UNVERIFIED]
    assert lo.rx_packets >= 1
    assert texts(one) == [b"x"]


class Spy:
    def __init__(self, seen: list[int], receive: object) -> None:
        self.seen, self._receive = seen, receive

    def receive(self, packet: Packet) -> None:
        self.seen.append(packet.checksum)
        self._receive(packet)  # type: ignore[operator]

    def receive_failure(self, failure: Failure) -> None:
        raise AssertionError

    def vouches(self, source: bytes, destination: bytes, quote: bytes) -> bool:
        raise AssertionError


# binding and connecting


def test_a_port_is_bound_once_unless_shared(world: World) -> None:
    machine = world.machines[0]
    one = machine.endpoint(53)
    other = machine.udp.open()
    with refused(errno.EADDRINUSE):
        other.bind(ANY4, 53)
    other.close()
    with refused(errno.EINVAL):
        one.bind(ANY4, 54)
    one.close()
    machine.endpoint(53).close()
    assert len(machine.udp.ports) == 0
    assert machine.udp.endpoints == set()


def test_connecting_settles_the_local_address_and_disconnecting_forgets_it(world: World) -> None:
    one = world.machines[0].udp.open()
    one.connect(TWO, 2000)
    assert one.local[0] == ONE
    assert one.remote == (TWO, 2000)
    assert one.mtu() == 1500
    one.disconnect()
    assert one.local == (ANY4, 0)
    assert one.remote is None
    one.bind(ANY4, 1000)
    one.connect(TWO, 2000)
    assert one.local == (ONE, 1000)
    one.disconnect()
    assert one.local == (ANY4, 1000)


def test_a_connected_endpoint_hears_only_its_peer(world: World) -> None:
    peer, stranger = world.machines[1].endpoint(2000), world.machines[1].endpoint(2001)
    one = world.machines[0].endpoint(1000)
    one.connect(TWO, 2000)
    stranger.connect(ONE, 1000)
    for endpoint in peer, stranger:
        endpoint.send([b"x"], (ONE, 1000))
    world.settle()
    assert [source for _, source in one.received] == [(TWO, 2000)]
    assert stranger.error == errno.ECONNREFUSED


def test_connecting_to_a_broadcast_address_takes_permission(world: World) -> None:
    one = world.machines[0].udp.open()
    with refused(errno.EACCES):
        one.connect(SUBNET, 9)
    one.broadcast = True
    one.connect(SUBNET, 9)
    with refused(errno.ENOTCONN):
        world.machines[0].udp.open().mtu()
