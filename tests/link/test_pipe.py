"""Pipes and queue disciplines, in virtual time."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netower.link import Packet, Scheduler, Wire
from netower.link.codel import INTERVAL, TARGET, CoDel
from netower.link.drop_tail import DropTail
from netower.link.pipe import Pipe

if TYPE_CHECKING:
    from netower.link.pipe import Queue


class Line:
    """A pipe that notes when each frame arrives."""

    def __init__(
        self, *, delay: float = 0, jitter: float = 0, rate: float = 0, queue: Queue | None = None, seed: int = 0
    ) -> None:
        self.scheduler = Scheduler()
        self.arrived: list[tuple[float, Packet]] = []
        self.pipe = Pipe(self.scheduler, delay=delay, jitter=jitter, rate=rate, queue=queue, random=Random(seed))
        self.pipe.deliver = lambda packet: self.arrived.append((self.scheduler.now, packet))

    def send(self, size: int = 1000) -> Packet:
        packet = Packet([bytes(size)])
        self.pipe.send(packet)
        return packet

    def run(self, until: float = float("inf")) -> None:
        while (due := self.scheduler.next_event()) is not None and due <= until:
            self.scheduler.advance(due)

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.arrived]


def test_a_frame_takes_its_size_over_the_rate_and_the_delay() -> None:
    line = Line(delay=0.5, rate=8000)
    line.send(1000)
    line.send(500)
    line.run()
    assert line.times == [1.5, 2.0]
    assert (line.pipe.delivered, line.pipe.delivered_bytes) == (2, 1500)


def test_without_a_rate_all_that_is_sent_together_arrives_together() -> None:
    line = Line(delay=0.1)
    sent = [line.send() for _ in range(5)]
    line.run()
    assert line.times == [0.1] * 5
    assert [packet for _, packet in line.arrived] == sent


def test_no_frame_arrives_at_the_instant_it_is_sent() -> None:
    line = Line()
    line.send()
    line.scheduler.advance(0)
    assert not line.arrived
    line.run()
    assert 0 < line.times[0] < 1e-300


@given(st.lists(st.integers(60, 1514), min_size=1, max_size=30), st.integers(0, 5), st.floats(0, 0.05))
def test_order_is_kept_under_jitter(sizes: list[int], seed: int, jitter: float) -> None:
    line = Line(delay=0.05, jitter=jitter, rate=1e6, seed=seed)
    sent = [line.send(size) for size in sizes]
    line.run()
    assert [packet for _, packet in line.arrived] == sent
    put_on_line = 0.0
    for time, size in zip(line.times, sizes, strict=True):
        put_on_line += size * 8 / 1e6
        assert time >= put_on_line + 0.05 - jitter - 1e-9


def test_jitter_is_around_the_delay() -> None:
    line = Line(delay=0.02, jitter=0.01)
    for number in range(300):
        line.run(number * 0.1)
        line.scheduler.advance(number * 0.1)
        line.send()
    line.run()
    taken = [time - number * 0.1 for number, time in enumerate(line.times)]
    assert all(0.01 - 1e-9 <= time <= 0.03 + 1e-9 for time in taken)
    assert sum(taken) / 300 == pytest.approx(0.02, abs=0.002)
    assert max(taken) - min(taken) > 0.015


@given(
    st.lists(st.tuples(st.floats(0, 0.01), st.integers(60, 1514)), max_size=60),
    st.sampled_from(["frames", "bytes", "codel"]),
)
def test_every_frame_is_delivered_or_counted(schedule: list[tuple[float, int]], kind: str) -> None:
    queue: Queue = {"frames": DropTail(5), "bytes": DropTail(1000, 4000), "codel": CoDel(frames=20)}[kind]
    line = Line(delay=0.01, rate=1e6, queue=queue)
    now, sent = 0.0, []
    for pause, size in schedule:
        now += pause
        line.run(now)
        line.scheduler.advance(now)
        sent.append(line.send(size))
    line.run()
    arrived = [packet for _, packet in line.arrived]
    assert [packet for packet in sent if packet in arrived] == arrived
    assert len(arrived) + sum(queue.counters.values()) == len(sent)
    assert len(queue) == 0


def test_drop_tail_drops_what_comes_when_it_is_full() -> None:
    line = Line(rate=8000, queue=DropTail(2))
    sent = [line.send() for _ in range(5)]
    line.run()
    assert [packet for _, packet in line.arrived] == sent[:3]
    assert line.pipe.queue.counters == {"queue_full": 2}


def test_drop_tail_counts_bytes() -> None:
    queue = DropTail(10, 2000)
    for size in (1500, 600, 500):
        queue.push(Packet([bytes(size)]), 0)
    assert queue.counters == {"queue_full": 1}
    assert [len(packet) for packet in iter(lambda: queue.pull(0), None)] == [1500, 500]


def test_a_cut_pipe_loses_what_is_on_its_way() -> None:
    line = Line(delay=1, rate=8000)
    for _ in range(4):
        line.send()
    line.run(2.5)
    line.pipe.cut()
    line.send()
    line.run(10)
    assert len(line.arrived) == 1
    assert line.pipe.counters == {"link_down": 4}
    line.pipe.down = False
    line.scheduler.advance(10)
    line.send()
    line.run()
    assert line.times == [2.0, 12.0]


def test_a_pipe_that_was_cut_carries_as_before() -> None:
    line = Line(delay=1)
    line.send()
    line.pipe.cut()
    assert line.scheduler.next_event() is None
    line.pipe.down = False
    for second in range(1, 4):
        line.run(second / 2)
        line.scheduler.advance(second / 2)
        line.send()
    line.run()
    assert line.times == [1.5, 2.0, 2.5]


def test_conditions_can_change_under_way() -> None:
    line = Line(delay=1, rate=8000)
    for _ in range(3):
        line.send()
    line.run(0.5)
    line.pipe.rate, line.pipe.delay = 16000, 0
    line.pipe.replace_queue(DropTail(1))
    line.run()
    assert line.times == [2.0, 2.0]  # the second is put on the line by 1.5 s, but does not overtake
    assert line.pipe.queue.counters == {"queue_full": 1}


def test_a_wire_with_pipes() -> None:
    scheduler = Scheduler()
    first, second = Wire(pipes=(Pipe(scheduler, delay=1), Pipe(scheduler, delay=2))).ends
    first.send_packet(Packet([b"there"]))
    second.send_packet(Packet([b"back"]))
    scheduler.advance(0.5)
    assert second.receive_packet() is None
    scheduler.advance(1)
    there = second.receive_packet()
    assert there is not None
    assert there.tobytes() == b"there"
    assert first.receive_packet() is None
    scheduler.advance(2)
    assert first.receive_packet() is not None


# -- CoDel


def fill(queue: CoDel, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        queue.push(Packet([bytes(1000)]), now)


def test_codel_lets_a_burst_pass() -> None:
    queue = CoDel()
    fill(queue, 50)
    for number in range(50):
        assert queue.pull(number * TARGET / 60) is not None
    assert not queue.counters
    assert queue.pull(1) is None


def test_codel_drops_a_standing_queue_ever_sooner() -> None:
    """The control law, RFC 8289 §3.3: the n-th drop follows the one before it after interval / sqrt(n)."""
    queue = CoDel(frames=10**6)
    drops: list[float] = []
    for step in range(1500):
        now = step * 0.001
        fill(queue, 3, now)
        before = queue.counters["codel"]
        queue.pull(now)
        drops += [now] * (queue.counters["codel"] - before)
    gaps = [after - before for before, after in pairwise(drops)]
    assert INTERVAL < drops[0] < INTERVAL + 2 * TARGET + 0.01
    for number, gap in enumerate(gaps[:20], 1):
        assert gap == pytest.approx(INTERVAL / number**0.5, abs=0.0021)


def test_codel_stops_when_the_queue_is_gone() -> None:
    queue = CoDel()
    fill(queue, 400)
    for step in range(400):
        queue.pull(0.1 + step * 0.001)
    dropped = queue.counters["codel"]
    assert dropped > 0
    assert len(queue) == 0
    for step in range(100):
        fill(queue, 1, 2 + step * 0.001)
        assert queue.pull(2.001 + step * 0.001) is not None
    assert queue.counters["codel"] == dropped


def test_codel_is_bounded() -> None:
    queue = CoDel(frames=3)
    fill(queue, 5)
    assert queue.counters == {"queue_full": 2}
    assert queue.clear() == 3
    assert queue.pull(0) is None
