"""Captures, read by independent readers: scapy, and tcpdump where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from netower.link import PARTIAL, Link, Loopback, Packet, Wire
from netower.link.capture import Capture
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapReader, rdpcap


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.25

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


def unfinished(payload: bytes) -> tuple[Packet, bytes]:
    """A TCP packet whose checksum is left to the link, and how it looks when it is finished."""
    finished = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2) / payload)
    pseudo = sum([0x0A00, 1, 0x0A00, 2, 6, 20 + len(payload)])
    header = finished[20:36] + pseudo.to_bytes(2) + finished[38:40]
    packet = Packet([header, payload], checksum=PARTIAL)
    packet.checksum_offset = 16
    packet.prepend(finished[:20])
    return packet, finished


def test_frames_both_ways_with_their_times(tmp_path: Path) -> None:
    first, second = Wire().ends
    path = tmp_path / "wire.pcap"
    capture = Capture(first, path, Clock())
    frames = [bytes(Ether() / IP(dst="10.0.0.2") / UDP(dport=port) / b"data") for port in range(3)]
    capture.send_packet(Packet([frames[0][:14], frames[0][14:]]))
    second.send_packet(Packet([frames[1]]))
    assert capture.receive_packet() is not None
    assert capture.receive_packet() is None
    capture.send_packet(Packet([frames[2]]))
    packets = rdpcap(str(path))  # while the capture goes on
    assert [bytes(packet) for packet in packets] == frames
    assert [float(packet.time) for packet in packets] == [1_700_000_000.75, 1_700_000_001.25, 1_700_000_001.75]
    assert all(packet.haslayer(Ether) for packet in packets)
    capture.close()


def test_what_passes_is_the_same_as_without_capture(tmp_path: Path) -> None:
    first, second = Wire().ends
    capture = Capture(first, tmp_path / "wire.pcap", Clock())
    packet, _ = unfinished(b"data")
    whole = packet.tobytes()
    capture.send_packet(packet)
    arrived = second.receive_packet()
    assert arrived is not None
    assert arrived.tobytes() == whole
    assert (arrived.checksum, arrived.checksum_start, arrived.checksum_offset) == (PARTIAL, 20, 16)
    capture.close()


def test_unfinished_checksums_are_finished_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "loopback.pcap"
    capture = Capture(Loopback(), path, Clock())
    packet, finished = unfinished(b"odd")
    capture.send_packet(packet)
    assert capture.receive_packet() is not None
    capture.close()
    assert [bytes(packet) for packet in rdpcap(str(path))] == [finished, finished]


def test_link_types(tmp_path: Path) -> None:
    for name, ethernet, link_type in ("ether", True, 1), ("raw", False, 101):
        capture = Capture(Wire(ethernet=ethernet).ends[0], tmp_path / name, Clock())
        capture.close()
        with RawPcapReader(str(tmp_path / name)) as reader:
            assert reader.linktype == link_type


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="there is no tcpdump here")
@pytest.mark.usefixtures("droppable_privileges")  # which tcpdump does when it is root
def test_tcpdump_reads_it_without_complaint(tmp_path: Path) -> None:
    path = tmp_path / "raw.pcap"
    capture = Capture(Wire(ethernet=False).ends[0], path, Clock())
    capture.send_packet(unfinished(b"payload")[0])
    capture.close()
    result = subprocess.run(["tcpdump", "-nvvttr", str(path)], capture_output=True, text=True, timeout=30, check=True)
    assert "1700000000.750000" in result.stdout
    assert "10.0.0.1.1 > 10.0.0.2.2" in result.stdout
    assert "(correct)" in result.stdout


def test_everything_else_is_the_links(tmp_path: Path) -> None:
    link = Loopback(mtu=1280, capacity=1)
    capture = Capture(link, tmp_path / "loopback.pcap", Clock())
    assert isinstance(capture, Link)
    assert (capture.mtu, capture.address, capture.offloads, capture.fileno()) == (1280, None, link.offloads, -1)
    calls: list[None] = []
    capture.observer = lambda: calls.append(None)
    assert link.observer is capture.observer
    capture.send_packet(Packet([b"one"]))
    capture.send_packet(Packet([b"two"]))
    assert len(calls) == 1
    assert capture.counters == {"queue_full": 1}
    capture.close()
    with pytest.raises(OSError, match="closed"):
        link.receive_packet()
        link.receive_packet()


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Capture(Loopback(), tmp_path / "no" / "such" / "folder", Clock())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_from_the_start() -> None:
    with pytest.raises(OSError, match="No space left"):
        Capture(Loopback(), "/dev/full", Clock())


def test_a_disk_that_fills_up_ends_the_recording_but_not_the_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "loopback.pcap"
    link = Loopback()
    capture = Capture(link, path, Clock())
    capture.send_packet(Packet([b"\x45 recorded"]))

    def write_half(descriptor: int, buffers: list[bytes]) -> int:
        return os.write(descriptor, b"".join(buffers)[:20])

    monkeypatch.setattr(os, "writev", write_half)
    capture.send_packet(Packet([b"\x45 does not fit"]))
    monkeypatch.undo()
    capture.send_packet(Packet([b"\x45 too late"]))
    capture.close()
    assert capture.error is not None
    with RawPcapReader(str(path)) as reader:
        assert [data for data, _ in reader] == [b"\x45 recorded"]
