"""A program's own stack: ``python -m netower.stack.server PATH LIFELINE``.

A host with just a loopback interface serves at PATH, in the background, until the pipe whose reading end is the
descriptor LIFELINE has no writer any more: until the program that asked for it, and all its forks, are gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from ..host import Host
from .gate import IN
from .server import StackServer


def main() -> None:
    path, lifeline = sys.argv[1], int(sys.argv[2])
    server = StackServer(Host("private"), path)
    if os.fork():
        os._exit(0)  # it serves: the program may go on
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _leave_terminal()
    server.engine.register(lifeline, IN, lambda _: server.stop())
    server.run()
    with contextlib.suppress(OSError):
        Path(path).parent.rmdir()


def _leave_terminal() -> None:
    """A reader of the program's standard error must not wait for us."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    os.chdir("/")


if __name__ == "__main__":
    main()
