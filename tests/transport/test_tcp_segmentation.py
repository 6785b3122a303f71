"""How writes are cut into packets and pushed (RFC 9293 §3.7.4, §3.9.1.2), and when a window counts (RFC 7661)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netower.transport.tcp.header import ACK, FIN, PSH
from netower.transport.tcp.pieces import PUSH, RECORD, SHIFT, Pieces
from netower.transport.tcp.settings import TcpOptions

from .peer import Peer

WRITES = st.lists(st.tuples(st.integers(1, 5000), st.booleans(), st.booleans()), min_size=1, max_size=12)


@given(WRITES, st.integers(1, 3000))
def test_pieces_hold_what_was_written(writes: list[tuple[int, bool, bool]], goal: int) -> None:
    """Whatever is written, pieces are in order, none is too large, and no record goes on in the piece of another."""
    pieces, end = Pieces(0), 0
    records = set()
    for size, push, record in writes:
        end += size
        pieces.write(0, end, goal, PUSH * push | RECORD * record)
        if record:
            records.add(end)
    for write in pieces.written:
        while (pieces.last(0)[1]) < write >> SHIFT:
            pieces.cut(0, write >> SHIFT, goal, goes_on=True)
        pieces.push(write & (PUSH | RECORD))
    ends = [piece >> SHIFT for piece in pieces.queue]
    assert ends == sorted(set(ends))
    assert ends[-1] == end
    assert all(after - before <= goal for before, after in zip([0, *ends], ends, strict=False))
    assert records <= set(ends)


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=8), st.sampled_from([536, 1000, 1460]), st.booleans())
def test_every_byte_is_sent_once_and_the_last_is_pushed(writes: list[int], mss: int, nodelay: bool) -> None:
    peer = Peer(mss=mss)
    connection = peer.connect(TcpOptions(nodelay=nodelay))
    seen = []
    for size in writes:
        connection.write(bytes(size))
        seen += peer.seen()
        peer.send(ACK)
        seen += peer.seen()
    connection.shutdown()
    seen += peer.seen()
    data = [segment for segment in seen if segment.payload]
    assert sum(len(segment.payload) for segment in data) == sum(writes)
    assert all(before.seq + len(before.payload) == after.seq for before, after in itertools.pairwise(data))
    assert data[-1].flags & PSH
    assert seen[-1].flags & FIN


@pytest.mark.parametrize(("size", "pushed"), [(1000, [True]), (3000, [False, True, True]), (1500, [False, True])])
def test_packets_of_several_segments_are_pushed(size: int, pushed: list[bool]) -> None:
    peer = Peer(mss=1000)
    connection = peer.connect()
    connection.rtt.srtt = connection.rtt.shortest = 0.1
    connection.write(bytes(size))
    assert [bool(segment.flags & PSH) for segment in peer.seen()] == pushed


def test_more_to_come_waits_and_a_partial_write_does_not() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.write(b"head", more=True)
    assert peer.seen() == []
    connection.write(b"body", more=True)
    connection.push()
    assert peer.one().payload == b"headbody"


def test_records_are_kept_apart() -> None:
    peer = Peer()
    connection = peer.connect(TcpOptions(nodelay=True))
    connection.write(b"one", record=True)
    connection.write(b"two", record=True)
    connection.write(b"three")
    connection.write(b"four")
    assert [segment.payload for segment in peer.seen()] == [b"one", b"two", b"threefour"]


def test_a_window_that_is_not_in_use_does_not_grow() -> None:
    peer = Peer()
    connection = peer.connect()
    before = connection.congestion.cwnd
    for _ in range(5):
        connection.write(bytes(3 * connection.mss))
        peer.seen()
        peer.advance(0.05)
        peer.send(ACK)
    assert connection.congestion.cwnd == before


def test_an_idle_window_is_halved_for_each_time_out() -> None:
    peer = Peer()
    connection = peer.connect()
    mss = connection.mss
    connection.write(b"x")
    peer.seen()
    peer.send(ACK)
    rto = connection.rtt.rto
    connection.congestion.cwnd = 80 * mss
    peer.advance(2.5 * rto)
    connection.write(b"x")
    peer.seen()
    assert connection.congestion.cwnd == 20 * mss
