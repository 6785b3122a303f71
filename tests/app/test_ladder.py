"""The ladder diagram, of captures that an independent library wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from netower.app.command import main
from netower.app.dissect import read_segments
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw
from scapy.utils import PcapWriter, wrpcap

CLIENT, SERVER = "10.77.0.1", "10.77.0.2"
ISN = 0xFFFFFFF0  # so that numbers wrap


def to_server(flags: str, seq: int, ack: int = 0, data: bytes = b"", port: int = 50000, **more: object) -> Packet:
    return _packet(CLIENT, SERVER, port, 80, flags, ISN + seq, 9000 + ack if "A" in flags else 0, data, more)


def to_client(flags: str, seq: int, ack: int = 0, data: bytes = b"", port: int = 50000, **more: object) -> Packet:
    return _packet(SERVER, CLIENT, 80, port, flags, 9000 + seq, ISN + ack, data, more)


def _packet(
    source: str,
    destination: str,
    sport: int,
    dport: int,
    flags: str,
    seq: int,
    ack: int,
    data: bytes,
    more: dict[str, object],
) -> Packet:
    layers = Ether() / IP(src=source, dst=destination)
    segment = TCP(sport=sport, dport=dport, flags=flags, seq=seq % 2**32, ack=ack % 2**32, **more)
    return layers / segment / Raw(data) if data else layers / segment


def exchange(port: int = 50000) -> list[Packet]:
    return [
        to_server("S", 0, port=port, options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 0)), ("WScale", 7)]),
        to_client("SA", 0, 1, port=port, options=[("MSS", 1400)]),
        to_server("A", 1, 1, port=port),
        to_server("PA", 1, 1, b"x" * 100, port=port),
        to_client("A", 1, 101, port=port),
        to_client("FA", 1, 101, port=port),
        to_server("FA", 101, 2, port=port),
        to_client("A", 2, 102, port=port),
    ]


def write(path: Path, packets: Sequence[Packet], **options: object) -> Path:
    for number, packet in enumerate(packets):
        packet.time = 1000 + number * 0.00025
    with PcapWriter(str(path), **options) as writer:
        for packet in packets:
            writer.write(packet)
    return path


def ladder(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["ladder", *map(str, arguments)])


def test_handshake_data_and_close_are_drawn_in_order(tmp_path: Path) -> None:
    result = ladder(write(tmp_path / "a.pcap", exchange()))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == [f"{CLIENT}:50000", f"{SERVER}:80"]
    rungs = [line for line in lines if "seq=" in line]
    expected = [
        ("0.000 ms", "SYN seq=0 win=8192 <mss 1460, sack permitted, window scale 7, ts 7 0>", "▶"),
        ("0.250 ms", "SYN,ACK seq=0 ack=1 win=8192 <mss 1400>", "◀"),
        ("0.500 ms", "ACK seq=1 ack=1 win=8192", "▶"),
        ("0.750 ms", "PSH,ACK seq=1 ack=1 win=8192 len=100", "▶"),
        ("1.000 ms", "ACK seq=1 ack=101 win=8192", "◀"),
        ("1.250 ms", "FIN,ACK seq=1 ack=101 win=8192", "◀"),
        ("1.500 ms", "FIN,ACK seq=101 ack=2 win=8192", "▶"),
        ("1.750 ms", "ACK seq=2 ack=102 win=8192", "◀"),
    ]
    assert len(rungs) == len(expected)
    for line, (time, words, head) in zip(rungs, expected, strict=True):
        assert line.split("│")[0].strip() == time
        assert f" {words} " in line
        assert head in line
    assert len({len(line) for line in rungs}) == 1


@pytest.mark.parametrize("options", [{"nano": True}, {"endianness": ">"}, {"endianness": ">", "nano": True}])
def test_every_kind_of_pcap_is_read(tmp_path: Path, options: dict[str, object]) -> None:
    packets = exchange()
    segments = list(read_segments(write(tmp_path / "a.pcap", packets, **options)))
    assert [segment.sequence for segment in segments] == [packet[TCP].seq for packet in packets]
    assert segments[1].time - segments[0].time == pytest.approx(0.00025, abs=2e-6)


def test_packets_without_a_link_layer_are_read(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "raw.pcap"), [packet[IP] for packet in exchange()], linktype=101)
    assert len(list(read_segments(tmp_path / "raw.pcap"))) == 8


def test_what_is_not_tcp_is_left_out(tmp_path: Path) -> None:
    others = [Ether() / ARP(), Ether() / IP() / UDP(), Ether() / IP(frag=1, flags="MF", proto=6) / Raw(b"x" * 40)]
    assert list(read_segments(write(tmp_path / "a.pcap", others))) == []
    result = ladder(tmp_path / "a.pcap")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "no TCP" in result.stderr


def test_ports_used_again_begin_a_new_connection(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pcap", exchange() + exchange() + exchange(50001))
    assert "3 connections" in ladder(path).stderr
    assert ladder(path, "--all").stdout.count("<mss 1460") == 3
    assert f"{CLIENT}:50001" in ladder(path, "--connection", 3).stdout
    assert ladder(path, "--connection", 4).exit_code == 2


def test_long_connections_are_cut_short(tmp_path: Path) -> None:
    result = ladder(write(tmp_path / "a.pcap", exchange()), "--limit", 3)
    assert result.stdout.count("seq=") == 3
    assert "5 more segments" in result.stdout


def test_labels_that_are_too_long_continue_below(tmp_path: Path) -> None:
    sack = [("SAck", (1, 2, 3, 4, 5, 6)), ("Timestamp", (4000000000, 4000000001))]
    result = ladder(write(tmp_path / "a.pcap", [*exchange(), to_server("A", 1, 1, options=sack)]))
    assert "sack 1-2, sack 3-4, sack 5-6, ts 4000000000 4000000001" in result.stdout


def test_other_files_are_one_line_of_error(tmp_path: Path) -> None:
    (tmp_path / "text.pcap").write_text("these are not packets, these are words")
    result = ladder(tmp_path / "text.pcap")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


@given(st.binary(max_size=120))
def test_any_frame_whatever_is_read_or_left_out(tmp_path_factory: pytest.TempPathFactory, frame: bytes) -> None:
    path = tmp_path_factory.mktemp("frames") / "a.pcap"
    wrpcap(str(path), [Raw(bytes(12) + b"\x08\x00" + frame)], linktype=1)
    list(read_segments(path))
