"""The parts that TCP is made of, each for itself."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import scapy.layers.inet as scapy
from hypothesis import given
from hypothesis import strategies as st
from netower.net.checksum import pseudo_header_sum
from netower.transport.tcp import options as wire_options
from netower.transport.tcp.header import ACK, HEADER, PSH, SYN, TcpHeader, flag_names
from netower.transport.tcp.isn import InitialNumbers
from netower.transport.tcp.reassembly import Reassembly
from netower.transport.tcp.rtt import RoundTrip
from netower.transport.tcp.send_buffer import SendBuffer
from netower.transport.tcp.sequence import MASK, extend, older
from netower.transport.tcp.settings import TcpSettings
from netower.transport.tcp.state import TRANSITIONS, Event, State, document, dot, follow, mermaid

from .peer import OURS, THEIRS, Peer

NUMBERS = st.integers(0, MASK)


# sequence numbers


@given(near=st.integers(0, 1 << 40), distance=st.integers(-(1 << 31) + 1, (1 << 31) - 1))
def test_a_number_is_extended_to_the_nearest(near: int, distance: int) -> None:
    assert extend((near + distance) & MASK, near) == near + distance


@given(first=NUMBERS, distance=st.integers(1, (1 << 31) - 1))
def test_older_is_modular(first: int, distance: int) -> None:
    second = (first + distance) & MASK
    assert older(first, second)
    assert not older(second, first)
    assert not older(first, first)


# the header


@given(
    ports=st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    numbers=st.tuples(NUMBERS, NUMBERS),
    words=st.tuples(*[st.integers(0, 65535)] * 4),
)
def test_both_readings_of_the_header_agree(
    ports: tuple[int, int], numbers: tuple[int, int], words: tuple[int, int, int, int]
) -> None:
    data = HEADER.pack(*ports, *numbers, *words)
    parsed = TcpHeader.parse(data)
    bits = parsed.offset_and_flags
    assert (parsed.source_port, parsed.destination_port) == ports
    assert (parsed.sequence_number, parsed.acknowledgment_number) == numbers
    assert bits.data_offset == words[0] >> 12
    assert bits.reserved == words[0] >> 8 & 15
    assert [bits[name] for name in ("cwr", "ece", "urg", "ack", "psh", "rst", "syn", "fin")] == [
        bool(words[0] & 1 << bit) for bit in range(7, -1, -1)
    ]
    assert (parsed.window, parsed.checksum, parsed.urgent_pointer) == words[1:]
    assert TcpHeader.build(parsed) == data


@given(payload=st.binary(max_size=50), timestamps=st.booleans())
def test_what_is_sent_is_what_scapy_reads(payload: bytes, timestamps: bool) -> None:
    peer = Peer(timestamps=timestamps, shift=3)
    connection = peer.open()
    connection.write(payload or b"-")
    peer.scheduler.flush()
    packet, _ = peer.internet.sent[0]
    data = packet.tobytes()
    assert data[16:18] == pseudo_header_sum(OURS, THEIRS, 6, len(data)).to_bytes(2)
    segment = scapy.TCP(data)
    assert (segment.sport, segment.dport, segment.flags) == (80, 4000, "PA")
    assert segment.seq == (connection.iss + 1) & MASK
    assert segment.ack == 1001
    assert bytes(segment.payload) == (payload or b"-")
    assert dict(segment.options).get("Timestamp") == ((connection.timestamp_offset + 1_000_000) & MASK, peer.stamp()) \
        or not timestamps  # fmt: skip


def test_flags_have_names() -> None:
    assert flag_names(SYN | ACK | PSH) == "SYN,PSH,ACK"


# options


def test_options_of_a_syn_are_what_scapy_reads() -> None:
    data = wire_options.build_syn(1460, 7, (1, 2))
    segment = scapy.TCP(HEADER.pack(1, 2, 0, 0, (20 + len(data)) << 10 | SYN, 0, 0, 0) + data)
    known = [option for option in segment.options if option[0] != "NOP"]
    assert known == [("MSS", 1460), ("Timestamp", (1, 2)), ("WScale", 7)]


@given(
    mss=st.integers(1, 65535),
    shift=st.none() | st.integers(0, 255),
    stamps=st.none() | st.tuples(NUMBERS, NUMBERS),
    sack=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=2),
)
def test_options_are_read_as_scapy_wrote_them(
    mss: int, shift: int | None, stamps: tuple[int, int] | None, sack: list[tuple[int, int]]
) -> None:
    options: list[object] = [("MSS", mss), ("SAckOK", b""), (200, b"unknown")]
    options += [("WScale", shift)] if shift is not None else []
    options += [("Timestamp", stamps)] if stamps else []
    data = bytes(scapy.TCP(options=options))[20:]
    blocks = b"".join(left.to_bytes(4) + right.to_bytes(4) for left, right in sack)
    data = bytes([wire_options.SACK, 2 + len(blocks)]) + blocks + data
    read = wire_options.parse(b"head" + data, 4, 4 + len(data))
    assert read.mss == mss
    assert read.sack_permitted
    assert read.window_shift == (None if shift is None else min(shift, 14))
    assert read.timestamp == (stamps[0] if stamps else None)
    assert read.timestamp_echo == (stamps[1] if stamps else 0)
    assert read.sack == sack


@given(st.binary(max_size=40))
def test_any_options_can_be_read(data: bytes) -> None:
    wire_options.parse(data, 0, len(data))


def test_one_option_in_full() -> None:
    stamps = wire_options.TcpOption.parse(b"\x08\x0a\0\0\0\x01\0\0\0\x02")
    assert (stamps.kind, stamps.value.value, stamps.value.echo_reply) == (8, 1, 2)
    assert wire_options.TcpOption.parse(b"\x01").value is None


# the send buffer


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=6000), min_size=1, max_size=12),
    steps=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans()), max_size=10),
)
def test_the_send_buffer_is_a_byte_string(chunks: list[bytes], steps: list[tuple[float, float, bool]]) -> None:
    buffer = SendBuffer(100)
    whole = b"".join(chunks)
    for chunk in chunks:
        buffer.append(chunk)
    assert buffer.end == 100 + len(whole)
    for where, size, acknowledge in steps:
        start = buffer.start + int(where * (buffer.end - buffer.start))
        length = int(size * (buffer.end - start))
        if length:
            assert b"".join(buffer.slices(start, length)) == whole[start - 100 : start - 100 + length]
        if acknowledge:
            buffer.acknowledge(start)
            assert buffer.start == start


def test_large_writes_are_not_copied_and_small_ones_put_together() -> None:
    buffer = SendBuffer(0)
    large = bytes(10000)
    buffer.append(large)
    (view,) = buffer.slices(10, 100)
    assert isinstance(view, memoryview)
    assert view.obj is large
    for _ in range(10000):
        buffer.append(b"x")
    assert len(buffer.slices(0, 20000)) < 10


def test_acknowledged_chunks_leave() -> None:
    buffer = SendBuffer(0)
    for number in range(1000):
        buffer.append(bytes([number % 256]) * 5000)
        if number >= 10:
            buffer.acknowledge((number - 9) * 5000)
            assert b"".join(buffer.slices(buffer.start, 2)) == bytes([(number - 9) % 256]) * 2
    assert len(buffer._chunks) < 200


# reassembly


@given(seed=st.integers(0, 1 << 32), pieces=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=30))
def test_reassembly_keeps_what_came_first(seed: int, pieces: list[tuple[int, int]]) -> None:
    random = Random(seed)
    kept: dict[int, int] = {}
    reassembly = Reassembly()
    for start, size in pieces:
        data = random.randbytes(size)
        reassembly.insert(start, memoryview(data))
        for at, byte in enumerate(data, start):
            kept.setdefault(at, byte)
    at = min(kept, default=0)
    expected = bytearray()
    while at + len(expected) in kept:
        expected.append(kept[at + len(expected)])
    assert b"".join(reassembly.take(at)) == bytes(expected)
    assert bool(len(reassembly)) == (len(kept) > len(expected))


def test_reassembly_is_bounded() -> None:
    reassembly = Reassembly()
    for number in range(10000):
        reassembly.insert(number * 2, memoryview(b"x"))
    assert len(reassembly) <= 4096


def test_taking_skips_what_was_received_otherwise() -> None:
    reassembly = Reassembly()
    reassembly.insert(5, memoryview(b"fgh"))
    reassembly.insert(10, memoryview(b"k"))
    assert reassembly.take(4) == []
    assert b"".join(reassembly.take(7)) == b"h"
    assert len(reassembly) == 1


# round trips, initial numbers


def test_the_time_out_follows_the_round_trip() -> None:
    rtt = RoundTrip(1.0, TcpSettings())
    rtt.measured(0.5, 1, 1)
    assert (rtt.srtt, rtt.rttvar, rtt.rto) == (0.5, 0.25, 1.5)  # RFC 6298 §2.2
    rtt.measured(0.9, 2, 9)
    assert rtt.rttvar == pytest.approx(0.75 * 0.25 + 0.25 * 0.4)
    assert rtt.srtt == pytest.approx(0.55)
    for _ in range(100):
        rtt.measured(0.001, 3, 9)
    assert rtt.rto > 1.0  # the variation falls once for each window
    for number in range(100):
        rtt.measured(0.001, 10 + number, 10 + number)
    assert rtt.rto == pytest.approx(rtt.srtt + 0.2)


def test_initial_numbers_grow_and_differ() -> None:
    numbers = InitialNumbers(Random(1))
    first, offset = numbers.choose(b"one", 5.0)
    assert numbers.choose(b"one", 5.0) == (first, offset)
    assert (numbers.choose(b"one", 6.0)[0] - first) & MASK == 250_000  # a tick is 4 µs
    assert numbers.choose(b"two", 5.0)[0] != first
    assert InitialNumbers(Random(2)).choose(b"one", 5.0) != (first, offset)


# the state machine


def test_every_state_can_be_reached_and_left() -> None:
    reached = set(TRANSITIONS.values())
    assert reached == set(State)
    assert {state for state, _ in TRANSITIONS} == set(State)


def test_what_a_state_does_not_know_is_an_error() -> None:
    with pytest.raises(KeyError):
        follow(State.LISTEN, Event.FIN)


def test_the_machine_draws_itself() -> None:
    assert "FIN_WAIT_1 --> CLOSING : receive FIN, send ACK" in mermaid()
    assert '"FIN-WAIT-1" -> "CLOSING" [label="receive FIN, send ACK"];' in dot()
    assert (Path(__file__).parents[2] / "docs/tcp-states.md").read_text() == document()
