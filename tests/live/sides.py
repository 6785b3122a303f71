"""Where a program and its peer stand: the program on our stack over a TAP, or, for comparison, on the kernel over veth.

The peer is always the kernel. The test itself plays either part: `Side.peer` and `Side.program` are the socket modules
of the two, and what is created there belongs to that side's network.
"""

from __future__ import annotations

import os
import socket as kernel
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import netower.stack.socket as ours
from netower.app.namespace import create_namespace, inside, join
from netower.app.run import environment
from netower.stack import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NETOWER: Final = [sys.executable, "-m", "netower.app"]
#: The program's address, and its peer's.
HERE: Final = "10.77.0.2"
THERE: Final = "10.77.0.1"
#: On the wire, but nobody answers for it.
NOBODY: Final = "10.77.0.99"
#: How long anything may take that does not take long, in seconds.
PATIENCE: Final = 20.0


class Part:
    """A socket module whose sockets are made in one network namespace, and wait PATIENCE at most."""

    def __init__(self, module: Any, namespace: int, variables: dict[str, str]) -> None:
        self.module = module
        self.namespace = namespace
        self._variables = variables

    def socket(self, kind: int = kernel.SOCK_STREAM) -> Any:
        with inside(self.namespace):
            made = self.module.socket(kernel.AF_INET, kind)
        made.settimeout(PATIENCE)
        return made

    def connect(self, address: tuple[str, int]) -> Any:
        with inside(self.namespace):
            return self.module.create_connection(address, timeout=PATIENCE)

    def listen(self, host: str, port: int = 0, backlog: int = 128) -> Any:
        with inside(self.namespace):
            listener = self.module.create_server((host, port), backlog=backlog)
        listener.settimeout(PATIENCE)
        return listener

    def datagrams(self, host: str) -> Any:
        endpoint = self.socket(kernel.SOCK_DGRAM)
        endpoint.bind((host, 0))
        return endpoint

    @contextmanager
    def start(self, *arguments: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """A Python process on this part's sockets, killed at the end; its standard streams are pipes."""
        command = [sys.executable, *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with inside(self.namespace):
            process = subprocess.Popen(command, env={**os.environ, **self._variables}, **{**pipes, **options})
        with process:
            try:
                yield process
            finally:
                process.kill()


@dataclass
class Stack:
    """A running ``netower up``, in the network namespace that the test is in."""

    path: str
    process: subprocess.Popen[str]

    def query(self, name: str, **arguments: Any) -> Any:
        stack = client.Stack.open(self.path)
        try:
            answer = stack.query(name, **arguments)
        finally:
            stack.close()
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self) -> int:
        """Resident memory, in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Seconds of a core that it has used."""
        return cpu(self.process.pid)


@dataclass
class Side:
    """A program's place and its peer's, joined by one wire."""

    name: str
    program: Part
    peer: Part
    stack: Stack | None = None


@contextmanager
def running(path: Path, *options: str) -> Iterator[Stack]:
    """A stack until the end of the block, when it is told to go, and has to."""
    with subprocess.Popen(
        [*NETOWER, "up", "--path", str(path), *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == f"ready {path}\n"
            yield Stack(str(path), process)
        finally:
            process.terminate()
            assert process.wait(PATIENCE) in (0, -9)


def cpu(pid: int) -> float:
    """Seconds of a core that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def own_sockets(path: str) -> Iterator[None]:
    """This process' calls to the drop-in module go to the stack at ``path``."""
    before = os.environ.get("NETOWER_PATH")
    client._close_shared()
    os.environ["NETOWER_PATH"] = path
    try:
        yield
    finally:
        client._close_shared()
        os.environ.pop("NETOWER_PATH")
        if before is not None:
            os.environ["NETOWER_PATH"] = before


@contextmanager
def tower(namespace: int, path: Path, *options: str) -> Iterator[Side]:
    """The program on our stack, the peer on the kernel in ``namespace``."""
    with running(path, *options) as stack, own_sockets(stack.path):
        yield Side("tower", Part(ours, namespace, environment(stack.path)), Part(kernel, namespace, {}), stack)


@contextmanager
def two_kernels() -> Iterator[Side]:
    """Both on the kernel, in two namespaces of their own."""
    peer, program = create_namespace(), create_namespace()
    try:
        join(peer, program, f"{THERE}/24", f"{HERE}/24")
        yield Side("kernel", Part(kernel, program, {}), Part(kernel, peer, {}))
    finally:
        os.close(peer)
        os.close(program)


def eventually(value: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What ``value`` returns as soon as that is true."""
    end = time.monotonic() + patience
    while not (found := value()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
    return found


def read_all(connection: Any, size: int | None = None) -> bytes:
    """What arrives until the end, or ``size`` bytes."""
    data = bytearray()
    while size is None or len(data) < size:
        chunk = connection.recv(1 << 18 if size is None else min(1 << 18, size - len(data)))
        if not chunk:
            break
        data += chunk
    return bytes(data)
