"""Pacing and samples of the delivery rate, by script and to the microsecond."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netower.link import Offloads
from netower.transport.tcp import controllers, pacing
from netower.transport.tcp.connection import Connection
from netower.transport.tcp.header import ACK, SYN
from netower.transport.tcp.options import build_sack
from netower.transport.tcp.settings import TcpOptions, TcpSettings

from .peer import Peer, Seen

RATE = 1_000_000.0


def paced(rate: float = RATE, *, offloads: Offloads = Offloads.NONE) -> tuple[Peer, Connection]:
    peer = Peer(mss=1000, sack=True, settings=TcpSettings(congestion="reno"))
    peer.port = 80
    peer.internet.offloads = offloads
    connection = peer.start_connect(TcpOptions(max_pacing_rate=rate))
    peer.advance(0.05)
    peer.send(SYN | ACK, options=peer.syn_options())
    peer.seen()
    connection.congestion.cwnd = 1_000_000
    return peer, connection


def departures(peer: Peer, seconds: float) -> list[tuple[float, int]]:
    """When, in milliseconds, how much left within ``seconds``."""
    left, begin = [], peer.scheduler.now
    until = begin + seconds
    while True:
        size = sum(len(segment.payload) for segment in peer.seen())
        if size:
            left.append((round((peer.scheduler.now - begin) * 1000, 3), size))
        due = peer.scheduler.next_event()
        if due is None or due > until:
            return left
        peer.advance(due - peer.scheduler.now)


def test_two_segments_at_a_time_at_the_rate() -> None:
    """After the first ten segments, which Linux does not pace, either."""
    peer, connection = paced()
    connection.write(bytes(30_000))
    assert departures(peer, 0.019) == [(0, 10_000), *((at, 2000) for at in range(2, 20, 2))]


def test_a_fast_rate_has_trains_of_a_millisecond() -> None:
    peer, connection = paced(20e6, offloads=Offloads.TSO4)
    connection.write(bytes(60_000))
    assert departures(peer, 0.02) == [(0, 19_000), (0.475, 19_000), (1.425, 19_000), (2.375, 3000)]


def test_a_pause_lets_the_next_train_come_early_by_half() -> None:
    peer, connection = paced()
    connection.write(bytes(10_000))
    departures(peer, 1.0)
    peer.send(ACK, ack=peer.ack)
    connection.write(bytes(6000))
    assert departures(peer, 0.1) == [(0, 2000), (1, 2000), (3, 2000)]


def test_a_wake_up_that_comes_late_is_made_up_for() -> None:
    peer, connection = paced()
    connection.write(bytes(40_000))
    peer.seen()
    peer.scheduler.advance(peer.scheduler.now + 0.0075)
    peer.scheduler.flush()
    assert departures(peer, 0.005) == [(0, 6000), (0.5, 2000), (2.5, 2000), (4.5, 2000)]


def test_what_is_lost_is_paced_too() -> None:
    peer, connection = paced()
    connection.write(bytes(30_000))
    departures(peer, 0.1)
    first = connection.iss + 1
    block = (first + 15_000, first + 30_000)  # what lets as much go again
    peer.scheduler.advance(peer.scheduler.now + 0.1)
    peer.send(ACK, ack=first, options=build_sack([block]), flush=False)
    trains = departures(peer, 0.06)
    assert len(trains) > 6
    assert all(later[0] - earlier[0] >= earlier[1] / 1000 for earlier, later in pairwise(trains[1:]))


def test_a_rate_of_zero_and_none_is_no_pacing() -> None:
    for rate in (0.0, inf):
        peer, connection = paced(rate)
        connection.write(bytes(60_000))
        assert departures(peer, 0.01) == [(0, 60_000)]


def test_a_limit_may_come_later_and_change() -> None:
    peer, connection = paced(inf)
    connection.write(bytes(20_000))
    assert departures(peer, 0.01) == [(0, 20_000)]
    connection.options.max_pacing_rate = 2e6
    connection.options_changed()
    connection.write(bytes(8_000))
    assert departures(peer, 0.01) == [(0, 2000), (0.5, 2000), (1.5, 2000), (2.5, 2000)]


def test_a_closed_connection_wakes_no_more() -> None:
    peer, connection = paced()
    connection.write(bytes(50_000))
    departures(peer, 0.001)
    connection.abort()
    peer.seen()
    assert peer.scheduler.next_event() is None


def test_the_rule_of_thumb() -> None:
    """Twice the window each round trip in slow start, then 1.2 times (Linux: tcp_pacing_ss_ratio, …_ca_ratio)."""
    _, connection = paced(inf)
    connection.congestion.cwnd = 20_000
    assert pacing.rate(connection) == pytest.approx(20_000 / 0.05 * 2)
    connection.congestion.ssthresh = 20_000
    assert pacing.rate(connection) == pytest.approx(20_000 / 0.05 * 1.2)
    connection.options.max_pacing_rate = 1000
    assert pacing.rate(connection) == 1000


@given(st.floats(1, 1e10), st.integers(8, 9000), st.floats(0, 1) | st.just(inf), st.integers(1, 2))
def test_a_train_is_whole_segments(rate: float, mss: int, shortest: float, least: int) -> None:
    _, connection = paced(inf)
    connection.mss, connection.rtt.shortest = mss, shortest
    size = pacing.train(connection, rate, least)
    assert size % mss == 0
    assert least * mss <= size <= max(65215, least * mss)


def test_the_time_that_the_send_buffer_held_back_is_told() -> None:
    """It does while everything written is on its way, and the user had to wait for room."""
    peer, connection = paced(inf)
    connection.options.send_buffer = 20_000
    connection.options_changed()
    for _ in range(3):
        connection.write(bytes(connection.room))
        peer.seen()
        peer.advance(0.1)
        peer.send(ACK, ack=connection.snd_max)
        peer.advance(0.1)
    assert connection.counts.short_until(peer.scheduler.now) == pytest.approx(0.3)
    assert connection.counts.held_time == 0


# samples


def sampled(round_trip: float = 0.05) -> tuple[Peer, Connection, Any]:
    peer, connection = paced(inf)
    connection.congestion.cwnd = 10_000
    controllers.measure_rate(connection)
    return peer, connection, connection.rate


def acknowledge(peer: Peer, ack: int, *blocks: tuple[int, int]) -> list[Seen]:
    peer.send(ACK, ack=ack, options=build_sack(list(blocks)) if blocks else b"")
    return peer.seen()


def test_a_window_each_round_trip() -> None:
    peer, connection, rate = sampled()
    connection.write(bytes(100_000))
    base = connection.iss + 1
    peer.seen()
    peer.advance(0.1)
    for number in range(1, 11):
        acknowledge(peer, base + number * 1000)
    assert rate.delivered == 10_000
    assert rate.size / rate.interval == pytest.approx(100_000)
    assert rate.rtt == pytest.approx(0.1)
    assert (rate.acked, rate.app_limited) == (1000, True)  # there had been nothing to send, as Linux sees it
    assert rate.noted == pytest.approx(100_000)


def test_the_slower_of_sending_and_acknowledging_counts() -> None:
    """ACKs that were held up somewhere and come at once do not make a fast path."""
    peer, connection, rate = sampled()
    connection.congestion.cwnd = 40_000
    base = connection.iss + 1
    for _ in range(10):
        connection.write(bytes(1000))
        peer.seen()
        peer.advance(0.01)
    peer.advance(0.1)
    acknowledge(peer, base + 1000)
    connection.write(bytes(20_000))
    for number in range(2, 11):
        acknowledge(peer, base + number * 1000)
    assert rate.size / rate.interval <= 10_000 / 0.09


def test_what_was_written_too_late_is_limited_by_the_user() -> None:
    peer, connection, rate = sampled()
    base = connection.iss + 1
    connection.write(bytes(1000))
    peer.seen()
    peer.advance(0.1)
    acknowledge(peer, base + 1000)
    assert rate.app_limited
    assert connection.rate is not None
    connection.write(bytes(100_000))
    for _ in range(4):
        peer.seen()
        peer.advance(0.1)
        acknowledge(peer, connection.snd_max)
    assert not rate.app_limited


def test_many_acks_of_one_segment_do_not_make_a_fast_path() -> None:
    peer, connection, rate = sampled()
    connection.write(bytes(10_000))
    base = connection.iss + 1
    peer.seen()
    peer.advance(0.1)
    for number in range(100):
        acknowledge(peer, base + 10 * (number + 1))
    assert rate.delivered == 1000
    assert rate.noted <= 10_000


def test_small_segments_count_once_in_trouble_too() -> None:
    peer, connection, rate = sampled()
    connection.options.nodelay = True
    base = connection.iss + 1
    for _ in range(6):
        connection.write(bytes(10))
        peer.advance(0.0001)
    peer.seen()
    peer.advance(0.05)
    acknowledge(peer, base, (base + 50, base + 60))
    assert rate.delivered == 1000
    peer.advance(0.05)
    acknowledge(peer, base + 60)
    assert rate.delivered == 2000  # the five before were sent again as one


def test_a_hole_does_not_stop_the_clock() -> None:
    """Selectively acknowledged data have arrived; what was sent again counts from then."""
    peer, connection, rate = sampled()
    connection.write(bytes(10_000))
    base = connection.iss + 1
    peer.seen()
    peer.advance(0.1)
    acknowledge(peer, base, (base + 1000, base + 10_000))
    assert rate.delivered == 9000
    assert rate.size / rate.interval == pytest.approx(90_000)
    assert (rate.lost, rate.recovering) == (1000, True)
    peer.advance(0.1)
    acknowledge(peer, base + 10_000)
    assert rate.delivered == 10_000
    assert rate.rtt == pytest.approx(0.1)
    assert not rate.recovering


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans(), st.integers(1, 50)), max_size=30))
def test_everything_is_counted_once(steps: list[tuple[int, bool, int]]) -> None:
    """Whatever is lost, and in whichever order it is acknowledged."""
    peer, connection, rate = sampled()
    connection.write(bytes(200_000))
    base = connection.iss + 1
    sacked: set[int] = set()
    for count, hole, pause in steps:
        peer.seen()
        peer.advance(pause / 1000)
        top = (connection.snd_max - base) // 1000
        una = (connection.snd_una - base) // 1000
        if hole and una + count < top:
            start = una + count
            acknowledge(peer, connection.snd_una, (base + start * 1000, base + start * 1000 + 1000))
            sacked.add(start)
        else:
            acknowledge(peer, base + min(una + count, top) * 1000)
        una = (connection.snd_una - base) // 1000
        if connection.state.name == "ESTABLISHED" and not (connection.board and connection.board.after_timeout):
            told = SimpleNamespace(sacked=connection.board.sacked.size if connection.board else 0)
            assert rate.delivered == connection.snd_una - base + told.sacked
