"""The options of a connection, each by its effect."""

from __future__ import annotations

import errno

from netower.transport.tcp.header import ACK, SYN
from netower.transport.tcp.settings import TcpOptions, TcpSettings
from netower.transport.tcp.state import State

from .peer import Peer


def test_quick_ack_off_lets_acknowledgments_wait() -> None:
    peer = Peer()
    connection = peer.open()
    connection.acknowledge_quickly(False, lasting=True)
    peer.data(b"x")
    peer.none()
    connection.consume(1)
    peer.none()
    connection.acknowledge_quickly(True, lasting=True)
    assert peer.one().ack == peer.seq  # the one that waited, at once
    peer.data(b"y")
    assert peer.one().ack == peer.seq
    connection.acknowledge_quickly(False, lasting=True)
    peer.data(b"z")
    peer.none()
    peer.advance(0.1)
    assert peer.one().ack == peer.seq


def test_quick_ack_may_be_asked_for_once() -> None:
    peer = Peer()
    connection = peer.open()
    connection.acknowledge_quickly(False, lasting=True)
    peer.data(b"x")
    connection.consume(1)
    peer.none()
    connection.acknowledge_quickly(True, lasting=False)
    assert peer.one().ack == peer.seq
    assert not connection.acknowledges_quickly
    peer.data(b"y")
    peer.none()


def test_quick_ack_does_not_tell_what_nobody_has_read() -> None:
    peer = Peer()
    connection = peer.open()
    connection.acknowledge_quickly(False, lasting=True)
    peer.data(b"x")
    connection.acknowledge_quickly(True, lasting=True)
    peer.none()
    connection.consume(1)
    assert peer.one().ack == peer.seq


def test_deferred_accept_waits_for_data() -> None:
    peer = Peer()
    listener = peer.listen(options=TcpOptions(defer_accept=3))
    peer.send(SYN)
    peer.seen()
    peer.send(ACK)
    assert (listener.waiting, listener.opening) == (0, 1)
    peer.advance(2.5)
    peer.none()  # the peer is there: it needs no reminder
    peer.data(b"request")
    assert (listener.waiting, listener.opening) == (1, 0)
    connection = listener.accept()
    assert connection is not None
    assert connection.readable == 7


def test_deferred_accept_ends_with_a_last_reminder() -> None:
    peer = Peer()
    listener = peer.listen(options=TcpOptions(defer_accept=3))
    peer.send(SYN)
    peer.seen()
    peer.send(ACK)
    peer.advance(6.9)
    peer.none()
    peer.advance(0.2)
    assert peer.one().flags == SYN | ACK
    peer.send(ACK)
    assert listener.waiting == 1


def test_deferred_accept_does_not_last() -> None:
    peer = Peer()
    listener = peer.listen(options=TcpOptions(defer_accept=7))
    peer.send(SYN)
    peer.send(ACK)
    peer.advance(1000)
    assert listener.opening == 0


def test_unsent_data_are_bounded() -> None:
    peer = Peer(window=3000)
    connection = peer.open(TcpOptions(notsent_low_water=8000))
    # Two segments go out at once; pieces of one, since the window has room for two, are begun up to the mark.
    assert connection.room == 2 * 1460 + 6 * 1460
    connection.write(bytes(8 * 1460))
    told = []
    connection.observer = lambda: told.append(connection.unsent)
    assert connection.room == 0
    assert not connection.writable
    peer.seen()
    assert told == []
    assert connection.unsent > 4000
    peer.send(ACK, window=6000)
    peer.seen()
    assert len(told) == 1
    assert told[0] <= 4000
    assert connection.writable


def test_the_window_is_clamped() -> None:
    peer = Peer(timestamps=True, shift=7)
    listener = peer.listen(options=TcpOptions(window_clamp=5000))
    peer.send(SYN, options=peer.syn_options())
    answer = peer.one()
    assert answer.window == 4344  # whole segments
    assert answer.options.window_shift == 0
    peer.send(ACK, ack=answer.end)
    connection = listener.accept()
    assert connection is not None
    for _ in range(20):  # until larger segments come: as on Linux, which then counts memory anew
        peer.data(bytes(500))
        connection.consume(connection.readable)
        assert all(segment.window <= 5000 for segment in peer.seen())


def test_the_window_can_be_clamped_later() -> None:
    peer = Peer()
    connection = peer.open()
    peer.data(bytes(1400))
    connection.consume(connection.readable)
    peer.seen()
    connection.clamp_window(4000)
    windows = []
    for _ in range(80):
        peer.data(bytes(1400))
        connection.consume(connection.readable)
        windows += [segment.window for segment in peer.seen()]
    assert windows[0] > 50000  # what was offered once stays offered until it is used (RFC 9293 §3.8.6)
    assert windows[-1] <= 4000


def test_the_user_time_out_ends_an_idle_connection() -> None:
    peer = Peer()
    options = TcpOptions(keepalive=True, keepalive_idle=10, keepalive_interval=5, user_timeout=12)
    connection = peer.open(options)
    peer.advance(14.9)
    assert connection.state is State.ESTABLISHED
    peer.advance(0.2)
    assert connection.error == errno.ETIMEDOUT


def test_segments_shrink_in_a_black_hole() -> None:
    peer = Peer(settings=TcpSettings(mtu_probing=1))
    connection = peer.open()
    connection.write(bytes(4000))
    sizes = []
    for _ in range(400):
        sizes += [len(segment.payload) for segment in peer.seen()]
        peer.advance(0.1)
    assert sizes[0] == 1460
    assert 1024 in sizes
    assert 512 in sizes
    assert peer.tcp.counters["tcp.black_hole_suspected"] >= 2
    connection.reroute()
    assert connection.mss == 1460


def test_segments_stay_long_where_black_holes_are_not_looked_for() -> None:
    peer = Peer()
    connection = peer.open()
    connection.write(bytes(4000))
    peer.advance(40)
    assert connection.mss == 1460
