"""Listeners: several on one port, handshakes without memory, and connections that wait for data."""

from __future__ import annotations

from collections import Counter

import pytest
from netower.transport.tcp.header import ACK, RST, SYN
from netower.transport.tcp.listener import Listener
from netower.transport.tcp.settings import TcpOptions, TcpSettings
from netower.transport.tcp.state import State

from .peer import Peer


def listeners(peer: Peer, count: int) -> list[Listener]:
    """Listeners that share a port."""
    found = []
    for _ in range(count):
        peer.tcp.ports.bind(bytes(4), peer.our_port, object(), reuseport=True)
        found.append(peer.tcp.listen((bytes(4), peer.our_port), 100))
    return found


def shake_hands(peer: Peer, port: int) -> None:
    peer.port, peer.seq = port, 1000
    peer.send(SYN, options=peer.syn_options())
    peer.ack = peer.one().end
    peer.send(ACK)


def test_listeners_share_a_port() -> None:
    peer = Peer()
    group = listeners(peer, 4)
    for port in range(5000, 5100):
        shake_hands(peer, port)
    shares = [listener.waiting for listener in group]
    assert sum(shares) == 100
    assert min(shares) > 10
    group[0].close()
    peer.seen()
    shake_hands(peer, 6000)
    assert sum(listener.waiting for listener in group[1:]) == 101 - shares[0]
    for listener in group[1:]:
        listener.close()
    assert not peer.tcp.listeners


def test_a_peer_meets_the_same_listener_again() -> None:
    peer = Peer()
    group = listeners(peer, 3)
    met: Counter[int] = Counter()
    for _ in range(5):
        shake_hands(peer, 5000)
        (index,) = (number for number, listener in enumerate(group) if listener.waiting)
        met[index] += 1
        connection = group[index].accept()
        assert connection is not None
        connection.abort()
        peer.seen()
    assert list(met.values()) == [5]


# SYN cookies

ALWAYS = TcpSettings(syn_cookies=2)


@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize("shift", [None, 0, 14])
def test_a_cookie_brings_back_what_the_syn_said(timestamps: bool, shift: int | None) -> None:
    peer = Peer(settings=ALWAYS, timestamps=timestamps, shift=shift, mss=1300)
    listener = peer.listen()
    peer.send(SYN, options=peer.syn_options())
    answer = peer.one()
    assert (answer.flags, answer.ack) == (SYN | ACK, peer.seq)
    # Without timestamps nothing but the MSS comes back, so nothing else is offered.
    assert (answer.options.window_shift is None) == (shift is None or not timestamps)
    assert (listener.opening, len(peer.tcp.connections)) == (0, 0)
    peer.advance(1)
    peer.data(b"request")
    connection = listener.accept()
    assert connection is not None
    assert connection.state is State.ESTABLISHED
    assert bytes(connection.received[0]) == b"request"
    assert connection.peer_mss == 1300
    assert bool(connection.timestamps) == timestamps
    assert connection.snd_shift == (shift or 0 if timestamps else 0)
    connection.write(b"answer")
    assert b"answer" in [segment.payload for segment in peer.seen()]


def test_a_flood_of_syns_does_not_keep_others_out() -> None:
    peer = Peer()
    listener = peer.listen(backlog=9)
    for port in range(10000, 11000):
        peer.port, peer.seq = port, 1000
        peer.send(SYN)
    peer.seen()
    assert listener.opening == 10
    assert peer.tcp.counters["tcp.syn_cookies_sent"] == 990
    shake_hands(peer, 5000)
    assert listener.waiting == 1


@pytest.mark.parametrize("change", [{"seq": 1002}, {"ack": 5}, {}])
def test_what_is_no_cookie_is_reset(change: dict[str, int]) -> None:
    peer = Peer(settings=ALWAYS)
    listener = peer.listen()
    peer.send(SYN)
    peer.seen()
    if not change:
        peer.port += 1  # somebody else's
    peer.send(ACK, **change)
    assert peer.reset().flags == RST
    assert listener.waiting == 0
    assert peer.tcp.counters["tcp.syn_cookies_failed"] == 1


def test_cookies_grow_old() -> None:
    peer = Peer(settings=ALWAYS)
    listener = peer.listen()
    peer.send(SYN)
    peer.seen()
    peer.advance(120)
    peer.send(ACK)
    assert listener.waiting == 1
    peer.port += 1
    peer.seq = 1000
    peer.send(SYN)
    peer.seen()
    peer.advance(300)
    peer.send(ACK)
    peer.reset()
    assert listener.waiting == 1


def test_a_full_accept_queue_takes_no_cookies() -> None:
    peer = Peer(settings=ALWAYS)
    listener = peer.listen(0, TcpOptions(defer_accept=3))
    acks = {}
    for port in (5000, 5001):
        peer.port, peer.seq = port, 1000
        peer.send(SYN)
        acks[port] = peer.one().end
    for port, ack in acks.items():
        peer.port, peer.seq = port, 1001
        peer.send(ACK, ack=ack)
    assert (listener.waiting, listener.opening, len(peer.tcp.connections)) == (1, 0, 1)
    peer.none()
