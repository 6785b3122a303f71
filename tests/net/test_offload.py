"""What the host does where a link does not, checked by scapy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netower.link import PARTIAL, Offloads, Packet
from netower.net.address import parse
from netower.net.checksum import pseudo_header_sum
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

HERE, THERE = parse("10.0.0.1"), parse("10.0.0.2")
MAC = b"\x02\0\0\0\0\x09"


def tcp_packet(payload: list[bytes], mss: int, options: bytes = b"", flags: int = 0x99) -> Packet:
    """A large packet as TCP hands it down: PARTIAL, in several buffers."""
    size = 20 + len(options) + sum(map(len, payload))
    header = bytearray(bytes(TCP(sport=1, dport=2, seq=0xFFFFFF00, ack=5, flags=flags))[:20] + options)
    header[12] = (len(header) // 4) << 4
    header[16:18] = pseudo_header_sum(HERE, THERE, 6, size).to_bytes(2)
    packet = Packet([header, *payload], checksum=PARTIAL, segment_size=mss)
    packet.checksum_offset = 16
    return packet


@pytest.fixture
def sender(network):
    """A host on a wire that does what it is asked to, and the frames it sends."""

    def make(offloads: Offloads):
        host = network.host()
        frames, _ = network.connect(host, "10.0.0.1/24", network.host(), "10.0.0.2/24", offloads=offloads)
        frames.sent.clear()
        host.interfaces[0].neighbors.set(THERE, MAC)
        return host, frames.sent

    return make


def checked(frame: bytes) -> IP:
    """The packet in a frame, after scapy has computed the same checksums for it."""
    packet = Ether(frame)[IP]
    again = packet.copy()
    del again.chksum, again.payload.chksum
    again = IP(bytes(again))
    assert (packet.chksum, packet.payload.chksum) == (again.chksum, again.payload.chksum)
    assert packet.len == len(frame) - 14
    return packet


@pytest.mark.parametrize("offloads", [Offloads.NONE, Offloads.CHECKSUM])
@pytest.mark.parametrize("options", [b"", b"\x01\x01\x08\x0a" + bytes(8)])
def test_segments_are_those_of_one_large_packet(sender, offloads: Offloads, options: bytes) -> None:
    host, frames = sender(offloads)
    data = [bytes(range(250)) * 10, b"odd", bytes(range(256)) * 20]
    whole = b"".join(data)
    host.path(THERE).send(tcp_packet(data, 1400, options), 6, traffic_class=4)
    assert len(frames) == -(-len(whole) // 1400)
    received = b""
    for number, frame in enumerate(frames):
        if offloads & Offloads.CHECKSUM:  # the link would have completed it
            assert int.from_bytes(frame[50:52]) == pseudo_header_sum(HERE, THERE, 6, len(frame) - 34)
            packet = Ether(frame)[IP]
        else:
            packet = checked(frame)
        tcp = packet[TCP]
        assert tcp.seq == (0xFFFFFF00 + len(received)) & 0xFFFFFFFF
        assert packet.id == number
        assert packet.tos == 4
        last = number == len(frames) - 1
        assert int(tcp.flags) == 0x10 | (0x09 if last else 0) | (0x80 if not number else 0)
        received += bytes(tcp.payload)
    assert received == whole
    assert host.interfaces[0].tx_packets == len(frames) + 1  # and the announcement


@given(st.lists(st.binary(max_size=41), max_size=4))
@settings(deadline=None)
def test_checksums_are_completed_across_buffers(payload: list[bytes]) -> None:
    from netower.net import offload

    size = 8 + sum(map(len, payload))
    header = bytearray(bytes(UDP(sport=7, dport=9, len=size, chksum=0)))
    header[6:8] = pseudo_header_sum(HERE, THERE, 17, size).to_bytes(2)
    packet = Packet([header, *payload], checksum=PARTIAL)
    packet.checksum_offset = 6
    packet.prepend(b"some header")
    offload.complete(packet)
    expected = IP(bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=7, dport=9) / b"".join(payload)))[UDP]
    assert packet.tobytes() == b"some header" + bytes(expected)


def test_a_link_that_segments_gets_the_packet_whole(sender) -> None:
    host, frames = sender(Offloads.CHECKSUM | Offloads.TSO4)
    host.path(THERE).send(tcp_packet([bytes(60000)], 1400), 6)
    assert [len(frame) for frame in frames] == [60054]


def test_segments_larger_than_the_mtu_are_refused(sender) -> None:
    host, frames = sender(Offloads.CHECKSUM | Offloads.TSO4)
    for size, mss in ((60000, 1461), (65516, 1400)):
        with pytest.raises(OSError, match="does not fit"):
            host.path(THERE).send(tcp_packet([bytes(size)], mss), 6)
    assert frames == []
