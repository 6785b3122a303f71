"""Data by script: segments, Nagle, acknowledgments, windows, probes, keep-alive."""

from __future__ import annotations

import errno
from itertools import pairwise

import pytest
from netower.link import Offloads
from netower.net.failure import Failure
from netower.transport.tcp.header import ACK, FIN, PSH, RST, URG
from netower.transport.tcp.settings import TcpOptions, TcpSettings
from netower.transport.tcp.state import State

from .peer import OURS, THEIRS, Peer


def sizes(peer: Peer) -> list[int]:
    """The payloads of the segments that the host has sent since."""
    return [len(segment.payload) for segment in peer.seen()]


# sending


def test_segments_are_as_large_as_the_peer_allows() -> None:
    peer = Peer(mss=1000)
    connection = peer.connect()
    connection.write(bytes(3500))
    segments = peer.seen()
    assert [len(segment.payload) for segment in segments] == [1000, 1000, 1000, 500]
    assert [bool(segment.flags & PSH) for segment in segments] == [False, False, False, True]


def test_a_link_that_segments_gets_many_segments_at_once() -> None:
    peer = Peer()
    peer.internet.offloads = Offloads.TSO4 | Offloads.CHECKSUM
    connection = peer.connect()
    connection.congestion.cwnd = 1 << 20
    peer.send(ACK)
    connection.snd_wnd = 1 << 20
    connection.widen(1 << 20)
    connection.write(bytes(150_000))
    segments = peer.seen()
    assert [len(segment.payload) for segment in segments] == [64240, 64240, 21520]
    assert all(segment.segment_size == 1460 for segment in segments)


def test_the_initial_window_is_ten_segments() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.write(bytes(100_000))
    assert sizes(peer) == [1460] * 10
    peer.send(ACK)
    assert sizes(peer) == [1460] * 20  # slow start


def test_nagle_holds_small_segments_back() -> None:
    peer = Peer()
    connection = peer.connect()
    for _ in range(3):
        connection.write(b"x")
        peer.scheduler.flush()
    assert sizes(peer) == [1]
    peer.send(ACK)
    assert sizes(peer) == [2]


def test_only_a_small_segment_holds_back() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.write(bytes(1460))
    connection.write(b"small")
    assert sizes(peer) == [1460, 5]  # as Minshall and Linux have it
    connection.write(b"smaller")
    peer.none()


def test_nodelay() -> None:
    peer = Peer()
    connection = peer.connect(TcpOptions(nodelay=True))
    for _ in range(3):
        connection.write(b"x")
        peer.scheduler.flush()
    assert sizes(peer) == [1, 1, 1]


def test_nodelay_sends_what_waits() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.write(b"x")
    peer.scheduler.flush()
    connection.write(b"y")
    assert sizes(peer) == [1]
    connection.options.nodelay = True
    connection.options_changed()
    assert sizes(peer) == [1]


def test_cork_sends_whole_segments() -> None:
    peer = Peer()
    connection = peer.connect(TcpOptions(cork=True))
    connection.write(bytes(1470))
    assert sizes(peer) == [1460]
    peer.send(ACK)
    peer.none()
    connection.options.cork = False
    connection.options_changed()
    assert sizes(peer) == [10]


def test_cork_does_not_hold_for_ever() -> None:
    peer = Peer()
    connection = peer.connect(TcpOptions(cork=True))
    connection.write(b"x")
    peer.none()
    peer.advance(0.25)
    assert sizes(peer) == [1]


def test_written_data_wait_for_the_handshake() -> None:
    peer = Peer()
    connection = peer.start_connect()
    connection.write(b"early")
    peer.none()
    peer.send(0x12, options=peer.syn_options())
    answer = peer.one()
    assert (answer.payload, answer.flags) == (b"early", PSH | ACK)


def test_room_and_its_observer() -> None:
    """What is written costs more than its size; pieces are begun while there is memory, and filled up (as on Linux)."""
    peer = Peer(window=2920)
    connection = peer.connect(TcpOptions(send_buffer=5000))
    told = []
    connection.observer = lambda: told.append(connection.room)
    assert connection.size_goal == 1460
    assert connection.room == 3 * 1460
    connection.write(bytes(3 * 1460))
    assert connection.room == 0
    assert not connection.writable
    peer.seen()
    peer.send(ACK, ack=connection.iss + 1 + 1460)
    assert connection.room == 1460
    assert told == []
    peer.send(ACK, ack=connection.iss + 1 + 2920)
    assert told == [2 * 1460]
    assert connection.writable
    connection.shutdown()
    assert connection.room == 0


def test_the_send_buffer_grows_with_the_window() -> None:
    peer = Peer(shift=8)
    connection = peer.connect()
    start = connection.room
    for _ in range(40):
        connection.write(bytes(connection.room))
        while peer.seen():
            peer.send(ACK, window=65535)
    assert connection.room > 4 * start


# receiving


def test_data_arrive() -> None:
    peer = Peer()
    connection = peer.connect()
    told = []
    connection.observer = lambda: told.append(connection.readable)
    peer.data(b"one", flush=False)
    peer.data(b"two", flush=False)
    assert told == []
    peer.scheduler.flush()
    assert told == [6]  # once for the batch
    assert b"".join(connection.received) == b"onetwo"
    connection.consume(4)
    assert b"".join(connection.received) == b"wo"
    with pytest.raises(IndexError):
        connection.consume(3)


def test_one_acknowledgment_for_a_batch() -> None:
    peer = Peer()
    peer.connect()
    for _ in range(10):
        peer.data(bytes(1000), flush=False)
    answer = peer.one()
    assert (answer.flags, answer.ack) == (ACK, peer.seq)


def test_acknowledgments_are_quick_then_delayed() -> None:
    peer = Peer(settings=TcpSettings(quick_acks=2))
    connection = peer.connect()
    for _ in range(2):
        peer.data(b"x")
        assert peer.one().ack == peer.seq
    peer.data(b"x")
    peer.none()
    peer.advance(0.039)
    peer.none()
    peer.advance(0.002)
    assert peer.one().ack == peer.seq
    connection.consume(connection.readable)
    peer.data(bytes(1000))
    peer.advance(0.05)
    assert connection.rcv_mss == 1000
    peer.seen()
    connection.consume(connection.readable)
    connection.quick = 0  # a window that grows makes quick ACKs
    connection.rcv_clamp = connection.rcv_ssthresh
    peer.data(bytes(1000))
    peer.none()
    connection.observer = lambda: connection.consume(connection.readable)
    peer.data(bytes(1000))
    assert peer.one().ack == peer.seq  # every second full segment


def test_who_writes_soon_after_data_is_in_a_conversation() -> None:
    peer = Peer()
    connection = peer.connect()
    peer.data(b"question")
    assert peer.one().ack == peer.seq
    connection.write(b"answer")
    assert peer.one().payload == b"answer"
    peer.send(ACK)
    peer.data(b"question")
    peer.none()
    peer.advance(0.041)
    assert peer.one().ack == peer.seq


def test_a_coalesced_packet_is_acknowledged_at_once() -> None:
    peer = Peer(settings=TcpSettings(quick_acks=0))
    connection = peer.connect()
    peer.data(bytes(14600), segment_size=1460)
    assert peer.one().ack == peer.seq
    assert connection.rcv_mss == 1460


def test_an_answer_carries_the_acknowledgment() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.observer = lambda: connection.readable and (connection.consume(1), connection.write(b"a"))
    peer.data(b"q")
    answer = peer.one()
    assert (answer.payload, answer.ack) == (b"a", peer.seq)
    connection.observer = None
    peer.data(b"q")
    peer.none()  # in a conversation, acknowledgments wait for answers


def test_data_out_of_order() -> None:
    peer = Peer()
    connection = peer.connect()
    start = peer.seq
    peer.data(b"ddd", seq=start + 9)
    duplicate = peer.one()
    assert duplicate.ack == start
    peer.data(b"bbb", seq=start + 3, flush=False)
    peer.data(b"bbbccc", seq=start + 3, flush=False)
    assert [segment.ack for segment in peer.seen()] == [start, start]
    assert connection.readable == 0
    peer.data(b"aaa")
    assert b"".join(connection.received) == b"aaabbbcccddd"
    assert peer.one().ack == start + 12
    assert connection.reassembly is None


def test_overlapping_data_are_cut() -> None:
    peer = Peer()
    connection = peer.connect()
    start = peer.seq
    peer.data(b"abc")
    peer.data(b"XXXdef", seq=start)
    assert b"".join(connection.received) == b"abcdef"


def test_old_data_are_acknowledged_again() -> None:
    peer = Peer()
    connection = peer.connect()
    peer.data(b"abc")
    peer.seen()
    peer.data(b"abc", seq=peer.seq - 3)
    assert peer.one().ack == peer.seq
    assert connection.readable == 3


def test_a_segment_without_ack_is_dropped() -> None:
    peer = Peer()
    connection = peer.connect()
    peer.send(PSH, b"x", seq=peer.seq)
    assert connection.readable == 0


def test_urgent_data_stay_in_line() -> None:
    peer = Peer()
    connection = peer.connect()
    peer.send(ACK | URG, b"abc")
    assert bytes(connection.received[0]) == b"abc"


def test_small_pieces_are_put_together() -> None:
    peer = Peer()
    connection = peer.connect()
    for _ in range(5000):
        peer.data(b"x")
    assert connection.readable == 5000
    assert len(connection.received) < 10


def test_old_timestamps_are_refused() -> None:
    peer = Peer(timestamps=True)
    connection = peer.connect()
    peer.advance(1)
    peer.data(b"new")
    peer.seen()
    peer.scheduler.now -= 0.5
    peer.data(b"old", seq=peer.seq)
    peer.scheduler.now += 0.5
    assert connection.readable == 3
    assert peer.one().ack == peer.seq


def test_after_a_month_timestamps_start_anew() -> None:
    peer = Peer(timestamps=True)
    connection = peer.connect()
    peer.advance(30 * 86400)
    assert connection.ts_recent == 1_000_000
    peer.data(b"x")
    assert connection.readable == 1


# the receive window


def test_the_window_closes_and_opens() -> None:
    peer = Peer()
    connection = peer.connect(TcpOptions(receive_buffer=16000))
    window, edge = 1460, 0
    while window:
        peer.data(bytes(min(window, 1460)))
        peer.advance(0.3)
        answer = peer.seen()[-1]
        assert answer.ack + answer.window >= edge
        window, edge = answer.window, answer.ack + answer.window
        assert connection.readable <= 16000
    waiting = connection.readable
    assert 3000 <= waiting <= 16000
    peer.data(b"probe", seq=peer.seq)
    answer = peer.one()
    assert (answer.window, answer.ack) == (0, peer.seq)
    assert connection.readable == waiting
    connection.consume(10)
    peer.none()  # too little to tell (RFC 9293 §3.8.6.2.2)
    connection.consume(waiting - 10)
    assert peer.seen()[-1].window >= 3000


def test_data_beyond_the_window_are_dropped_unless_nothing_waits() -> None:
    peer = Peer()
    connection = peer.connect(TcpOptions(receive_buffer=8000))
    peer.data(bytes(9), seq=peer.seq + 5000)
    peer.seen()
    assert connection.reassembly is None
    peer.data(bytes(5000))
    assert connection.readable == 5000
    peer.data(bytes(5000))
    assert connection.readable == 5000
    assert peer.seen()[-1].window == 0


def test_the_window_never_shrinks() -> None:
    peer = Peer()
    connection = peer.connect(TcpOptions(receive_buffer=10000))
    peer.data(b"x")
    edge = peer.one()
    connection.options.receive_buffer = 2000
    connection.options_changed()
    peer.data(b"x")
    after = peer.one()
    assert (after.ack + after.window) >= (edge.ack + edge.window)


def test_the_window_grows_with_a_reader_that_keeps_up() -> None:
    peer = Peer(shift=2)
    connection = peer.connect()
    connection.observer = lambda: connection.consume(connection.readable)
    start = connection.rcv_adv - connection.rcv_nxt
    for _ in range(30):
        for _ in range(60):
            peer.data(bytes(1460))
        peer.advance(0.01)
    assert connection.rcv_adv - connection.rcv_nxt >= 4 * start
    stopped = connection.rcv_buffer
    connection.observer = None
    for _ in range(100):
        peer.data(bytes(1460))
    connection.consume(1460)
    assert connection.rcv_buffer == stopped


def test_the_window_of_a_fixed_buffer_does_not_grow() -> None:
    peer = Peer(shift=2, settings=TcpSettings(moderate_receive_buffer=False))
    connection = peer.connect()
    connection.observer = lambda: connection.consume(connection.readable)
    for _ in range(300):
        peer.data(bytes(1460))
    assert connection.rcv_buffer == 131072


# the peer's window


def test_a_closed_window_is_probed() -> None:
    peer = Peer(window=1000)
    connection = peer.connect()
    connection.write(bytes(1500))
    assert sizes(peer) == [500] * 2
    peer.send(ACK, window=0)
    times, start = [], peer.scheduler.now
    while len(times) < 5:
        peer.advance(0.1)
        segments = peer.seen()
        if segments:
            assert [(segment.seq, len(segment.payload)) for segment in segments] == [(connection.snd_una - 1, 0)]
            times.append(peer.scheduler.now - start)
            peer.send(ACK, window=0)
    gaps = [round(second - first, 1) for first, second in pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == pytest.approx(2 * gaps[-2], abs=0.15)
    peer.send(ACK, window=5000)
    assert sizes(peer) == [500]
    assert connection.persist_at == float("inf")


def test_probes_go_on_as_long_as_they_are_answered() -> None:
    peer = Peer(window=0)
    connection = peer.connect()
    connection.write(b"data")
    for _ in range(600):
        peer.advance(10)
        for _segment in peer.seen():
            peer.send(ACK, window=0)
    assert connection.state is State.ESTABLISHED
    peer.advance(3000)
    assert connection.error == errno.ETIMEDOUT
    assert not any(segment.flags & RST for segment in peer.seen())  # as on Linux


def test_the_answer_to_a_probe_opens_the_window() -> None:
    peer = Peer(window=0)
    connection = peer.connect()
    connection.write(b"data")
    peer.advance(0.25)
    assert peer.one().payload == b""
    peer.send(ACK, window=100)
    assert peer.one().payload == b"data"
    peer.send(ACK)
    assert connection.unacknowledged == 0


def test_a_fin_waits_for_the_window_too() -> None:
    peer = Peer(window=0)
    connection = peer.connect()
    connection.shutdown()
    peer.none()
    peer.advance(0.25)
    assert peer.one().flags == ACK
    peer.send(ACK, window=10)
    assert peer.one().flags == FIN | ACK
    peer.send(ACK)
    assert connection.state is State.FIN_WAIT_2


def test_no_silly_segments() -> None:
    peer = Peer(window=10000, mss=1000)
    connection = peer.connect()
    connection.write(bytes(20000))
    assert sizes(peer) == [1000] * 10
    peer.send(ACK, window=300)  # not worth a segment (RFC 9293 §3.8.6.2.1)
    peer.none()
    peer.advance(0.25)
    assert sizes(peer) == [300]  # the override time-out
    peer.send(ACK, window=6000)
    assert sizes(peer) == [1000] * 6


def test_segments_are_at_most_half_of_a_small_window() -> None:
    peer = Peer(window=600, mss=1000)
    connection = peer.connect()
    connection.write(bytes(2000))
    assert sizes(peer) == [300, 300]


def test_an_old_segment_does_not_move_the_window() -> None:
    peer = Peer()
    connection = peer.connect()
    peer.data(b"abc", window=5000)
    peer.data(b"abc", seq=peer.seq - 3, window=100)
    peer.send(ACK, seq=peer.seq - 1, window=100)
    assert connection.snd_wnd == 5000


# keep-alive


def test_keepalive_finds_a_dead_peer() -> None:
    peer = Peer()
    options = TcpOptions(keepalive=True, keepalive_idle=100.0, keepalive_interval=10.0, keepalive_count=3)
    connection = peer.connect(options)
    times, start = [], peer.scheduler.now
    while connection.state is State.ESTABLISHED:
        peer.advance(1)
        for segment in peer.seen():
            times.append((round(peer.scheduler.now - start), segment.flags))
    assert times == [(100, ACK), (110, ACK), (120, ACK), (130, RST | ACK)]
    assert connection.error == errno.ETIMEDOUT


def test_keepalive_leaves_a_living_peer_alone() -> None:
    peer = Peer()
    options = TcpOptions(keepalive=True, keepalive_idle=5.0, keepalive_interval=10.0, keepalive_count=2)
    connection = peer.connect(options)
    for _ in range(100):
        peer.advance(3)
        for segment in peer.seen():
            assert (segment.seq, segment.payload) == ((connection.snd_una - 1) & 0xFFFFFFFF, b"")
            peer.send(ACK)
    assert connection.state is State.ESTABLISHED
    connection.options.keepalive = False
    connection.options_changed()
    peer.advance(1000)
    assert len(peer.seen()) == 0


def test_keepalive_of_the_peer_is_answered() -> None:
    peer = Peer()
    peer.connect()
    for payload in (b"", b"x"):
        peer.send(ACK, payload, seq=peer.seq - 1)
        assert peer.one().ack == peer.seq


def test_no_keepalive_unless_asked_for() -> None:
    peer = Peer()
    peer.connect()
    peer.advance(2)
    assert peer.scheduler.next_event() is None


# the path


def test_smaller_segments_when_the_path_gets_narrow() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.write(bytes(2000))
    packet, path = (peer.scheduler.flush(), peer.internet.sent[0])[1]
    path.mtu = 1000
    quote = packet.tobytes()[:8]
    peer.internet.sent.clear()
    peer.tcp.receive_failure(Failure(errno.EMSGSIZE, False, OURS, THEIRS, quote, 1000, THEIRS))
    assert sizes(peer) == [960, 960, 80]
    assert connection.congestion.cwnd == 10 * 960  # no sign of congestion: as many segments as before


def test_a_path_that_is_no_longer_valid_is_asked_for_again() -> None:
    peer = Peer()
    connection = peer.connect()
    old = connection.path
    peer.internet.mtu = 1000
    old.valid = False
    connection.write(bytes(1460))
    peer.scheduler.flush()
    assert connection.path is not old
    assert connection.mss == 960
    peer.internet.unreachable = errno.ENETUNREACH
    connection.path.valid = False
    peer.advance(5)
    assert connection.soft_error == errno.ENETUNREACH
    peer.internet.unreachable = 0
    peer.seen()
    peer.advance(10)
    assert peer.seen()


def test_a_closed_connection_does_not_probe_for_ever() -> None:
    peer = Peer(window=0)
    connection = peer.connect()
    connection.write(b"data")
    connection.close()
    for _ in range(60):
        peer.advance(10)
        for segment in peer.seen():
            if not segment.flags & RST:
                peer.send(ACK, window=0)
    assert connection.state is State.CLOSED
