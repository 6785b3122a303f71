"""SACK by script: what the receiver tells (RFC 2018, 2883), what the sender does about it (RFC 6675, 8985, 9937)."""

from __future__ import annotations

from typing import Any

import pytest
from netower.link import Offloads
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.header import ACK, FIN, SYN
from netower.transport.tcp.options import ALIGNED, TIMESTAMPS_ALIGNED, build_sack
from netower.transport.tcp.settings import TcpOptions, TcpSettings

from .peer import MASK, Peer, Seen


def sending(segments: int, *, round_trip: float = 0.1, **fields: Any) -> tuple[Peer, Connection, list[Seen]]:
    """A connection that knows its round trip, with so many segments of 1000 bytes on the way, sent at one time."""
    peer = Peer(mss=1000, sack=True, settings=TcpSettings(congestion="reno"), **fields)
    connection = connect(peer, round_trip)
    connection.congestion.cwnd = segments * 1000
    connection.write(bytes(100_000))
    return peer, connection, peer.seen()


def connect(peer: Peer, round_trip: float) -> Connection:
    peer.port = 80
    connection = peer.start_connect(TcpOptions(nodelay=True))
    peer.advance(round_trip)
    peer.send(SYN | ACK, options=peer.syn_options())
    peer.seen()
    return connection


def sack(peer: Peer, ack: int, *blocks: tuple[int, int], **fields: Any) -> list[Seen]:
    """The peer acknowledges selectively; what the host sends upon it. An ACK is kept as given."""
    options = build_sack(list(blocks)) if blocks else b""
    if peer.timestamps:
        options = ALIGNED.pack(TIMESTAMPS_ALIGNED, peer.stamp(), fields.pop("echo", peer.echo)) + options
    peer.send(ACK, ack=ack, options=options, **fields)
    return peer.seen()


def span(segments: list[Seen], first: int, last: int) -> tuple[int, int]:
    return segments[first].seq, segments[last].end


# the receiver


def receiving(**fields: Any) -> tuple[Peer, int]:
    peer = Peer(sack=True, **fields)
    peer.connect()
    return peer, peer.seq


def test_blocks_tell_what_arrived_early_the_latest_first() -> None:
    peer, base = receiving()
    told = []
    for start in (2000, 4000, 6000, 3000):
        peer.data(bytes(1000), seq=base + start)
        peer.advance(0.001)  # the fourth ACK waits for others
        told.append([(left - base, right - base) for left, right in peer.one().options.sack])
    assert told == [
        [(2000, 3000)],
        [(4000, 5000), (2000, 3000)],
        [(6000, 7000), (4000, 5000), (2000, 3000)],
        [(2000, 5000), (6000, 7000)],  # one block by now
    ]
    peer.data(bytes(2000), seq=base)
    answer = peer.one()
    assert answer.ack == base + 5000
    assert answer.options.sack == [(base + 6000, base + 7000)]
    peer.data(bytes(1000), seq=base + 5000)
    assert peer.one().options.sack == []


@pytest.mark.parametrize(("timestamps", "most"), [(False, 4), (True, 3)])
def test_as_many_blocks_as_fit(timestamps: bool, most: int) -> None:
    peer, base = receiving(timestamps=timestamps)
    for number in range(1, 7):
        peer.data(b"x", seq=base + 10 * number)
    peer.advance(0.001)
    last = peer.seen()[-1]
    assert [left - base for left, _ in last.options.sack] == [60, 50, 40, 30][:most]


def test_one_ack_for_a_batch_unless_it_has_many_holes() -> None:
    peer, base = receiving()
    for number in (1, 2, 3):
        peer.data(bytes(1000), seq=base + 1000 * number, flush=False)
    assert [segment.options.sack for segment in peer.seen()] == [[(base + 1000, base + 4000)]]
    for number in (6, 8, 10):
        peer.data(bytes(1000), seq=base + 1000 * number, flush=False)
    assert len(peer.seen()) == 3


def test_what_came_twice_is_reported_once() -> None:
    peer, base = receiving()
    peer.data(bytes(1000))
    peer.advance(1)
    peer.seen()
    peer.data(bytes(500), seq=base)
    assert peer.one().options.sack == [(base, base + 500)]
    peer.data(bytes(1000), seq=base + 3000)
    assert peer.one().options.sack == [(base + 3000, base + 4000)]
    peer.data(bytes(500), seq=base + 3200)  # RFC 2883 §4.2: within a block that is told next
    assert peer.one().options.sack == [(base + 3200, base + 3700), (base + 3000, base + 4000)]


def test_data_take_the_blocks_along_and_are_smaller_for_them() -> None:
    peer = Peer(sack=True)
    connection = peer.connect()
    connection.write(bytes(1460))
    peer.data(b"x", seq=peer.seq + 10)
    first, second = peer.seen()
    assert (len(first.payload), len(second.payload)) == (1448, 12)
    assert first.options.sack == second.options.sack == [(peer.seq + 10, peer.seq + 11)]
    peer.data(bytes(10), ack=second.end)
    peer.seen()
    connection.write(bytes(1460))
    assert len(peer.one().payload) == 1460
    assert connection.congestion.cwnd % 1460 == 0


def test_no_sack_unless_both_want_it() -> None:
    peer = Peer(sack=True, settings=TcpSettings(sack=False))
    assert not peer.connect().sack
    peer.data(b"x", seq=peer.seq + 10)
    assert not peer.one().options.sack
    assert not Peer().connect().sack


# the sender


def test_a_hole_is_filled_and_nothing_else() -> None:
    peer, connection, segments = sending(10)
    peer.advance(0.1)
    assert connection.congestion.cwnd == 10_000
    again = sack(peer, segments[0].seq, span(segments, 1, 3))
    assert again[0].seq == segments[0].seq
    assert len(again[0].payload) == 1000
    assert connection.recovering
    assert connection.congestion.ssthresh == 5000
    for last in range(4, 10):
        sack(peer, segments[0].seq, span(segments, 1, last))
    peer.advance(0.05)
    sack(peer, segments[9].end)
    assert connection.retransmissions == 1
    peer.advance(0.05)
    recover = connection.recover
    sack(peer, recover & MASK)
    assert not connection.recovering
    assert connection.board is None
    assert connection.congestion.cwnd <= connection.congestion.ssthresh


def test_several_holes_are_filled_in_one_round_trip() -> None:
    peer, connection, segments = sending(20)
    peer.advance(0.1)
    lost = (0, 4, 5, 11)
    again = []
    arrived: list[tuple[int, int]] = []
    for number, segment in enumerate(segments):
        if number in lost:
            continue
        if arrived and arrived[-1][1] == segment.seq:
            arrived[-1] = (arrived[-1][0], segment.end)
        else:
            arrived.append((segment.seq, segment.end))
        again += [seen.seq for seen in sack(peer, segments[0].seq, *arrived[::-1][:3])]
    assert [seq for seq in again if seq < segments[-1].end] == [segments[number].seq for number in lost]
    assert connection.retransmissions == 4


def test_a_retransmission_that_is_lost_is_found_out() -> None:
    peer, connection, segments = sending(10)
    peer.advance(0.1)
    again = sack(peer, segments[0].seq, span(segments, 1, 3))
    assert again[0].seq == segments[0].seq
    new: list[Seen] = []
    for last in range(4, 10):
        new += sack(peer, segments[0].seq, span(segments, 1, last))
    peer.advance(0.101)
    assert new  # sent after the retransmission, and it arrives
    again = sack(peer, segments[0].seq, (segments[1].seq, new[0].end))
    assert again[0].seq == segments[0].seq
    assert connection.retransmissions == 2


def test_a_little_disorder_is_no_loss() -> None:
    peer, connection, segments = sending(10)
    peer.advance(0.1)
    assert all(seen.seq >= segments[-1].end for seen in sack(peer, segments[0].seq, span(segments, 1, 1)))
    peer.advance(0.01)  # less than a quarter of the round trip
    sack(peer, segments[1].end)
    peer.advance(0.09)
    assert connection.retransmissions == 0
    assert connection.congestion.ssthresh > 1 << 20


def test_disorder_that_lasts_is_loss() -> None:
    peer, _, segments = sending(3)
    peer.advance(0.1)
    sack(peer, segments[0].seq, span(segments, 1, 1))
    peer.advance(0.03)  # more than a quarter of the round trip (RFC 8985 §6.2 step 4)
    assert segments[0].seq in [seen.seq for seen in peer.seen()]


def test_a_dsack_takes_the_reduction_back() -> None:
    peer, connection, segments = sending(10)
    peer.advance(0.1)
    sack(peer, segments[0].seq, span(segments, 1, 3))
    assert connection.recovering
    sack(peer, segments[3].end)
    sack(peer, segments[3].end, (segments[0].seq, segments[0].end))
    assert not connection.recovering
    assert connection.congestion.cwnd >= 10_000


def test_an_old_echo_takes_the_reduction_back() -> None:
    peer, connection, segments = sending(10, timestamps=True)
    stamp = peer.echo
    peer.advance(0.1)
    sack(peer, segments[0].seq, span(segments, 1, 3), echo=stamp)
    assert connection.recovering
    peer.advance(0.01)
    sack(peer, segments[3].end, echo=stamp)  # RFC 3522
    assert not connection.recovering
    assert connection.congestion.cwnd >= 10_000


def test_a_time_out_without_cause_is_taken_back() -> None:
    peer, connection, segments = sending(8)
    connection.rtt.rto = 0.3
    peer.advance(0.29)
    peer.seen()
    while connection.congestion.cwnd > 1000:
        peer.advance(0.1)
    assert peer.seen()
    sack(peer, segments[0].end)
    sack(peer, segments[3].end)  # these were sent just once (RFC 5682)
    assert connection.congestion.cwnd >= 8000


def test_a_lost_tail_is_probed_for() -> None:
    peer, connection, segments = sending(8)
    connection.pieces = None
    connection.buffer.end = connection.snd_nxt  # there is no more
    peer.advance(0.1)
    peer.send(ACK, ack=segments[5].end)
    peer.seen()
    peer.advance(2 * connection.rtt.srtt + 0.005)
    probe = peer.one()
    assert probe.seq == segments[7].seq  # RFC 8985 §7.3: the last one
    peer.advance(0.1)
    again = sack(peer, segments[5].end, (probe.seq, probe.end))
    peer.advance(0.05)
    again += peer.seen()
    assert [seen.seq for seen in again] == [segments[6].seq]
    assert connection.retries == 0


def test_a_probe_takes_new_data_along() -> None:
    peer, connection, segments = sending(4)
    peer.advance(2 * connection.rtt.srtt + 0.005)
    assert peer.one().seq == segments[-1].end
    peer.advance(connection.rtt.rto)
    assert peer.seen()[0].seq == segments[0].seq  # then the time-out


def test_what_is_lost_is_sent_again_as_one_large_packet() -> None:
    peer = Peer(mss=1000, sack=True)
    peer.internet.offloads = Offloads.TSO4
    connection = connect(peer, 0.1)
    connection.congestion.cwnd = 60_000
    connection.write(bytes(60_000))
    first, *_ = segments = peer.seen()
    peer.advance(0.1)
    again = sack(peer, first.seq, (first.end, segments[2].end))
    assert again[0].seq == first.seq
    assert again[0].segment_size == 1000
    assert len(again[0].payload) > 1000


def test_a_lost_fin_goes_again() -> None:
    peer, connection, segments = sending(2)
    connection.pieces = None
    connection.buffer.end = connection.snd_nxt
    connection.congestion.cwnd = 3000
    connection.shutdown()
    fin = peer.one()
    assert fin.flags & FIN
    sack(peer, segments[-1].end)
    peer.advance(3)
    assert peer.seen()[0].flags & FIN


def test_blocks_that_lie_are_left_alone() -> None:
    peer, connection, segments = sending(10)
    una = segments[0].seq
    for block in ((una - 5000, una - 4000), (una + 5000, una + 4000), (una + 50_000, una + 60_000), (una, una)):
        sack(peer, una, block)
    assert connection.retransmissions == 0
    assert connection.board is None
    peer.advance(0.1)
    sack(peer, una, span(segments, 1, 9))  # not true: it will never acknowledge them
    for _ in range(3):
        peer.advance(1)
        peer.seen()
    sack(peer, segments[0].end)
    peer.advance(3)
    assert any(seen.seq == segments[1].seq for seen in peer.seen())


def test_trouble_puts_the_time_out_off_to_its_time() -> None:
    """What was armed for a tail loss probe is no time-out, although the probe is not sent for a block that came."""
    peer, connection, segments = sending(2)
    connection.pieces = None
    connection.buffer.end = connection.snd_nxt
    peer.advance(connection.rtt.pto - 0.001)
    sack(peer, segments[0].seq, (segments[1].seq + 1, segments[1].seq + 2))
    connection.reorder_at = peer.scheduler.now + 10
    peer.advance(0.01)
    assert connection.counts.time_outs == 0


def test_blocks_of_what_was_sent_with_the_first_segment_do_not_put_the_time_out_off() -> None:
    peer, connection, segments = sending(3)
    due = connection.sent_at + connection.rtt.rto
    peer.advance(0.1)
    sack(peer, segments[0].seq, span(segments, 2, 2))
    assert connection.retransmit_at <= due
