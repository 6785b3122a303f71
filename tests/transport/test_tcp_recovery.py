"""Losses by script: the retransmission timer, fast retransmit, NewReno, and the congestion window."""

from __future__ import annotations

import errno

import pytest
from netower.transport.tcp.congestion import UNLIMITED, Reno
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.header import ACK
from netower.transport.tcp.settings import TcpOptions, TcpSettings
from netower.transport.tcp.state import State

from .peer import MASK, Peer, Seen


def sending(segments: int, **fields: object) -> tuple[Peer, Connection, list[Seen]]:
    """A connection with so many segments of 1000 bytes on the way."""
    peer = Peer(mss=1000, settings=TcpSettings(congestion="reno"), **fields)  # type: ignore[arg-type]
    connection = peer.connect(TcpOptions(nodelay=True))
    peer.advance(1)
    peer.send(ACK, ack=peer.ack)  # the window of its first segment after the SYN is news
    connection.congestion.cwnd = segments * 1000
    connection.sent_at = peer.scheduler.now
    connection.write(bytes(100_000))
    seen = peer.seen()
    assert [len(segment.payload) for segment in seen] == [1000] * segments
    return peer, connection, seen


def test_the_timer_backs_off_and_gives_up() -> None:
    peer = Peer(settings=TcpSettings(retries=5, early_retrans=0))
    connection = peer.connect()
    connection.rtt.rto = 0.205
    connection.write(b"data")
    told = []
    connection.observer = lambda: told.append(connection.error)
    times, start = [], peer.scheduler.now
    peer.scheduler.flush()
    while connection.state is not State.CLOSED:
        for segment in peer.seen():
            assert segment.payload == b"data"
            times.append(peer.scheduler.now - start)
        peer.advance(0.05)
    assert times == pytest.approx([0, 0.205, 0.615, 1.435, 3.075, 6.355], abs=0.06)
    assert peer.scheduler.now - start == pytest.approx(12.9, abs=0.1)
    assert (connection.error, told) == (errno.ETIMEDOUT, [errno.ETIMEDOUT])
    peer.none()  # as on Linux: no RST


def test_fifteen_retransmissions_take_linux_s_quarter_of_an_hour() -> None:
    peer = Peer()
    connection = peer.connect()
    connection.rtt.rto = 0.201
    connection.write(b"data")
    start = peer.scheduler.now
    while connection.state is not State.CLOSED:
        peer.advance(1)
    assert peer.scheduler.now - start == pytest.approx(925.6, abs=1.5)
    assert connection.retransmissions == 15


def test_a_user_may_have_less_patience() -> None:
    peer = Peer()
    connection = peer.connect(TcpOptions(user_timeout=5.0))
    connection.rtt.rto = 0.2
    connection.write(b"data")
    peer.advance(4.9)
    assert connection.error == 0
    peer.advance(8)
    assert connection.error == errno.ETIMEDOUT


def test_a_round_trip_is_measured() -> None:
    peer, connection, segments = sending(3)
    peer.advance(0.1)
    peer.send(ACK, ack=segments[0].end)
    first = connection.rtt.srtt
    assert first == pytest.approx(0.1 / 8, rel=0.01)  # the handshake took no time
    peer.send(ACK, ack=segments[1].end)
    assert connection.rtt.srtt == pytest.approx(first + (0.1 - first) / 8)


def test_karn() -> None:
    peer, connection, segments = sending(1)
    before = connection.rtt.srtt
    peer.advance(3)
    assert peer.seen()
    peer.send(ACK, ack=segments[0].end)
    assert connection.rtt.srtt == before


def test_timestamps_measure_what_was_sent_again() -> None:
    peer, connection, segments = plain_timestamps()
    peer.advance(1.2)
    again = peer.one()
    assert again.seq == segments[0].seq
    peer.advance(0.4)
    before = connection.rtt.srtt
    peer.send(ACK, ack=segments[0].end)
    assert connection.rtt.srtt > before


def plain_timestamps() -> tuple[Peer, Connection, list[Seen]]:
    peer = Peer(timestamps=True)
    connection = peer.connect()
    connection.rtt.rto = 1.0
    connection.write(b"data")
    return peer, connection, peer.seen()


def test_the_timer_restarts_with_each_ack() -> None:
    peer, connection, segments = sending(4)
    connection.rtt.rto = 1.0
    for segment in segments[:3]:
        peer.advance(0.15)
        peer.send(ACK, ack=segment.end, window=0)
        connection.rtt.rto = 1.0
        connection.retransmit_at = peer.scheduler.now + 1.0
        peer.none()
    peer.advance(0.9)
    peer.none()
    peer.advance(0.2)
    assert peer.one().seq == segments[3].seq


def test_after_a_time_out_slow_start_begins_again() -> None:
    peer, connection, segments = sending(8)
    peer.advance(0.25)
    assert [segment.seq for segment in peer.seen()] == [segments[0].seq]
    assert (connection.congestion.cwnd, connection.congestion.ssthresh) == (1000, 4000)
    peer.send(ACK, ack=segments[0].end)
    new = peer.seen()
    assert [segment.seq for segment in new] == [segments[7].end, segments[7].end + 1000]  # RFC 5682 §2.1 (2)
    peer.send(ACK, ack=segments[0].end)
    assert [segment.seq for segment in peer.seen()] == [segments[1].seq]
    peer.send(ACK, ack=new[1].end)  # the rest had arrived
    assert peer.seen()[0].seq == new[1].end
    assert not connection.recovering


def test_three_duplicates_are_a_loss() -> None:
    peer, connection, segments = sending(8)
    for count in range(3):
        peer.send(ACK, ack=segments[0].seq)
        if count < 2:
            assert len(peer.seen()) == 1  # limited transmit (RFC 3042)
    again = peer.seen()
    assert again[0].seq == segments[0].seq
    assert connection.recovering
    assert connection.congestion.ssthresh == 4000
    assert connection.retransmissions == 1


def test_newreno_repairs_several_losses() -> None:
    peer, connection, segments = sending(8)
    for _ in range(3):
        peer.send(ACK, ack=segments[0].seq)
    peer.seen()
    recover = connection.recover
    peer.send(ACK, ack=segments[3].seq)  # partial: segment 3 is lost too (RFC 6582)
    peer.send(ACK, ack=segments[3].seq)
    peer.send(ACK, ack=segments[3].seq)
    seen = peer.seen()  # as the proportional rate lets it go (RFC 9937)
    assert seen[0].seq == segments[3].seq
    assert connection.recovering
    peer.send(ACK, ack=recover & MASK)
    assert connection.recovering  # RFC 6582 §4: until more than that is acknowledged
    peer.send(ACK, ack=connection.snd_max & MASK)
    assert not connection.recovering
    assert connection.congestion.cwnd <= connection.congestion.ssthresh + 1000
    assert connection.retransmissions == 2


def test_duplicates_after_a_time_out_do_not_count() -> None:
    peer, connection, segments = sending(8)
    peer.advance(0.25)
    peer.seen()
    for _ in range(5):
        peer.send(ACK, ack=segments[0].seq)
    assert connection.retransmissions == 1
    assert not connection.recovering


def test_what_is_no_duplicate() -> None:
    peer, connection, segments = sending(8)
    connection.snd_wnd = 60000
    for count in range(6):
        peer.send(ACK, ack=segments[0].seq, window=60001 + count)  # the window grows
    for _ in range(6):
        peer.data(b"x", ack=segments[0].seq)  # data
    assert connection.board is None


def test_out_of_order_data_are_told_one_by_one() -> None:
    peer = Peer()
    peer.connect()
    for number in range(1, 4):
        peer.data(bytes(100), seq=peer.seq + 100 * number, flush=False)
    assert [segment.ack for segment in peer.seen()] == [peer.seq] * 3
    peer.data(bytes(5000), seq=peer.seq + 5000, segment_size=1000)
    assert len(peer.seen()) == 3  # enough for the peer to send again


@pytest.mark.parametrize(("time", "window"), [(1.5, 10), (2.5, 1)])
def test_lost_syns_cost_the_initial_window(time: float, window: int) -> None:
    """RFC 6928 §2: not the first one, which may just have been late."""
    peer = Peer()
    connection = peer.start_connect()
    peer.advance(time)
    peer.seen()
    peer.send(0x12, options=peer.syn_options())
    assert connection.congestion.cwnd == window * connection.mss
    assert connection.rtt.rto == 3.0  # RFC 6298 §5.7


def test_a_syn_that_was_not_lost_costs_nothing() -> None:
    """The answer echoes the first SYN (RFC 3522)."""
    peer = Peer(timestamps=True)
    connection = peer.start_connect()
    first = connection.timestamp_offset + round(peer.scheduler.now * 1000) & 0xFFFFFFFF
    peer.advance(2.5)
    peer.seen()
    peer.echo = first
    peer.send(0x12, options=peer.syn_options())
    assert connection.retransmissions == 2
    assert connection.congestion.cwnd == 10 * connection.mss


def test_idle_connections_start_slowly() -> None:
    peer, connection, segments = sending(20)
    connection.buffer.acknowledge(connection.snd_nxt)
    connection.pieces = None
    connection.buffer.end = connection.snd_nxt
    peer.send(ACK, ack=segments[-1].end)
    peer.seen()
    connection.congestion.cwnd = 50_000
    peer.advance(10)
    connection.write(bytes(30_000))
    assert len(peer.seen()) == 10  # RFC 5681 §4.1


# the controller


def test_reno_grows_by_its_phases() -> None:
    reno = Reno(10_000)
    assert reno.ssthresh == UNLIMITED
    reno.acknowledged(5000, 1000)
    assert reno.cwnd == 15_000
    reno.ssthresh = 15_000
    for _ in range(15):
        reno.acknowledged(1000, 1000)
    assert reno.cwnd == 16_000  # a segment for each window


def test_reno_never_overshoots_its_threshold() -> None:
    reno = Reno(10_000)
    reno.ssthresh = 12_000
    reno.acknowledged(8000, 1000)
    assert reno.cwnd == 12_000


def test_reno_halves_its_window() -> None:
    reno = Reno(10_000)
    reno.timed_out(10_000, 1000, again=False)
    assert reno.ssthresh == 5000


def test_the_window_grows_only_when_it_is_used() -> None:
    peer = Peer(mss=1000)
    connection = peer.connect()
    for _ in range(50):
        connection.write(b"x")
        peer.seen()
        peer.send(ACK)
    assert connection.congestion.cwnd == 10_000
