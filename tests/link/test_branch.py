"""Branches of a scheduler."""

from __future__ import annotations

from netower.link import Scheduler
from netower.link.branch import Branch


def test_branches_share_the_clock_and_the_order() -> None:
    trunk = Scheduler(5.0)
    one, two = Branch(trunk), Branch(trunk)
    done: list[str] = []
    one.call_later(1, lambda: done.append("one"))
    two.call_later(1, lambda: done.append("two"))
    trunk.call_at(6, lambda: done.append("trunk"))
    one.call_soon(lambda: done.append("soon"))
    assert one.next_event() == trunk.next_event() == 6
    two.flush()
    one.advance(6)
    assert two.now == trunk.now == 6
    assert done == ["soon", "one", "two", "trunk"]


def test_a_cut_branch_never_calls_again() -> None:
    trunk = Scheduler()
    one, two = Branch(trunk), Branch(trunk)
    done: list[str] = []
    timer = one.call_later(1, lambda: done.append("cut"))
    two.call_later(2, lambda: done.append("alive"))
    one.cut()
    assert not timer.pending
    late = one.call_later(1, lambda: done.append("late"))
    assert not late.pending
    late.cancel()
    one.call_soon(lambda: done.append("soon"))
    trunk.flush()
    assert trunk.next_event() == 2
    trunk.advance(10)
    assert done == ["alive"]


def test_a_timer_of_a_branch_can_cut_it_among_many() -> None:
    trunk = Scheduler()
    branch = Branch(trunk)
    done: list[int] = []
    branch.call_at(1, branch.cut)
    for number in range(3000):
        branch.call_at(1 + number, lambda: done.append(0))
        trunk.call_at(2 + number, lambda: done.append(1))
    trunk.advance(10_000)
    assert done == [1] * 3000


def test_timers_of_a_branch_can_be_cancelled() -> None:
    trunk = Scheduler()
    branch = Branch(trunk)
    for timer in [branch.call_at(1, lambda: None) for _ in range(5000)]:
        timer.cancel()
    assert trunk.next_event() is None
