"""The engine: whatever fails in it, the rest goes on."""

from __future__ import annotations

import logging

import pytest
from netower.stack import Host
from netower.stack.engine import Engine


def fail() -> None:
    raise ZeroDivisionError


def test_what_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    host = Host()
    engine = Engine(host, clock=lambda: 100.0)
    done: list[str] = []
    scheduler = host.scheduler
    with caplog.at_level(logging.CRITICAL + 1):
        scheduler.call_at(50, fail)
        scheduler.call_at(51, lambda: done.append("timer"))
        scheduler.call_soon(fail)
        scheduler.call_soon(lambda: done.append("soon"))
        engine.turn(0)
    engine.close()
    assert done == ["timer", "soon"]
