"""The parts of loss recovery alone, each against a naive model."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from netower.transport.tcp.prr import ProportionalRate
from netower.transport.tcp.ranges import Ranges
from netower.transport.tcp.reassembly import Reassembly
from netower.transport.tcp.scoreboard import Resent, Scoreboard

RANGE = st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def numbers(ranges: Any) -> list[int]:
    return [number for start, end in ranges for number in range(start, end)]


@given(st.lists(st.tuples(st.sampled_from(("add", "remove", "gaps")), RANGE), max_size=40))
def test_ranges_are_a_set(steps: list[tuple[str, tuple[int, int]]]) -> None:
    ranges, model = Ranges(), set[int]()
    for step, (start, end) in steps:
        asked = set(range(start, end))
        if step == "add":
            assert numbers(ranges.add(start, end)) == sorted(asked - model)
            model |= asked
        elif step == "remove":
            assert ranges.remove(start, end) == len(asked & model)
            model -= asked
        else:
            assert numbers(ranges.gaps(start, end)) == sorted(asked - model)
        assert numbers(ranges) == sorted(model)
        assert ranges.size == len(model)
        kept = list(ranges)
        assert all(first[1] < second[0] for first, second in pairwise(kept))
        around = ranges.around(start)
        assert (around is not None) == (start in model)
        assert around is None or around[0] <= start < around[1]


@given(st.lists(st.tuples(st.sampled_from(("add", "take", "within")), RANGE), max_size=40))
def test_what_was_sent_again_is_known_by_number_and_by_time(steps: list[tuple[str, tuple[int, int]]]) -> None:
    resent, model = Resent(), dict[int, float]()
    for time, (step, (start, end)) in enumerate(steps):
        asked = {number: model[number] for number in range(start, end) if number in model}
        if step == "add":
            if start < end:
                resent.add(start, end, float(time))
                model.update(dict.fromkeys(range(start, end), float(time)))
        else:
            parts = resent.take(start, end) if step == "take" else resent.within(start, end)
            assert {number: part.time for part in parts for number in range(part.start, part.end)} == asked
            if step == "take":
                for number in asked:
                    del model[number]
        oldest = resent.oldest()
        assert (oldest is None) == (not model)
        if oldest is not None:
            assert oldest.time == min(model.values())


@given(st.lists(RANGE, max_size=20), st.lists(RANGE, max_size=20), RANGE)
def test_lost_is_what_neither_arrived_nor_was_sent_again(
    arrived: list[tuple[int, int]], again: list[tuple[int, int]], judged: tuple[int, int]
) -> None:
    board = Scoreboard(0)
    for start, end in arrived:
        board.sacked.add(start, end)
    for start, end in again:
        if start < end:
            board.resent.add(start, end, 1.0)
    board.lose(*judged)
    assert set(numbers(board.lost)) == set(range(*judged)) - set(numbers(arrived)) - set(numbers(again))


@given(st.lists(RANGE, min_size=1, max_size=30), st.integers(0, 60))
def test_early_pieces_and_their_blocks(steps: list[tuple[int, int]], rcv_nxt: int) -> None:
    whole = bytes(range(100))
    reassembly, model = Reassembly(), set[int]()
    for start, end in steps:
        before = model & set(range(start, end))
        reassembly.insert(start, memoryview(whole)[start:end])
        model |= set(range(start, end))
        assert (reassembly.repeated is not None) == bool(before)
        if reassembly.repeated is not None:
            assert set(range(*reassembly.repeated)) <= before
        if start < end:
            reassembly.told(start, end)
            first = reassembly.latest[0]
            assert first[0] <= start < end <= first[1]
        for left, right in reassembly.latest:
            assert set(range(left, right)) <= model
            assert not {left - 1, right} & model  # as long as they can be
        assert len(reassembly.latest) <= 4
    taken = b"".join(reassembly.take(rcv_nxt))
    assert whole[rcv_nxt:].startswith(taken)
    assert rcv_nxt + len(taken) not in model
    assert all(left > rcv_nxt + len(taken) for left, _ in reassembly.latest)


@given(
    flight=st.integers(3, 200),
    losses=st.integers(1, 100),
    beta=st.sampled_from((0.5, 0.7)),
)
def test_the_rate_goes_down_in_proportion(flight: int, losses: int, beta: float) -> None:
    """One ACK for each segment that arrives: the window ends at ssthresh, and nothing is sent in bursts."""
    losses = min(losses, flight - 1)
    ssthresh = max(int(flight * beta), 2)
    prr = ProportionalRate()
    prr.start(flight)
    pipe = flight - losses
    for _ in range(flight - losses):
        pipe -= 1
        window = prr.window(1, pipe, ssthresh, 1, safe=False)
        assert window >= pipe
        assert window <= max(pipe + 2, ssthresh)
        sent = window - pipe
        prr.sent += sent
        pipe += sent
    assert pipe <= max(ssthresh, 1)
