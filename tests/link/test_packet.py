"""The packet, outwards and inwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from netower.link import PARTIAL, Packet


@given(payload=st.lists(st.binary(max_size=20), min_size=1), headers=st.lists(st.binary(max_size=20)))
def test_headers_go_in_front_and_everything_is_counted(payload: list[bytes], headers: list[bytes]) -> None:
    packet = Packet(list(payload), checksum=PARTIAL)
    for header in headers:
        packet.prepend(header)
    whole = b"".join([*reversed(headers), *payload])
    assert packet.tobytes() == whole
    assert len(packet) == packet.end == len(whole)
    assert whole[packet.checksum_start :] == b"".join(payload)


def test_a_received_packet_is_a_view_that_narrows() -> None:
    frame = b"header payload padding"
    packet = Packet([frame])
    packet.offset, packet.end = 7, 14
    assert packet.view() == packet.tobytes() == b"payload"
    assert packet.view().obj is frame
    assert len(packet) == 7
    assert repr(packet) == "<Packet 7 bytes at 7 in 1 buffers>"
