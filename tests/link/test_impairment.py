"""Impairments: links around links, by chance and exactly."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netower.link import PARTIAL, UNVERIFIED, Link, Packet, Scheduler, Wire, WireEnd
from netower.link.chance import GilbertElliott, Independent
from netower.link.checksum import ones_complement_sum
from netower.link.impairment import Delay, Drop, Duplicate, Impairment, Rewrite, flip_bit


def frames(end: WireEnd) -> list[bytes]:
    return [packet.tobytes() for packet in iter(end.receive_packet, None)]


def numbered(number: int) -> Packet:
    return Packet([number.to_bytes(20)])


def third(packet: Packet) -> bool:
    return packet.tobytes()[-1] == 3


def test_drop_loses_what_is_picked() -> None:
    first, second = Wire().ends
    link = Drop(first, third)
    for number in range(1, 6):
        link.send_packet(numbered(number))
    assert [frame[-1] for frame in frames(second)] == [1, 2, 4, 5]
    assert link.count == 1


def test_duplicate_sends_twice_and_neither_knows_of_the_other() -> None:
    first, second = Wire().ends
    packet = Packet([bytearray(10), b"\x03"])
    Duplicate(first, third).send_packet(packet)
    one, two = second.receive_packet(), second.receive_packet()
    assert one is not None
    assert two is not None
    one.offset = 5
    assert two.offset == 0
    assert two.tobytes() == bytes(10) + b"\x03"


def test_delay_lets_others_pass() -> None:
    scheduler = Scheduler()
    first, second = Wire().ends
    link = Delay(first, third, scheduler, 0.5)
    header = bytearray(19)
    link.send_packet(Packet([header, b"\x03"]))
    header[0] = 7  # the sender may use its buffers again
    link.send_packet(numbered(4))
    assert [frame[-1] for frame in frames(second)] == [4]
    scheduler.advance(0.5)
    assert frames(second) == [bytes(19) + b"\x03"]


def partial(payload: bytes) -> Packet:
    """An Ethernet frame with a checksum left to the link, as TCP leaves it."""
    packet = Packet([bytes(12) + b"\x08\x00", bytearray(20), payload], checksum=PARTIAL)
    packet.checksum_start = 34
    packet.checksum_offset = 0
    return packet


def test_rewrite_sees_a_finished_frame_and_its_result_is_verified() -> None:
    first, second = Wire().ends
    seen: list[bytes] = []

    def change(frame: bytearray) -> bytes:
        seen.append(bytes(frame))
        return b"other"

    Rewrite(first, lambda _: True, change).send_packet(partial(b"\0\0abcd"))
    assert ones_complement_sum(seen[0][34:]) == 0xFFFF
    arrived = second.receive_packet()
    assert arrived is not None
    assert (arrived.tobytes(), arrived.checksum) == (b"other", UNVERIFIED)


@given(st.binary(min_size=2, max_size=100), st.integers())
def test_corruption_never_passes_the_checksum(payload: bytes, seed: int) -> None:
    first, second = Wire().ends
    link = Rewrite(first, lambda _: True, flip_bit(Random(seed)))
    link.send_packet(partial(b"\0\0" + payload))
    arrived = second.receive_packet()
    assert arrived is not None
    assert arrived.checksum == UNVERIFIED
    body = arrived.tobytes()
    in_network_header = body[14:34] != bytes(20)
    assert in_network_header or ones_complement_sum(body[34:]) != 0xFFFF
    assert body[:14] == bytes(12) + b"\x08\x00"


def test_corruption_spares_arp() -> None:
    flip = flip_bit(Random(1))
    frame = bytes(12) + b"\x08\x06" + bytes(28)
    assert flip(bytearray(frame)) == frame


@pytest.mark.parametrize("probability", [0.0, 0.01, 0.3, 1.0])
def test_independent_chance(probability: float) -> None:
    picks = Independent(Random(5), probability)
    packet = numbered(0)
    share = sum(picks(packet) for _ in range(20_000)) / 20_000
    assert share == pytest.approx(probability, abs=0.01)


def test_gilbert_elliott_comes_in_bursts() -> None:
    picks = GilbertElliott(Random(5), 0.01, 0.25)
    packet = numbered(0)
    drawn = "".join("x" if picks(packet) else " " for _ in range(100_000))
    bursts = drawn.split()
    assert drawn.count("x") / len(drawn) == pytest.approx(0.01 / 0.26, rel=0.1)
    assert drawn.count("x") / len(bursts) == pytest.approx(4, rel=0.1)


def test_gilbert_elliott_with_losses_in_either_state() -> None:
    picks = GilbertElliott(Random(5), 0.5, 0.5, bad=0.4, good=0.2)
    packet = numbered(0)
    assert sum(picks(packet) for _ in range(50_000)) / 50_000 == pytest.approx(0.3, abs=0.01)


def test_an_impairment_is_a_link() -> None:
    first, second = Wire().ends
    link: Impairment = Drop(first, third)
    assert isinstance(link, Link)
    assert (link.mtu, link.address, link.offloads, link.fileno()) == (1500, first.address, first.offloads, -1)
    woken: list[int] = []
    link.observer = lambda: woken.append(1)
    second.send_packet(numbered(3))
    assert woken == [1]
    assert link.receive_packet() is not None
    assert link.counters is first.counters
    link.close()
    with pytest.raises(OSError, match="closed"):
        first.receive_packet()
