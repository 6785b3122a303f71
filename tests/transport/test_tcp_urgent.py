"""Urgent data: in line, and marked."""

from __future__ import annotations

from netower.link import Offloads
from netower.transport.tcp.header import ACK, HEADER, URG

from .peer import Peer, arriving


def pointers(peer: Peer) -> list[tuple[int, int, int]]:
    """Of each segment that was sent: whether it is urgent, its pointer, and its length."""
    peer.scheduler.flush()
    found = []
    for packet, _ in peer.internet.sent:
        data = packet.tobytes()
        *_, word, _, _, pointer = HEADER.unpack_from(data)
        found.append((word & URG, pointer, len(data) - (word >> 12 << 2)))
    peer.internet.sent.clear()
    return found


def urgent(peer: Peer, payload: bytes, pointer: int) -> None:
    data = bytearray(peer.raw(ACK | URG, payload))
    data[18:20] = pointer.to_bytes(2)
    peer.tcp.receive(arriving(bytes(data)))
    peer.seq += len(payload)
    peer.scheduler.flush()


def test_the_pointer_is_to_the_octet_after_the_urgent_data() -> None:
    peer = Peer()
    connection = peer.open()
    connection.write(b"ordinary ")
    connection.write_urgent(b"!")
    assert pointers(peer) == [(URG, 10, 10)]
    peer.send(ACK, ack=peer.ack + 10)
    connection.write(b"calm")
    assert pointers(peer) == [(0, 0, 4)]


def test_urgent_data_of_any_length() -> None:
    peer = Peer()
    peer.internet.offloads = Offloads.TSO4
    connection = peer.open()
    connection.write_urgent(bytes(5000))
    assert pointers(peer) == [(URG, 5000, 1460), (URG, 3540, 1460), (URG, 2080, 1460), (URG, 620, 620)]


def test_a_mark_too_far_away_for_the_pointer() -> None:
    peer = Peer()
    connection = peer.open()
    connection.write_urgent(bytes(100_000))
    assert pointers(peer)[0] == (URG, 65535, 1460)


def test_urgent_data_are_announced_and_stay_in_line() -> None:
    peer = Peer()
    connection = peer.open()
    told = []
    connection.observer = lambda: told.append(connection.urgent)
    urgent(peer, b"ab", 5)
    assert (told, bytes(connection.received[0])) == ([5], b"ab")
    connection.consume(2)
    assert connection.urgent == 3
    urgent(peer, b"cde", 3)  # the same mark
    assert connection.urgent == 3
    connection.consume(3)
    assert connection.urgent == 0


def test_a_mark_alone_is_told() -> None:
    peer = Peer()
    connection = peer.open()
    told = []
    connection.observer = lambda: told.append(connection.urgent)
    urgent(peer, b"", 7)
    urgent(peer, b"", 7)
    urgent(peer, b"", 9)
    assert told == [7, 9]
