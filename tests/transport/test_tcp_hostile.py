"""A hostile peer: whatever it sends in whatever state, no byte is delivered that it did not send, what it can make us
hold is bounded, and an honest peer of the same host notices nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from netower.transport.tcp import options as wire_options
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.header import ACK, FIN, PSH, RST, SYN, URG
from netower.transport.tcp.pacing import LARGEST
from netower.transport.tcp.settings import TcpOptions

from .peer import MASK, Peer, arriving

BUFFER = 20_000
#: The stream that the hostile peer pretends to send: a byte tells its place.
STREAM = bytes(position * 7 % 251 for position in range(1 << 18))

OFFSETS = st.one_of(st.integers(-3000, 30_000), st.sampled_from((-(1 << 31), -1, 0, 0, 0, 1, 1 << 20, 1 << 31)))
FLAGS = st.sampled_from((ACK, ACK, ACK, ACK | PSH, ACK | URG, ACK | FIN, SYN, SYN | ACK, RST, RST | ACK, 0, 0xFF))
BLOCKS = st.lists(st.tuples(st.integers(-5000, 60_000), st.integers(-3000, 60_000)), max_size=4)
SEGMENT = st.tuples(
    st.just("segment"), FLAGS, OFFSETS, OFFSETS, st.sampled_from((0, 1, 1000, 65535)), st.integers(0, 3000), BLOCKS
)
OVERLAPS = st.tuples(st.just("overlaps"), st.integers(1, 4000), st.integers(1, 40), st.integers(1, 300))
STEP = st.one_of(
    SEGMENT,
    SEGMENT,
    OVERLAPS,
    st.tuples(st.just("write"), st.integers(1, 30_000)),
    st.tuples(st.just("read"), st.integers(1, 30_000)),
    st.tuples(st.just("advance"), st.sampled_from((0.01, 0.25, 3.0))),
)


class Attack:
    """A connection to a hostile peer, and one to an honest peer beside it."""

    def __init__(self, mss: int, timestamps: bool, sack: bool) -> None:
        self.peer = Peer(timestamps=timestamps, shift=3, mss=mss)
        self.sack = sack
        options = TcpOptions(receive_buffer=BUFFER, send_buffer=BUFFER)
        listener = self.peer.listen(options=options)
        self.victim = self._open(listener, 4000)
        self.honest = self._open(listener, 5000)
        self.honest_seq, self.honest_ack = self.peer.seq, self.peer.ack
        self.read = 0

    def _open(self, listener: Any, port: int) -> Connection:
        peer = self.peer
        peer.port, peer.seq = port, 1000
        stamps = (peer.stamp(), 0) if peer.timestamps else None
        peer.send(SYN, options=wire_options.build_syn(peer.mss if port == 4000 else 1460, 3, stamps, sack=self.sack))
        answer = next(segment for segment in peer.seen() if segment.flags & SYN)
        peer.ack = answer.end
        peer.send(ACK)
        connection: Connection = listener.accept()
        return connection

    def perform(self, step: Any) -> None:
        victim = self.victim
        match step:
            case ("segment", flags, seq, ack, window, size, blocks):
                self.send(flags, victim.rcv_nxt + seq, size, victim.snd_una + ack, window, blocks)
            case ("overlaps", start, count, stride):
                for number in range(count):
                    self.send(ACK, victim.rcv_nxt + start + number * stride, 500, victim.snd_una, 65535, [])
            case ("write", size):
                victim.write(bytes(min(size, victim.room)))
            case ("read", size):
                self.take(min(size, victim.readable))
            case ("advance", seconds):
                self.peer.advance(seconds)
        self.peer.scheduler.flush()
        self.peer.internet.sent.clear()

    def send(self, flags: int, seq: int, size: int, ack: int, window: int, blocks: list[tuple[int, int]]) -> None:
        """Data as the stream has them at their number; what lies outside of the stream is not sent as data."""
        peer, victim = self.peer, self.victim
        start = seq - victim.irs - 1
        payload = STREAM[start : start + size] if start >= 0 else b""
        options = b""
        if peer.timestamps:
            options += wire_options.ALIGNED.pack(wire_options.TIMESTAMPS_ALIGNED, peer.stamp(), 0)
        if blocks and not flags & SYN:
            lies = [(victim.snd_una + left, victim.snd_una + right) for left, right in blocks]
            options += wire_options.build_sack(lies[:3])
        peer.port = 4000
        peer.tcp.receive(
            arriving(peer.raw(flags, payload, seq=seq & MASK, ack=ack & MASK, window=window, options=options))
        )

    def take(self, size: int) -> None:
        """Read, and compare with what was sent."""
        data = b"".join(bytes(piece) for piece in self.victim.received)[:size]
        assert data == STREAM[self.read : self.read + size]
        self.victim.consume(size)
        self.read += size

    def check(self) -> None:
        victim = self.victim
        held = victim.readable
        if victim.reassembly is not None:
            held += sum(map(len, victim.reassembly._pieces))
        assert held <= max(BUFFER, 65535)
        assert bool(victim.rcv_charge) == bool(victim.readable)
        assert not victim.kept or sum(memory for _, memory in victim.kept) == victim.rcv_charge
        assert victim.unacknowledged <= BUFFER + 2 * LARGEST  # a piece that was begun is filled up
        assert len(victim.sent) < 100
        if victim.board is not None:
            assert len(victim.board.sacked) <= BUFFER

    def converse(self) -> None:
        """The honest peer asks, is answered at once, and asked for nothing again."""
        peer, honest = self.peer, self.honest
        peer.port, peer.seq, peer.ack = 5000, self.honest_seq, self.honest_ack
        peer.data(b"question")
        assert bytes(honest.received[0]) == b"question"
        honest.consume(8)
        honest.write(b"answer")
        answers = [s for s in peer.seen() if s.destination_port == 5000]
        assert [answer.payload for answer in answers if answer.payload] == [b"answer"]
        peer.ack = max(answer.end for answer in answers)
        peer.send(ACK)
        assert honest.unacknowledged == 0
        assert honest.retransmissions == 0
        self.honest_seq, self.honest_ack = peer.seq, peer.ack


@settings(deadline=None, max_examples=120)
@given(
    mss=st.sampled_from((1, 8, 536, 1460)),
    timestamps=st.booleans(),
    sack=st.booleans(),
    steps=st.lists(STEP, max_size=30),
)
def test_a_hostile_peer(mss: int, timestamps: bool, sack: bool, steps: list[Any]) -> None:
    attack = Attack(mss, timestamps, sack)
    for number, step in enumerate(steps):
        attack.perform(step)
        attack.check()
        if number % 5 == 0:
            attack.converse()
    attack.take(attack.victim.readable)
    attack.converse()
    attack.victim.abort()
    attack.converse()


def test_single_bytes_out_of_order_are_bounded() -> None:
    """Each would keep the frame that it came in."""
    attack = Attack(1460, timestamps=False, sack=True)
    start = attack.victim.rcv_nxt
    for number in range(9_000):
        attack.send(ACK, start + 1 + number * 2, 1, attack.victim.snd_una, 65535, [])
    assert attack.victim.reassembly is not None
    assert len(attack.victim.reassembly) <= 4096
    attack.peer.seen()
    attack.converse()


def test_early_data_that_take_all_the_memory_do_not_close_the_window_for_good() -> None:
    peer = Peer()
    connection = peer.open(TcpOptions(receive_buffer=4000))
    start = peer.seq
    peer.send(ACK, bytes(5000), seq=start + 2)
    peer.data(b"1")
    peer.data(b"2", seq=start + 1)  # there is no memory, nor anything of the window left
    connection.consume(1)
    assert peer.seen()[-1].window == 0
    peer.data(b"2", seq=start + 1)
    assert connection.readable == 5001
    connection.consume(5001)
    assert peer.seen()[-1].window > 0


def test_a_peer_with_the_least_segments_gets_what_it_asked_for() -> None:
    attack = Attack(1, timestamps=False, sack=True)
    attack.victim.write(bytes(100))
    segments = [segment for segment in attack.peer.seen() if segment.payload]
    assert max(len(segment.payload) for segment in segments) == 48  # what every host takes
