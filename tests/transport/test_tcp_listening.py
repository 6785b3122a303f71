"""Listeners: several on one port, handshakes without memory, and connections that wait for data."""

from __future__ import annotations

from collections import Counter

from netower.transport.tcp.header import ACK, SYN
from netower.transport.tcp.listener import Listener

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
