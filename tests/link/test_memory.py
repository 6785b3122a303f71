"""The links that live in memory: loopback and wire."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from netower.link import PARTIAL, UNVERIFIED, Link, Loopback, Offloads, Packet, Wire, WireEnd

Pair = tuple[Loopback | WireEnd, Loopback | WireEnd]


def loopback(capacity: int = 1000) -> Pair:
    link = Loopback(capacity=capacity)
    return link, link


def wire(capacity: int = 1000) -> Pair:
    return Wire(capacity=capacity).ends


@pytest.fixture(params=[loopback, wire])
def pair(request: pytest.FixtureRequest) -> Callable[..., Pair]:
    """Makes a link to send on and the link where it arrives."""
    return request.param  # type: ignore[no-any-return]


def received(link: Loopback | WireEnd) -> list[bytes]:
    frames = []
    while (packet := link.receive_packet()) is not None:
        (frame,) = packet.buffers
        assert isinstance(frame, bytes)
        assert (packet.offset, packet.end) == (0, len(frame))
        frames.append(frame)
    return frames


def test_frames_arrive_in_order_each_as_one_buffer(pair: Callable[..., Pair]) -> None:
    sender, receiver = pair()
    sender.send_packet(Packet([bytearray(b"head"), memoryview(b"payload"), b"tail"]))
    sender.send_packet(Packet([b"second"]))
    sender.send_packet(Packet([bytearray(b"third")]))
    assert received(receiver) == [b"headpayloadtail", b"second", b"third"]
    assert receiver.receive_packet() is None


def test_what_was_sent_may_be_changed_afterwards(pair: Callable[..., Pair]) -> None:
    sender, receiver = pair()
    header = bytearray(b"sequence 1")
    sender.send_packet(Packet([header]))
    header[-1:] = b"2"
    assert received(receiver) == [b"sequence 1"]


def test_what_was_left_to_the_link_stays_undone_and_known(pair: Callable[..., Pair]) -> None:
    sender, receiver = pair()
    packet = Packet([b"header", b"payload"], checksum=PARTIAL, segment_size=1460)
    packet.checksum_offset = 16
    packet.prepend(b"ip")
    sender.send_packet(packet)
    sender.send_packet(Packet([b"plain"]))
    arrived = receiver.receive_packet()
    assert arrived is not None
    assert (arrived.checksum, arrived.checksum_start, arrived.checksum_offset) == (PARTIAL, 2, 16)
    assert arrived.segment_size == 1460
    arrived = receiver.receive_packet()
    assert arrived is not None
    assert (arrived.checksum, arrived.segment_size) == (UNVERIFIED, 0)


def test_a_full_queue_drops_and_counts(pair: Callable[..., Pair]) -> None:
    sender, receiver = pair(capacity=2)
    for frame in b"one", b"two", b"three", b"four":
        sender.send_packet(Packet([frame]))
    assert receiver.counters == {"queue_full": 2}
    assert received(receiver) == [b"one", b"two"]
    sender.send_packet(Packet([b"five"]))
    assert received(receiver) == [b"five"]


def test_observer_hears_of_the_first_frame_that_waits(pair: Callable[..., Pair]) -> None:
    sender, receiver = pair()
    calls: list[int] = []
    receiver.observer = lambda: calls.append(len(calls))
    sender.send_packet(Packet([b"one"]))
    sender.send_packet(Packet([b"two"]))
    assert len(calls) == 1
    received(receiver)
    sender.send_packet(Packet([b"three"]))
    assert len(calls) == 2


def test_a_taker_gets_each_frame_and_none_waits(pair: Callable[..., Pair]) -> None:
    sender, receiver = pair(capacity=1)
    taken: list[bytes] = []
    receiver.taker = lambda packet: taken.append(packet.tobytes())
    for frame in b"one", b"two":
        sender.send_packet(Packet([frame]))
    assert taken == [b"one", b"two"]
    assert received(receiver) == []
    receiver.close()
    sender.send_packet(Packet([b"three"]))
    assert len(taken) == 2
    assert receiver.counters == {"link_down": 1}


def test_a_closed_link_is_down(pair: Callable[..., Pair]) -> None:
    sender, receiver = pair()
    sender.send_packet(Packet([b"one"]))
    receiver.close()
    sender.send_packet(Packet([b"two"]))
    assert receiver.counters == {"link_down": 1}
    with pytest.raises(OSError, match="closed") as caught:
        receiver.receive_packet()
    assert caught.value.errno == errno.ENETDOWN


def test_they_are_links_without_a_descriptor(pair: Callable[..., Pair]) -> None:
    for link in pair():
        assert isinstance(link, Link)
        assert link.fileno() == -1


def test_loopback_does_everything_for_its_host() -> None:
    link = Loopback()
    assert link.mtu == 65536
    assert link.address is None
    assert link.offloads == Offloads.CHECKSUM | Offloads.TSO4 | Offloads.TSO6


def test_the_two_ends_of_a_wire_are_apart() -> None:
    first, second = Wire().ends
    first.send_packet(Packet([b"to second"]))
    second.send_packet(Packet([b"to first"]))
    assert received(first) == [b"to first"]
    assert received(second) == [b"to second"]
    assert first.address != second.address


def test_a_wire_is_ethernet_or_point_to_point() -> None:
    given = (b"\x02\0\0\0\0\x0a", b"\x02\0\0\0\0\x0b")
    assert tuple(end.address for end in Wire(addresses=given).ends) == given
    assert [end.address for end in Wire(ethernet=False).ends] == [None, None]


@pytest.mark.parametrize(("ethernet", "header"), [(True, 14), (False, 0)])
def test_a_wire_carries_nothing_larger_than_its_mtu(ethernet: bool, header: int) -> None:
    first, second = Wire(ethernet=ethernet, mtu=100).ends
    first.send_packet(Packet([bytes(header), bytes(101)]))
    first.send_packet(Packet([bytes(header), bytes(100)]))
    first.send_packet(Packet([bytes(header), bytes(500)], segment_size=60))
    assert [len(frame) for frame in received(second)] == [100 + header]
    assert second.counters == {"too_big": 2}


def test_a_wire_that_segments_passes_large_packets_on_uncut() -> None:
    first, second = Wire(mtu=100, offloads=Offloads.TSO4).ends
    first.send_packet(Packet([bytes(14), bytes(500)], segment_size=60))
    first.send_packet(Packet([bytes(14), bytes(500)]))
    assert [len(frame) for frame in received(second)] == [514]
