"""ECN (RFC 3168) against a scripted peer; its behavior on the wire is in tests/conformance/ecn."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.ecn import SEEN
from netower.transport.tcp.ecn import codepoint as read
from netower.transport.tcp.header import ACK, CWR, ECE, SYN
from netower.transport.tcp.settings import TcpOptions, TcpSettings

from .peer import MASK, THEIRS, Packet, Peer, arriving

NOT_CAPABLE, ECT1, ECT0, CE = range(4)


def agreed(**fields: Any) -> tuple[Peer, Connection]:
    """A peer that has asked for ECN, and the connection."""
    peer = Peer(**fields)
    listener = peer.listen()
    peer.send(SYN | ECE | CWR, options=peer.syn_options())
    answer = peer.one()
    assert answer.flags == SYN | ACK | ECE
    peer.ack = answer.end
    peer.send(ACK)
    connection = listener.accept()
    assert connection is not None
    peer.none()
    return peer, connection


def send(peer: Peer, flags: int, payload: bytes, codepoint: int, **fields: Any) -> None:
    """A segment in a packet with this ECN field."""
    packet: Packet = arriving(peer.raw(flags, payload, **fields))
    packet.buffers[0] = bytes((0x45, codepoint)) + bytes(packet.buffers[0][2:])
    peer.tcp.receive(packet)
    peer.seq = peer.seq + len(payload) & MASK
    peer.scheduler.flush()


@pytest.mark.parametrize("length", [4, 16])
@pytest.mark.parametrize("codepoint", range(4))
def test_the_field_is_found_in_either_header(codepoint: int, length: int) -> None:
    octet = 0xFC | codepoint if length == 4 else 0xCF | codepoint << 4
    packet = Packet([bytes((0, 0x45, octet)) + bytes(60)])
    packet.network = 1
    packet.source = bytes(length)
    assert read(packet) == codepoint


@pytest.mark.parametrize(
    ("ask", "answer", "agree"), [(1, ECE, True), (1, 0, False), (1, ECE | CWR, False), (2, ECE, False)]
)
def test_a_client_believes_only_a_proper_answer(ask: int, answer: int, agree: bool) -> None:
    peer = Peer(settings=TcpSettings(ecn=ask))
    peer.port = 80
    connection = peer.tcp.connect(None, (THEIRS, peer.port), TcpOptions())
    syn = peer.one()
    assert syn.flags & (ECE | CWR) == (ECE | CWR if ask == 1 else 0)
    peer.ack, peer.our_port = syn.end, syn.source_port
    peer.send(SYN | ACK | answer, options=peer.syn_options())
    assert bool(connection.ecn) == agree


def test_marks_on_the_short_way_in_and_the_long() -> None:
    peer, connection = agreed()
    send(peer, ACK, b"plain" * 100, ECT0)
    peer.advance(1)
    assert connection.ecn & SEEN
    assert not any(segment.flags & ECE for segment in peer.seen())
    send(peer, ACK, b"marked" * 100, CE)
    assert peer.one().flags == ACK | ECE
    connection.write(b"answer")
    assert peer.one().flags & ECE
    send(peer, ACK | CWR, b"heard" * 100, ECT0)
    assert peer.one().flags == ACK


def test_a_reduction_has_no_cost_afterwards() -> None:
    """The scoreboard that an echo needs is gone when the window has shrunk."""
    peer, connection = agreed()
    connection.write(bytes(60_000))
    peer.seen()
    peer.send(ACK | ECE)
    assert connection.board is not None
    for _ in range(20):
        peer.seen()
        peer.send(ACK)
    assert connection.board is None
    assert connection.unacknowledged == 0


STEP = st.tuples(
    st.sampled_from((ACK, ACK, ACK | ECE, ACK | CWR, ACK | ECE | CWR)),
    st.sampled_from((NOT_CAPABLE, ECT0, ECT1, CE)),
    st.integers(0, 2000),
    st.sampled_from(("all", "all", "nothing", "some")),
    st.sampled_from((0.0, 0.01, 0.3)),
)


@given(steps=st.lists(STEP, max_size=40), sack=st.booleans(), timestamps=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_peer_that_lies_about_congestion_slows_itself_down_and_nothing_else(
    steps: list[tuple[int, int, int, str, float]], sack: bool, timestamps: bool
) -> None:
    peer, connection = agreed(sack=sack, timestamps=timestamps)
    size, sent, got = 100_000, 0, 0
    connection.write(bytes(size))
    start = peer.ack
    for flags, codepoint, length, acknowledges, seconds in steps:
        peer.seen()
        acknowledged = connection.snd_una & MASK
        if acknowledges == "nothing":
            ack = acknowledged
        elif acknowledges == "some":
            ack = acknowledged + ((peer.ack - acknowledged & MASK) // 2)
        else:
            ack = peer.ack
        send(peer, flags, bytes(length), codepoint, ack=ack)
        sent += length
        assert connection.congestion.cwnd >= connection.mss
        got += connection.readable
        connection.consume(connection.readable)
        peer.advance(seconds)
    for _ in range(600):
        peer.seen()
        peer.send(ACK)
        got += connection.readable
        connection.consume(connection.readable)
        if not connection.unacknowledged:
            break
        peer.advance(0.5)
    assert (peer.ack - start) & MASK == size
    assert connection.unacknowledged == 0
    assert got == sent
