"""Where measurements run: two ends, each a process of its own, on kernel sockets over veth or with our stack on a TAP.

The *peer* is always a program on kernel sockets; the *program* is on the stack that is measured.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..namespace import create_namespace, inside, join

WORKER: Final = str(Path(__file__).with_name("worker.py"))
NETOWER: Final = [sys.executable, "-m", "netower.app"]
PEER_ADDRESS: Final = "10.77.0.1"
PROGRAM_ADDRESS: Final = "10.77.0.2"
MTU: Final = 1500
PATIENCE: Final = 15.0  # how much longer than asked a measurement may take, in seconds


class MeasurementFailed(Exception):
    """A worker ended badly, or not at all; the text says how."""


@dataclass
class End:
    """One of the two machines of a measurement: how programs are started on it."""

    address: str
    namespace: int
    command: list[str]
    cpus: set[int] | None = None
    worker: list[str] = field(default_factory=lambda: [sys.executable, WORKER])

    @contextmanager
    def start(self, role: str, host: str, port: int, seconds: float) -> Iterator[Worker]:
        arguments = [*self.command, *self.worker, role, host, str(port), str(seconds)]
        with inside(self.namespace):
            process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.cpus:
            os.sched_setaffinity(process.pid, self.cpus)
        try:
            yield Worker(role, process)
        finally:
            process.kill()
            process.communicate()


@dataclass
class Worker:
    """A program that has been started on an end."""

    role: str
    process: subprocess.Popen[str]

    def port(self) -> int:
        """Where a passive role listens, once it does."""
        assert self.process.stdout
        words = self.process.stdout.readline().split()
        if len(words) != 2 or words[0] != "ready":
            raise MeasurementFailed(self._complaint())
        return int(words[1])

    def result(self, seconds: float) -> dict[str, Any]:
        """What the program measured."""
        try:
            output, errors = self.process.communicate(timeout=seconds + PATIENCE)
        except subprocess.TimeoutExpired:
            raise MeasurementFailed(f"{self.role}: no result within {seconds + PATIENCE:.0f} s") from None
        if self.process.returncode:
            raise MeasurementFailed(f"{self.role}: {_last_line(errors)}")
        result: dict[str, Any] = json.loads(output.splitlines()[-1])
        return result

    def _complaint(self) -> str:
        self.process.kill()
        return f"{self.role}: {_last_line(self.process.communicate()[1])}"


@dataclass
class Rig:
    """A pair of ends, and the stack process between them if there is one."""

    peer: End
    program: End
    stack: subprocess.Popen[str] | None = None

    def memory(self) -> dict[str, int]:
        """Resident memory of the stack process, now and at its highest, in bytes; nothing for the kernel."""
        if self.stack is None:
            return {}
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{self.stack.pid}/status").read_text().splitlines())
        return {name: int(fields[key].split()[0]) * 1024 for name, key in (("resident", "VmRSS"), ("highest", "VmHWM"))}


@dataclass
class Placement:
    """Which CPUs the ends run on; None leaves it to the kernel."""

    peer: set[int] | None = None
    program: set[int] | None = None
    text: str = field(default="unpinned: the kernel places the processes")

    @classmethod
    def pinned(cls) -> Placement:
        """The peer on one CPU, the program (and the stack) on another, as if they were two machines."""
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            return cls({cpus[0]}, {cpus[0]}, f"everything on CPU {cpus[0]}")
        return cls({cpus[0]}, {cpus[1]}, f"peer on CPU {cpus[0]}, stack and program on CPU {cpus[1]}")


@contextmanager
def kernel_over_veth(placement: Placement) -> Iterator[Rig]:
    """Kernel sockets at both ends of a veth cable, offloads on as they are by default."""
    with in_namespace() as first, in_namespace() as second:
        join(first, second, f"{PEER_ADDRESS}/24", f"{PROGRAM_ADDRESS}/24", mtu=MTU)
        yield Rig(End(PEER_ADDRESS, first, [], placement.peer), End(PROGRAM_ADDRESS, second, [], placement.program))


@contextmanager
def stack_over_tap(placement: Placement, directory: Path) -> Iterator[Rig]:
    """Kernel sockets on one side of a TAP, our stack and a program on it on the other."""
    path = str(directory / "stack.sock")
    with in_namespace() as namespace, ExitStack() as cleanup:
        stack = _start_stack(namespace, path)
        cleanup.callback(_stop, stack)
        if placement.program:
            os.sched_setaffinity(stack.pid, placement.program)
        run = [*NETOWER, "run", "--path", path, "--"]
        yield Rig(
            End(PEER_ADDRESS, namespace, [], placement.peer),
            End(PROGRAM_ADDRESS, namespace, run, placement.program),
            stack,
        )


def _start_stack(namespace: int, path: str) -> subprocess.Popen[str]:
    options = ["--tap", "bench0", "--address", f"{PROGRAM_ADDRESS}/24", "--host-address", f"{PEER_ADDRESS}/24"]
    command = [*NETOWER, "up", *options, "--mtu", str(MTU), "--path", path]
    with inside(namespace):
        stack = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert stack.stdout
    if not stack.stdout.readline().startswith("ready"):
        raise MeasurementFailed(f"the stack did not start: {_last_line(stack.communicate()[1])}")
    return stack


def _stop(stack: subprocess.Popen[str]) -> None:
    stack.send_signal(signal.SIGTERM)
    try:
        stack.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        stack.kill()
        stack.communicate()


@contextmanager
def in_namespace() -> Iterator[int]:
    """A fresh namespace, for as long as it is needed."""
    namespace = create_namespace()
    try:
        yield namespace
    finally:
        os.close(namespace)


def _last_line(text: str) -> str:
    return (text.strip() or "ended without a word").splitlines()[-1]
