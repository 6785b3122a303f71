"""What a program on a simulated host cannot have, and the error that says why."""

from __future__ import annotations

import errno
import os
import socket as kernel
import subprocess
from typing import Any, NoReturn

from .fiber import current, fallback
from .swaps import swapped

_execute_child = subprocess.Popen._execute_child  # type: ignore[attr-defined]


def refusing(what: str, why: str, number: int = errno.EOPNOTSUPP) -> OSError:
    """The error."""
    return OSError(number, f"a program on a simulated host cannot use {what}: {why}")


def _fork() -> NoReturn:
    raise refusing("fork", "the child would be a copy of the whole network, with a clock of its own; use threads")


def _socketpair(*_: Any, **__: Any) -> NoReturn:
    raise refusing("socketpair", "its ends are the kernel's, which become ready in real time; use a connection")


def _subprocess(self: Any, *args: Any, **kwargs: Any) -> Any:
    if current() is None:
        return _execute_child(self, *args, **kwargs)
    raise refusing("a process of its own", "that would run in real time, on the machine's network")


def install() -> None:
    swapped.name(os.fork, fallback(os.fork)(_fork))
    swapped.name(os.forkpty, fallback(os.forkpty)(_fork))
    swapped.name(kernel.socketpair, fallback(kernel.socketpair)(_socketpair))
    swapped.method(subprocess.Popen, "_execute_child", _subprocess)
