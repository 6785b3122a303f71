"""Marks on frames (RFC 3168 §5)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netower.link import PARTIAL, Packet, Wire
from netower.link.checksum import ones_complement_sum
from netower.link.mark import Mark
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether


def passed(frame: bytes, *cuts: int) -> tuple[bytes, Mark]:
    """What becomes of a frame that is in pieces, cut at these places."""
    first, second = Wire().ends
    mark = Mark(first, lambda _: True)
    places = [0, *cuts, len(frame)]
    mark.send_packet(Packet([frame[a:b] for a, b in pairwise(places)]))
    arrived = second.receive_packet()
    assert arrived is not None
    return arrived.tobytes(), mark


@given(st.integers(0, 255), st.binary(max_size=50), st.integers(0, 65535), st.sampled_from([14, 20, 34]))
def test_a_capable_packet_gets_a_mark_and_stays_right(tos: int, payload: bytes, ident: int, cut: int) -> None:
    before = bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2", tos=tos, id=ident) / UDP() / payload)
    frame, mark = passed(before, cut)
    capable = tos & 3 in (1, 2)
    assert mark.count == capable
    if capable:
        assert frame[15] == tos | 3
        assert ones_complement_sum(frame[14:34]) == 0xFFFF
        assert frame[34:] == before[34:]
        assert bytes(Ether(frame)) == frame
    else:
        assert frame == before


@pytest.mark.parametrize(("before", "after"), [(0x00, 0x00), (0x2A, 0x2B), (0x29, 0x2B), (0x2B, 0x2B)])
def test_version_6_is_marked_too(before: int, after: int) -> None:
    frame, _ = passed(bytes(Ether() / IPv6(tc=before) / UDP() / b"data"))
    assert Ether(frame)[IPv6].tc == after


def test_nothing_else_is_touched() -> None:
    for frame in (bytes(Ether() / ARP(psrc="1.2.3.2")), b"\x02" * 12 + b"\x08", bytes(16)):
        assert passed(frame)[0] == frame


def test_what_is_left_to_be_done_stays_so() -> None:
    first, second = Wire().ends
    packet = Packet([bytes(Ether() / IP(tos=2) / UDP()), b"data"], checksum=PARTIAL)
    packet.checksum_start, packet.checksum_offset = 34, 6
    Mark(first, lambda _: True).send_packet(packet)
    arrived = second.receive_packet()
    assert arrived is not None
    assert (arrived.checksum, arrived.checksum_start, arrived.checksum_offset) == (PARTIAL, 34, 6)
