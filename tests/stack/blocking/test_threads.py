"""Threads, locks and clocks of programs on simulated hosts."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from netower.stack import Network


def test_clocks(pair: Network) -> None:
    def program() -> None:
        began = time.monotonic(), time.time(), time.perf_counter(), time.monotonic_ns(), time.time_ns()
        time.sleep(3600)
        ended = time.monotonic(), time.time(), time.perf_counter(), time.monotonic_ns(), time.time_ns()
        assert [round(last - first) for first, last in zip(began[:3], ended[:3], strict=True)] == [3600] * 3
        assert ended[3] - began[3] == ended[4] - began[4] == 3600 * 10**9
        assert time.gmtime(time.time())[:3] == (2000, 1, 1)
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(-1)

    began = time.monotonic()
    pair.spawn("client", program).wait()
    assert time.monotonic() - began < 5
    assert pair.now == 3600


def test_threads_run_side_by_side_and_are_joined(pair: Network) -> None:
    def program() -> tuple[list[int], float, bool, bool]:
        done: list[int] = []

        def work(number: int) -> None:
            assert threading.current_thread() is threads[number]
            time.sleep(3 - number)
            done.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        with pytest.raises(RuntimeError, match="only be started once"):
            threads[0].start()
        threads[0].join(0.5)
        alive = threads[0].is_alive()
        for thread in threads:
            thread.join()
        assert threading.current_thread() is threading.main_thread()
        assert len({thread.ident for thread in [*threads, threading.main_thread()]}) == 4
        return done, time.monotonic(), alive, threads[0].is_alive()

    assert pair.spawn("client", program).wait() == ([2, 1, 0], 3.0, True, False)


def test_locks_wait_in_virtual_time(pair: Network) -> None:
    def program() -> list[Any]:
        lock, again, story = threading.Lock(), threading.RLock(), []

        def other() -> None:
            story.append(("tried", lock.acquire(timeout=1), time.monotonic()))
            story.append(("glanced", lock.acquire(blocking=False)))
            with lock:
                story.append(("got it", time.monotonic()))
            with again, again:
                story.append(("got the other", time.monotonic()))

        with again, lock:
            threading.Thread(target=other).start()
            time.sleep(2)
            assert lock.locked()
        with pytest.raises(RuntimeError):
            lock.release()
        time.sleep(1)
        return story

    story = pair.spawn("client", program).wait()
    assert story == [("tried", False, 1.0), ("glanced", False), ("got it", 2.0), ("got the other", 2.0)]


def test_what_builds_upon_locks(pair: Network) -> None:
    def program() -> list[Any]:
        box: queue.Queue[int] = queue.Queue(maxsize=2)
        simple: queue.SimpleQueue[int] = queue.SimpleQueue()
        event, barrier, results = threading.Event(), threading.Barrier(2), []

        def produce() -> None:
            for number in range(5):
                time.sleep(1)
                box.put(number)
                simple.put(number)
            event.set()
            barrier.wait()

        threading.Thread(target=produce).start()
        results.append([box.get() for _ in range(5)])
        results.append([simple.get() for _ in range(5)])
        event.wait()
        barrier.wait()
        with pytest.raises(queue.Empty):
            box.get(timeout=10)
        results.append(time.monotonic())
        timer = threading.Timer(5, results.append, ["timer"])
        timer.start()
        timer.join()
        results.append(time.monotonic())
        return results

    assert pair.spawn("client", program).wait() == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], 15.0, "timer", 20.0]


def test_an_executor(pair: Network) -> None:
    def work(number: int) -> int:
        time.sleep(number)
        return number * number

    def program() -> tuple[list[int], float]:
        with concurrent.futures.ThreadPoolExecutor(3) as executor:
            return list(executor.map(work, range(6))), time.monotonic()

    squares, took = pair.spawn("client", program).wait()
    assert squares == [0, 1, 4, 9, 16, 25]
    assert took == pytest.approx(7, abs=0.001)


def test_thread_locals_are_each_threads_own(pair: Network) -> None:
    def program() -> list[bool]:
        mine = threading.local()
        mine.value = 1
        seen: list[bool] = []
        thread = threading.Thread(target=lambda: seen.append(hasattr(mine, "value")))
        thread.start()
        thread.join()
        return [*seen, hasattr(mine, "value")]

    assert pair.spawn("client", program).wait() == [False, True]


def test_a_program_waits_for_its_threads_but_not_for_daemons(pair: Network) -> None:
    story = []

    def work(seconds: float) -> None:
        try:
            time.sleep(seconds)
            story.append(seconds)
        finally:
            story.append(-seconds)

    def program() -> str:
        threading.Thread(target=work, args=(10,), daemon=True).start()
        threading.Thread(target=work, args=(5,)).start()
        return "returned"

    assert pair.spawn("client", program).wait() == "returned"
    assert pair.now == 5
    assert story == [5, -5, -10]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exception_in_a_thread_goes_where_threads_send_theirs(pair: Network, monkeypatch: Any) -> None:
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append((args.exc_type, args.thread.name)))

    def program() -> None:
        thread = threading.Thread(target=lambda: 1 / 0, name="divider")
        thread.start()
        thread.join()

    pair.spawn("client", program).wait()
    assert told == [(ZeroDivisionError, "divider")]
