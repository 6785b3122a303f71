"""The agenda: what is due runs in order, what was cancelled never, and the clock does not go back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from netower.link import Scheduler

times = st.integers(0, 20).map(float)


@given(st.lists(st.tuples(times, st.booleans())), st.lists(times))
def test_timers_run_in_order_unless_cancelled(wanted: list[tuple[float, bool]], steps: list[float]) -> None:
    scheduler = Scheduler()
    ran: list[tuple[float, int]] = []
    expected = []
    for serial, (when, cancelled) in enumerate(wanted):
        timer = scheduler.call_at(when, lambda entry=(when, serial): ran.append(entry))  # type: ignore[misc]
        if cancelled:
            timer.cancel()
            timer.cancel()
        else:
            expected.append((when, serial))
        assert timer.pending is not cancelled
    expected.sort()
    for now in sorted(steps):
        scheduler.advance(now)
        assert ran == [entry for entry in expected if entry[0] <= now]
        assert scheduler.next_event() == min((when for when, _ in expected if when > now), default=None)


def test_a_timer_may_ask_for_another_that_is_due_at_once() -> None:
    scheduler = Scheduler(10.0)
    ran: list[float] = []
    scheduler.call_later(1.0, lambda: scheduler.call_later(0.0, lambda: ran.append(scheduler.now)))
    scheduler.advance(12.0)
    assert ran == [12.0]


def test_the_clock_does_not_go_back() -> None:
    scheduler = Scheduler(10.0)
    scheduler.advance(5.0)
    assert scheduler.now == 10.0


def test_a_batch_ends_with_what_was_asked_for_soon() -> None:
    scheduler = Scheduler()
    ran: list[str] = []

    def first() -> None:
        ran.append("first")
        scheduler.call_soon(lambda: ran.append("asked by first"))

    scheduler.call_soon(first)
    scheduler.call_soon(lambda: ran.append("second"))
    scheduler.flush()
    scheduler.flush()
    assert ran == ["first", "second", "asked by first"]


def test_cancelled_timers_do_not_pile_up() -> None:
    scheduler = Scheduler()
    kept = scheduler.call_at(2e6, lambda: None)
    for when in range(10_000):
        scheduler.call_at(1e6 + when, lambda: None).cancel()
    assert len(scheduler._heap) < 3000
    assert kept.pending
    assert scheduler.next_event() == 2e6


def test_a_timer_may_cancel_many_others() -> None:
    scheduler = Scheduler()
    ran: list[str] = []
    others = [scheduler.call_at(1e6, lambda: ran.append("never")) for _ in range(3000)]

    def cancel_all() -> None:
        for timer in others:
            timer.cancel()
        scheduler.call_later(0.0, lambda: ran.append("at once"))

    scheduler.call_at(1.0, cancel_all)
    scheduler.call_at(2.0, lambda: ran.append("later"))
    scheduler.advance(1.0)
    assert ran == ["at once"]
    scheduler.advance(1e7)
    assert ran == ["at once", "later"]
    assert scheduler.next_event() is None
