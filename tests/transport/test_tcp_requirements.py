"""What RFC 9293 asks for and no other file of these tests shows: of calls, options and the layer below."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from netower.transport.tcp import options as wire_options
from netower.transport.tcp.header import ACK, FIN, PSH, RST, SYN, URG
from netower.transport.tcp.settings import TcpOptions, TcpSettings
from netower.transport.tcp.state import State

from .peer import OURS, THEIRS, FakePath, Peer, arriving


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What each packet is handed down with."""
    found: list[dict[str, Any]] = []
    plain = FakePath.send

    def send(self: FakePath, packet: Any, protocol: int, **fields: Any) -> None:
        found.append({"source": self.source, **fields})
        plain(self, packet, protocol, **fields)

    monkeypatch.setattr(FakePath, "send", send)
    return found


def test_hop_limit_and_traffic_class_are_the_user_s(passed: list[dict[str, Any]]) -> None:
    peer = Peer()
    connection = peer.connect(TcpOptions(hop_limit=9, traffic_class=0x28))
    assert {(fields["hop_limit"], fields["traffic_class"]) for fields in passed} == {(9, 0x28)}
    passed.clear()
    connection.options.traffic_class = 0x10  # SHLD-21: while it is open
    connection.options_changed()
    connection.write(b"x")
    peer.seen()
    assert [fields["traffic_class"] for fields in passed] == [0x10]


def test_the_source_address_is_asked_for_once_and_kept(passed: list[dict[str, Any]]) -> None:
    peer = Peer()
    connection = peer.connect()
    assert connection.local[0] == OURS  # the net floor's choice
    peer.internet.address = bytes((10, 0, 0, 77))
    connection.path.valid = False
    connection.write(b"x")
    peer.seen()
    assert {fields["source"] for fields in passed} == {OURS}


def test_the_user_may_choose_the_local_address() -> None:
    peer = Peer()
    other = bytes((10, 0, 0, 5))
    peer.tcp.ports.bind(other, 7000, peer)
    connection = peer.tcp.connect((other, 7000), (THEIRS, 80))
    assert connection.local == (other, 7000)
    assert connection.path.source == other


def test_listening_goes_on_beside_connections_in_any_state() -> None:
    peer = Peer()
    connection = peer.open()
    listener = next(iter(peer.tcp.listeners.values()))[0]
    peer.port, peer.seq = 4001, 1
    peer.send(SYN)  # one is in SYN-RECEIVED now
    peer.seen()
    peer.tcp.connect((OURS, 80), (THEIRS, 9000))  # and one in SYN-SENT, from the same port
    peer.seen()
    peer.port, peer.seq = 4002, 1
    peer.send(SYN)
    peer.ack = peer.one().end
    peer.send(ACK)
    assert listener.waiting == 1
    assert connection.state is State.ESTABLISHED


def test_a_reset_may_have_data() -> None:
    peer = Peer()
    connection = peer.open()
    peer.send(RST, b"because")
    assert connection.error == errno.ECONNRESET
    assert connection.readable == 0


@pytest.mark.parametrize("window", [0, 65535])
def test_resets_and_urgent_marks_pass_a_closed_window(window: int) -> None:
    peer = Peer()
    connection = peer.open(TcpOptions(receive_buffer=2000))
    peer.data(bytes(2000))
    peer.seen()
    data = bytearray(peer.raw(ACK | URG))
    data[18:20] = (5).to_bytes(2)
    peer.tcp.receive(arriving(bytes(data)))
    assert connection.urgent == 2005
    peer.send(RST, window=window)
    assert connection.error == errno.ECONNRESET


def test_options_may_lie_anywhere_and_in_any_segment() -> None:
    unaligned = bytes((1, 2, 4, 0x02, 0x00, 3, 3, 2, 1, 1, 0, 0))
    options = wire_options.parse(unaligned, 0, len(unaligned))
    assert (options.mss, options.window_shift) == (512, 2)
    peer = Peer()
    connection = peer.open()
    peer.data(b"x", options=unaligned)
    assert connection.readable == 1
    assert connection.peer_mss == 1460  # an MSS counts in a SYN alone


def test_only_a_syn_has_an_mss_option() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.write(b"x")
    connection.close()
    segments = peer.seen()
    assert segments
    assert all(segment.options.mss is None for segment in segments)


def test_nonsensical_lengths_of_options_end_their_reading() -> None:
    peer = Peer()
    connection = peer.open()
    for length in (0, 1, 60):
        peer.data(b"x", options=bytes((254, length, 0, 0)))
    assert connection.readable == 3


def test_padding_is_of_zeros_or_of_no_operations() -> None:
    for cookie in (None, b"", bytes(4), bytes(8), bytes(16)):
        options = wire_options.build_syn(1460, 7, None, cookie)
        assert len(options) % 4 == 0
        assert wire_options.parse(options, 0, len(options)).fast_open == cookie


def test_windows_are_unsigned() -> None:
    peer = Peer(shift=14, timestamps=True)
    connection = peer.open()
    peer.send(ACK, window=0xFFFF)
    assert connection.snd_wnd == 0xFFFF << 14


def test_a_window_that_shrinks_stops_new_data_alone() -> None:
    peer = Peer()
    connection = peer.open()
    connection.write(bytes(20_000))
    sent = sum(len(segment.payload) for segment in peer.seen())
    peer.send(ACK, ack=connection.iss + 1 + 1460, window=2000)
    assert sum(len(segment.payload) for segment in peer.seen()) == 0  # SHLD-15
    peer.advance(3)
    again = [segment for segment in peer.seen() if segment.payload]
    assert again
    assert again[0].seq == (connection.iss + 1 + 1460) & 0xFFFFFFFF  # SHLD-16
    peer.send(ACK, ack=connection.iss + 1 + sent, window=65535)
    peer.seen()
    assert connection.state is State.ESTABLISHED
    assert connection.snd_una == connection.iss + 1 + sent


def test_the_last_segment_of_what_waits_has_psh_and_no_other() -> None:
    peer = Peer()
    connection = peer.open()
    for _ in range(10):
        connection.write(bytes(500))
    segments = peer.seen()
    assert [bool(segment.flags & PSH) for segment in segments] == [False] * (len(segments) - 1) + [True]
    assert sum(len(segment.payload) for segment in segments) == 5000


def test_keep_alive_begins_after_two_hours() -> None:
    peer = Peer()
    peer.open(TcpOptions(keepalive=True))
    peer.advance(7199)
    peer.none()
    peer.advance(2)
    assert peer.one().payload == b""


def test_the_end_is_told_from_a_reset() -> None:
    peer = Peer()
    first = peer.open()
    peer.send(FIN | ACK)
    assert (first.at_end, first.error) == (True, 0)
    peer.send(RST)
    assert first.error != 0


def test_an_initial_sequence_number_follows_the_clock() -> None:
    peer = Peer(settings=TcpSettings())
    key = bytes(12)
    first, _ = peer.tcp.initial_numbers.choose(key, 10.0)
    second, _ = peer.tcp.initial_numbers.choose(key, 11.0)
    assert (second - first) & 0xFFFFFFFF == 250_000
