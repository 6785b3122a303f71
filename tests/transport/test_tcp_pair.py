"""Two ends on a wire that loses, repeats, reorders and delays: what was written arrives, once and in order."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from netower.link import Offloads, Packet, Scheduler
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.settings import TcpOptions, TcpSettings
from netower.transport.tcp.state import State

from .peer import OURS, THEIRS, FakePath, arriving, make_tcp


@dataclass
class Faults:
    """What the wire does, in thousandths, and seconds."""

    loss: int = 0
    copies: int = 0
    late: int = 0
    delay: float = 0.01


class Wire:
    """Two hosts' TCP on one clock; which packet meets which fault is drawn from a seed."""

    def __init__(self, seed: int, faults: Faults, config: TcpSettings, offloads: Offloads = Offloads.NONE) -> None:
        self.scheduler = Scheduler(50.0)
        self.random = Random(seed)
        self.faults = faults
        self.packets = 0
        self.ends = []
        for address in (OURS, THEIRS):
            tcp, internet = make_tcp(self.scheduler, Random(seed), config, address)
            internet.offloads = offloads
            internet.transmit = self.transmit
            self.ends.append(tcp)
        self.first, self.second = self.ends

    def transmit(self, packet: Packet, path: FakePath) -> None:
        self.packets += 1
        random, faults = self.random, self.faults
        data, size = packet.tobytes(), packet.segment_size
        for _ in range(1 + (random.randrange(1000) < faults.copies)):
            if random.randrange(1000) < faults.loss:
                continue
            delay = faults.delay + (random.random() * 0.05 if random.randrange(1000) < faults.late else 0)
            self.scheduler.call_later(delay, lambda: self.deliver(data, path, size))

    def deliver(self, data: bytes, path: FakePath, segment_size: int) -> None:
        tcp = self.first if path.destination == OURS else self.second
        tcp.receive(arriving(data, path.source, path.destination, segment_size))

    def run(self, seconds: float, done: Any = lambda: False) -> bool:
        until = self.scheduler.now + seconds
        self.scheduler.flush()
        while not done() and (when := self.scheduler.next_event()) is not None and when <= until:
            self.scheduler.advance(when)
            self.scheduler.flush()
        return bool(done())


class User:
    """Writes ``data`` as there is room and reads everything, in pieces of its own choice."""

    def __init__(self, connection: Connection, data: bytes, random: Random) -> None:
        self.connection = connection
        self.left = memoryview(data)
        self.got = bytearray()
        self.random = random
        self.shut = False
        connection.observer = self.work
        self.work()

    def work(self) -> None:
        c = self.connection
        while self.left and (room := c.room):
            size = min(room, self.random.choice((1, 100, 1460, 70000)))
            c.write(self.left[:size])
            self.left = self.left[size:]
        if not self.left and not self.shut and c.state is not State.SYN_SENT:
            self.shut = True
            c.shutdown()
        while c.readable:
            size = self.random.randint(1, c.readable)
            parts = b"".join(c.received)[:size]
            c.consume(size)
            self.got += parts

    @property
    def over(self) -> bool:
        return self.connection.state in (State.CLOSED, State.TIME_WAIT)


def exchange(wire: Wire, there: bytes, back: bytes, options: TcpOptions) -> tuple[User, User]:
    wire.second.ports.bind(bytes(4), 80, wire)
    listener = wire.second.listen((bytes(4), 80), 1, options)
    connection = wire.first.connect(None, (THEIRS, 80), options)
    users = [User(connection, there, wire.random)]

    def accept() -> None:
        accepted = listener.accept()
        if accepted is not None:
            users.append(User(accepted, back, wire.random))

    listener.observer = accept
    wire.run(200_000, lambda: len(users) == 2 and all(user.over for user in users))
    assert len(users) == 2
    listener.close()
    return users[0], users[1]


FAULTS = st.builds(
    Faults,
    loss=st.sampled_from((0, 10, 50, 150, 250)),
    copies=st.sampled_from((0, 30, 200)),
    late=st.sampled_from((0, 100, 500)),
    delay=st.sampled_from((0.0, 0.001, 0.05, 0.4)),
)
SIZES = st.one_of(st.integers(0, 5000), st.integers(0, 200_000))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1 << 32),
    faults=FAULTS,
    sizes=st.tuples(SIZES, SIZES),
    timestamps=st.booleans(),
    scaling=st.booleans(),
    sack=st.booleans(),
    nodelay=st.booleans(),
    tso=st.booleans(),
    buffer=st.sampled_from((None, 3000, 20000, 300_000)),
)
def test_everything_arrives(
    seed: int, faults: Faults, sizes: tuple[int, int], timestamps: bool, scaling: bool, sack: bool, nodelay: bool,
    tso: bool, buffer: int | None,
) -> None:  # fmt: skip
    config = TcpSettings(
        timestamps=timestamps, window_scaling=scaling, sack=sack, retries=200, syn_retries=200, synack_retries=200
    )
    wire = Wire(seed, faults, config, Offloads.TSO4 if tso else Offloads.NONE)
    there, back = (Random(seed + size).randbytes(size) for size in sizes)
    options = TcpOptions(nodelay=nodelay, receive_buffer=buffer, send_buffer=buffer)
    first, second = exchange(wire, there, back, options)
    assert bytes(second.got) == there
    assert bytes(first.got) == back
    # Who has waited for the last FIN long enough answers it by RST, which as on Linux is told.
    assert {first.connection.error, second.connection.error} <= {0, errno.ECONNRESET}
    assert first.connection.at_end
    assert second.connection.at_end
    for user in (first, second):
        user.connection.close()
    wire.run(10_000)
    for tcp in wire.ends:
        assert not tcp.connections
        assert not len(tcp.time_wait)
    assert len(wire.first.ports) == 0
    assert wire.scheduler.next_event() is None


def test_a_clean_wire_needs_no_retransmission() -> None:
    wire = Wire(3, Faults(), TcpSettings())
    data = Random(3).randbytes(2_000_000)
    first, second = exchange(wire, data, b"", TcpOptions())
    assert bytes(second.got) == data
    assert first.connection.retransmissions == second.connection.retransmissions == 0
    assert second.connection.rcv_buffer > 131072  # the window has grown with the traffic


def test_both_ends_open_at_once() -> None:
    wire = Wire(4, Faults(delay=0.1), TcpSettings())
    ends = []
    for tcp, here, there in ((wire.first, OURS, THEIRS), (wire.second, THEIRS, OURS)):
        tcp.ports.bind(here, 7000, wire)
        ends.append(tcp.connect((here, 7000), (there, 7000), TcpOptions()))
    users = [User(ends[0], b"one", Random(1)), User(ends[1], b"two", Random(2))]
    wire.run(10, lambda: all(user.over for user in users))
    assert [bytes(user.got) for user in users] == [b"two", b"one"]
    assert [end.state for end in ends] == [State.TIME_WAIT, State.TIME_WAIT]  # they closed at once, too


def test_a_connection_to_itself() -> None:
    wire = Wire(5, Faults(), TcpSettings())
    wire.first.ports.bind(OURS, 7000, wire)
    connection = wire.first.connect((OURS, 7000), (OURS, 7000), TcpOptions())
    user = User(connection, b"me", Random(1))
    wire.run(10, lambda: user.over)
    assert bytes(user.got) == b"me"


def test_many_connections_leave_nothing() -> None:
    wire = Wire(6, Faults(delay=0.001), TcpSettings())
    wire.second.ports.bind(bytes(4), 80, wire)
    listener = wire.second.listen((bytes(4), 80), 10)
    for _ in range(500):
        connection = wire.first.connect(None, (THEIRS, 80))
        wire.run(1, lambda: listener.waiting)
        accepted = listener.accept()
        assert accepted is not None
        connection.close()
        wire.run(1, lambda accepted=accepted: accepted.at_end)
        accepted.close()
    wire.run(1)
    assert len(wire.first.time_wait) == 500
    assert not wire.second.connections
    wire.run(61)
    assert not wire.first.connections
    assert len(wire.first.ports) == 0
    assert wire.scheduler.next_event() is None
