"""The fast sum against the definition of RFC 1071, word by word with end-around carry."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from netower.link.checksum import complete_checksum, ones_complement_sum
from scapy.layers.inet import IP, TCP, UDP

# A few bytes repeated reach every size at which the arithmetic changes its way, which drawing bytes would not.
buffers = st.builds(
    lambda block, times, tail: block * times + tail,
    st.binary(min_size=1, max_size=40),
    st.sampled_from([0, 1, 20, 37, 50, 400, 1700]),
    st.binary(max_size=700),
)


def naive_sum(data: bytes, start: int = 0) -> int:
    total = start
    for high, low in zip(data[::2], (data + b"\0")[1::2], strict=False):
        total += high << 8 | low
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(data=buffers, start=st.integers(0, 0xFFFF))
@example(data=b"", start=0)
@example(data=b"", start=0xFFFF)
@example(data=bytes(2000), start=0)
@example(data=b"\xff" * 65535, start=0)
@example(data=b"\xff" * 601, start=0xFFFF)
def test_sum_is_the_definition(data: bytes, start: int) -> None:
    expected = naive_sum(data, start)
    assert ones_complement_sum(data, start) == expected
    assert ones_complement_sum(bytearray(data), start) == expected
    assert ones_complement_sum(memoryview(data), start) == expected


@given(first=buffers, second=buffers)
def test_sums_go_on_from_one_another(first: bytes, second: bytes) -> None:
    first += b"\0" * (len(first) & 1)
    assert ones_complement_sum(second, ones_complement_sum(first)) == naive_sum(first + second)


@given(payload=buffers, udp=st.booleans())
def test_completed_checksums_are_the_ones_scapy_computes(payload: bytes, udp: bool) -> None:
    payload = payload[:60000]
    transport = UDP(sport=1, dport=2) if udp else TCP(sport=1, dport=2)
    theirs = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / transport / payload)
    offset = 6 if udp else 16
    pseudo = bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, 17 if udp else 6]) + (len(theirs) - 20).to_bytes(2)
    ours = bytearray(theirs)
    ours[20 + offset : 22 + offset] = naive_sum(pseudo).to_bytes(2)
    complete_checksum(ours, 20, offset)
    if not udp and theirs[36:38] == b"\0\0":
        theirs = theirs[:36] + b"\xff\xff" + theirs[38:]  # the same number
    assert ours == theirs
