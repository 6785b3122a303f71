"""A process and a network namespace for each script: what one leaves behind, no other sees."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
import time
from typing import TYPE_CHECKING, Final, TypeVar

from ...namespace import enter_private

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_READ_SIZE: Final = 65536


def in_namespace(work: Callable[[], T], seconds: float) -> T:
    """The result of ``work``, done in a process and a namespace of its own, before other processes where that may be.

    Raises what ``work`` raises; PermissionError (EPERM) where there can be no namespace; TimeoutError after so many
    ``seconds``.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            os.close(reader)
            _answer(work, writer)
        os._exit(0)
    os.close(writer)
    try:
        answer = _read(reader, seconds)
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    ok, result = pickle.loads(answer)  # from our own child
    if ok:
        return result  # type: ignore[no-any-return]
    raise result


def _answer(work: Callable[[], object], writer: int) -> None:
    answer: tuple[bool, object]
    try:
        enter_private()
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        gc.disable()
        answer = True, work()
    except Exception as failure:
        answer = False, failure
    with open(writer, "wb") as file:
        file.write(pickle.dumps(answer))


def _read(reader: int, seconds: float) -> bytes:
    parts: list[bytes] = []
    end = time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([reader], [], [], max(end - time.monotonic(), 0))
        if not ready:
            raise TimeoutError(f"the script has not ended after {seconds:g} s")
        part = os.read(reader, _READ_SIZE)
        if not part:
            return b"".join(parts)
        parts.append(part)
