"""Whatever arrives, in whatever state, and whatever the user does meanwhile: no exception, and the TCB stays sound."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.header import ACK, FIN, RST, SYN
from netower.transport.tcp.options import build_sack
from netower.transport.tcp.settings import TcpOptions
from netower.transport.tcp.state import State

from .peer import MASK, Peer, arriving

NEAR = st.sampled_from((-70000, -1461, -1, 0, 0, 0, 0, 1, 2, 1460, 65535, 1 << 20, 1 << 31))
FLAGS = st.one_of(st.sampled_from((ACK, ACK, ACK | FIN, SYN, SYN | ACK, RST, RST | ACK)), st.integers(0, 255))
SEGMENT = st.tuples(
    st.just("segment"),
    FLAGS,
    NEAR,
    NEAR,
    st.sampled_from((0, 1, 500, 65535)),
    st.sampled_from((0, 0, 1, 3, 1460, 4000)),
    st.none() | st.binary(max_size=40).map(lambda data: data + bytes(-len(data) % 4)),
)
#: An ACK whose blocks are lies more often than not; numbers from SND.UNA on.
BLOCK = st.tuples(st.integers(-3000, 50_000), st.sampled_from((-1, 0, 1, 999, 1460, 14_600, 1 << 31)))
SACKS = st.tuples(st.just("sack"), NEAR, st.lists(BLOCK, min_size=1, max_size=4))
STEP = st.one_of(
    SEGMENT,
    SEGMENT,
    SACKS,
    st.tuples(st.just("write"), st.sampled_from((1, 100, 1460, 40000))),
    st.tuples(st.sampled_from(("shutdown", "close", "abort", "consume", "flush"))),
    st.tuples(st.just("advance"), st.sampled_from((0.01, 0.3, 5.0, 70.0))),
)


def check(connection: Connection) -> None:
    c = connection
    assert c.iss <= c.snd_una <= c.snd_nxt <= c.snd_max
    assert c.snd_max <= c.buffer.end + 1 or c.state in (State.CLOSED, State.TIME_WAIT)
    assert c.readable == sum(map(len, c.received))
    assert c.congestion.cwnd >= 0
    if c.rcv_nxt:
        assert c.rcv_nxt <= c.rcv_adv + 1  # a FIN takes no room
        assert c.rcv_acked <= c.rcv_nxt
    if c.state in (State.CLOSED, State.TIME_WAIT):
        assert c.timer is None
        assert min(c.retransmit_at, c.persist_at, c.acknowledge_at, c.keepalive_at, c.give_up_at) == inf
    check_board(c)
    if c.snd_max > c.snd_una and c.state not in (State.CLOSED, State.TIME_WAIT):
        assert min(c.retransmit_at, c.persist_at) < inf  # somebody cares for what is on the way


def check_board(c: Connection) -> None:
    """What is known of the data on the way lies within it, and no byte is two things at once."""
    board = c.board
    if board is None:
        assert not c.recovering
        return
    assert c.rack is not None
    for ranges in board.sacked, board.lost:
        for start, end in ranges:
            assert c.snd_una <= start < end <= c.snd_max
    for start, end in board.lost:
        assert board.sacked.gaps(start, end) == [(start, end)]
        assert not board.resent.within(start, end)
    for part in board.resent.within(0, c.snd_max + 1):
        assert c.snd_una <= part.start < part.end <= c.snd_max
        assert board.sacked.gaps(part.start, part.end) == [(part.start, part.end)]
    assert 0 <= board.outside <= c.snd_max - c.snd_una


@pytest.mark.parametrize("start", ["connect", "syn-sent", "syn-received"])
@settings(deadline=None, max_examples=150)
@given(
    timestamps=st.booleans(),
    sack=st.booleans(),
    buffer=st.sampled_from((None, 2000)),
    steps=st.lists(STEP, max_size=25),
)
def test_any_segment(start: str, timestamps: bool, sack: bool, buffer: int | None, steps: list[Any]) -> None:
    peer = Peer(timestamps=timestamps, sack=sack, shift=2 if timestamps else None)
    options = TcpOptions(keepalive=True, receive_buffer=buffer)
    if start == "connect":
        connection = peer.connect(options)
    elif start == "syn-sent":
        connection = peer.start_connect(options)
    else:
        listener = peer.listen(options=options)
        peer.send(SYN, options=peer.syn_options())
        (connection,) = listener._opening
    for step in steps:
        perform(peer, connection, step)
        check(connection)
    connection.close()
    peer.advance(3000)
    assert connection.state in (State.CLOSED, State.TIME_WAIT)
    for later in list(peer.tcp.connections.values()):
        if isinstance(later, Connection):
            later.abort()
    peer.advance(200)
    assert not peer.tcp.connections
    assert peer.scheduler.next_event() is None


def perform(peer: Peer, connection: Connection, step: Any) -> None:
    match step:
        case ("segment", flags, seq, ack, window, size, options):
            there = connection.rcv_nxt or peer.seq
            data = peer.raw(
                flags, bytes(size), seq=(there + seq) & MASK,
                ack=(connection.snd_una + ack) & MASK, window=window,
                options=options,
            )  # fmt: skip
            peer.tcp.receive(arriving(data))
        case ("sack", ack, blocks):
            una = connection.snd_una
            option = build_sack([(una + start, una + start + size) for start, size in blocks])
            data = peer.raw(ACK, seq=connection.rcv_nxt, ack=(una + ack) & MASK, options=option)
            peer.tcp.receive(arriving(data))
        case ("write", size):
            connection.write(bytes(size))
        case ("consume",):
            connection.consume(connection.readable)
        case ("flush",):
            peer.seen()
        case ("advance", seconds):
            peer.advance(seconds)
        case (call,):
            getattr(connection, call)()


@given(st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    peer = Peer()
    peer.open()
    peer.tcp.receive(arriving(data))
    ports = peer.port.to_bytes(2) + peer.our_port.to_bytes(2)
    peer.tcp.receive(arriving(ports + data))
    peer.advance(1)
