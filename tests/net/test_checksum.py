"""Checksums against an oracle that adds words one by one, as RFC 1071 describes it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from netower.link import PARTIAL, UNVERIFIED, VERIFIED, Packet
from netower.net.checksum import checksum, pseudo_header_sum, update, verify_transport

WORD = st.integers(0, 0xFFFF)


def naive(data: bytes) -> int:
    total = 0
    for index in range(0, len(data), 2):
        total += int.from_bytes(data[index : index + 2].ljust(2, b"\0"))
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.lists(st.binary(max_size=50), max_size=6))
@settings(deadline=None)
def test_the_borders_of_buffers_do_not_matter(buffers: list[bytes]) -> None:
    assert checksum([memoryview(buffer) for buffer in buffers]) == naive(b"".join(buffers)) ^ 0xFFFF


@given(st.sampled_from([4, 16]), st.data(), st.integers(1, 255), WORD)
@settings(deadline=None)
def test_the_pseudo_header(size: int, data: st.DataObject, protocol: int, length: int) -> None:
    source, destination = (data.draw(st.binary(min_size=size, max_size=size)) for _ in range(2))
    written = source + destination + protocol.to_bytes(2) + length.to_bytes(2)
    assert pseudo_header_sum(source, destination, protocol, length) == naive(written)


@given(st.binary(min_size=4, max_size=40), WORD)
@settings(deadline=None)
def test_a_word_changes_and_so_does_the_checksum(data: bytes, new: int) -> None:
    data = b"\x45" + data  # a header is never all zero
    before = naive(data) ^ 0xFFFF
    after = naive(new.to_bytes(2) + data[2:])
    changed = update(before, int.from_bytes(data[:2]), new)
    assert changed == after ^ 0xFFFF or (after == 0 and changed == 0)


@given(st.binary(min_size=1, max_size=60), st.integers(0, 7))
@settings(deadline=None)
def test_a_transport_checksum_is_verified_where_nobody_has(payload: bytes, flipped: int) -> None:
    source, destination = b"\x0a\0\0\1", b"\x0a\0\0\2"
    payload += bytes(len(payload) & 1)
    length = len(payload) + 2
    sum_so_far = naive(source + destination + bytes([0, 17]) + length.to_bytes(2) + payload)
    good = payload + (sum_so_far ^ 0xFFFF).to_bytes(2)
    bad = bytes([good[0] ^ 1 << flipped]) + good[1:]
    for data, known, right in (
        (good, UNVERIFIED, True),
        (bad, UNVERIFIED, False),
        (bad, VERIFIED, True),
        (bad, PARTIAL, True),
    ):
        packet = Packet([b"head" + data], checksum=known)
        packet.offset, packet.source, packet.destination = 4, source, destination
        assert verify_transport(packet, 17) is right
    assert packet.checksum == PARTIAL
