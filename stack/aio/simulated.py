"""An asyncio event loop on a simulated network: virtual time, and sockets of the simulated hosts.

Every task runs on a host: the one that `Network.start` or `Network.run` put it on, or that of the task that created it.
So programs and libraries that know nothing of this find the simulated network under ``asyncio``::

    import asyncio
    from netower.stack import Network

    async def serve():
        async def greet(reader, writer):
            writer.write(b"hello " + await reader.readline())
            writer.close()
        server = await asyncio.start_server(greet, port=7)
        await server.serve_forever()

    async def ask(name):
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(name + b"\\n")
        answer = await reader.read()
        writer.close()
        return answer

    with Network(seed=1) as network:
        network.host("client"), network.host("server")
        network.wire("client", "server", delay="20ms", loss="1%")
        network.start("server", serve)
        assert network.run(ask(b"world"), on="client") == b"hello world\\n"

The loop does what is ready, then lets the network do what is due at this instant, and when neither has anything left,
the clock jumps to what comes next. One thread, one order of events: the same program with the same seed does the same.
What would bring another clock into it (threads, processes, the kernel's descriptors) is refused.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket as kernel
import threading
import time
from collections.abc import Callable, Coroutine
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ...net.address import parse
from ..direct import HostSocket
from ..network import Ended
from ..simulation.errors import annotate, given_up
from ..units import seconds
from .host import AsyncHost
from .network_calls import NetworkCalls, refuse
from .waiting import describe
from .watches import Watches

if TYPE_CHECKING:
    from ...net.address import Address
    from ..host import Host
    from ..network import Network
    from ..simulation.node import Node

T = TypeVar("T")

#: The host that the running task or callback is on.
_here: contextvars.ContextVar[SimulatedHost] = contextvars.ContextVar("netower simulated host")
#: Virtual seconds that cancelled programs get to end, when the network is closed.
_PARTING: Final = 60.0


class SimulatedTask(asyncio.Task[Any]):
    """A task on a host. Its hash is a serial number, so that sets of tasks have the same order in every run."""

    def __init__(self, number: int, host: SimulatedHost | None, coroutine: Any, **options: Any) -> None:
        self._number = number  # before anybody asks for the hash
        #: The host it runs on; None for one that was created outside of the network's programs.
        self.host = host
        super().__init__(coroutine, **options)
        if host is not None:
            host.tasks[self] = None
            self.add_done_callback(host.tasks.pop)
        self._log_destroy_pending = False  # a network that nobody closes just stops

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimulatedHost(AsyncHost):
    """A node of the network as its programs use it."""

    loop: SimulatedLoop

    def __init__(self, loop: SimulatedLoop, node: Node) -> None:
        super().__init__(loop, self._lookup)
        self.node = node
        #: The tasks that run here, in the order they were created.
        self.tasks: dict[SimulatedTask, None] = {}
        self._programs: list[Callable[[], Coroutine[Any, Any, Any]]] = []
        node.observers.append(self._changed)

    @property
    def host(self) -> Host:
        """The stack that runs here now. Raises OSError EHOSTDOWN after a crash."""
        return self.node.host

    def poke(self) -> None:
        """Nothing to see to: the loop lets the network work after every round of callbacks."""

    def start(self, program: Any) -> SimulatedTask:
        """Run a coroutine here; a function that makes one runs again after each restart of the node."""
        if callable(program):
            self._programs.append(program)
            program = program()
        if not asyncio.iscoroutine(program):
            raise TypeError(f"a coroutine, or a function that makes one, was expected, got {program!r}")
        return self._run(program)

    def _run(self, program: Coroutine[Any, Any, Any]) -> SimulatedTask:
        context = contextvars.copy_context()
        context.run(_here.set, self)
        task = self.loop.create_task(program, name=getattr(program, "__qualname__", None), context=context)
        assert isinstance(task, SimulatedTask)
        return task

    def _changed(self, node: Node) -> None:
        """The node has crashed, or restarted."""
        if node.up:
            for program in self._programs:
                self.loop.program_task(self._run(program()))
        else:
            self.servers.clear()
            for task in list(self.tasks):
                task.cancel(f"{node.name} has crashed")

    def _lookup(self, name: str) -> list[Address]:
        try:
            return [parse(address) for address in self.loop.network.lookup(name, self.node.name)]
        except ValueError:
            return []


class SimulatedSocket(HostSocket):
    """What ``socket.socket(...)`` makes in a program on a simulated host."""

    __slots__ = ()

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        super().__init__(
            _here.get(), kernel.AF_INET if family == -1 else family, kernel.SOCK_STREAM if type == -1 else type, proto
        )


def _new_socket(cls: Any, family: Any = -1, *rest: Any, fileno: int | None = None, **_: Any) -> Any:
    """``socket.socket.__new__`` once there was a simulated loop: programs on its hosts get sockets of these, and all
    others the kernel's, as before."""
    internet = family in (-1, kernel.AF_INET, kernel.AF_INET6)
    if cls is _KernelSocket and fileno is None and len(rest) < _FILENO and internet and _here.get(None) is not None:
        cls = SimulatedSocket
    return _kernel_new(cls)


_KernelSocket: Final = kernel.socket
_FILENO: Final = 3  # its place among the rest
_kernel_new: Final = kernel.socket.__new__


class _Agenda:
    """Stands where event loops have their selector: waiting is letting the network go on."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.select = loop._go_on

    def close(self) -> None:
        """Nothing is open."""


#: Without its type, which promises more than there is on a simulated network.
_BaseEventLoop: Any = asyncio.BaseEventLoop


class SimulatedLoop(NetworkCalls, _BaseEventLoop):  # type: ignore[misc]
    """The event loop of ``network``; `Network` makes it when it is needed."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self._clock_resolution = 1e-9
        self._selector = _Agenda(self)
        self._hosts: dict[str, SimulatedHost] = {}
        self._numbers = count(1)
        self._watches = Watches(self)
        self._failure: BaseException | None = None
        self._main: SimulatedTask | None = None
        self._ended: Ended | None = None
        self._until: float | None = None
        self._last: int | None = None
        self._deadline: float | None = None
        self.set_task_factory(self._make_task)
        kernel.socket.__new__ = _new_socket  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return f"<SimulatedLoop of {self.network!r}>"

    def __del__(self) -> None:
        if not self.is_closed():
            self._selector = None  # type: ignore[assignment]
            super().close()

    # programs

    def on(self, node: str | Node) -> SimulatedHost:
        """The host of that name, as its programs use it. Raises ValueError if there is none."""
        found = self.network[node if isinstance(node, str) else node.name]
        host = self._hosts.get(found.name)
        if host is None:
            host = self._hosts[found.name] = SimulatedHost(self, found)
        return host

    def here(self) -> SimulatedHost:
        """The host that the caller runs on. Raises RuntimeError outside of programs."""
        host = _here.get(None)
        if host is None or host.loop is not self:
            raise RuntimeError("this code runs on no simulated host: start it with Network.start or Network.run")
        return host

    def start(self, node: str | Node, program: Any) -> SimulatedTask:
        """What `Network.start` does."""
        task = self.on(node).start(program)
        self.program_task(task)
        return task

    def program_task(self, task: SimulatedTask) -> None:
        """From now on the failure of this task ends the run."""
        task.add_done_callback(self._program_done)

    def _program_done(self, task: SimulatedTask) -> None:
        if task is self._main:
            self.stop()
        elif not task.cancelled() and (failure := task.exception()) is not None:
            self._fail(task, failure)

    def _fail(self, task: SimulatedTask, failure: BaseException) -> None:
        self._annotate(task, failure)
        self._failure = self._failure or failure
        self.stop()

    def _annotate(self, task: SimulatedTask, failure: BaseException) -> None:
        where = task.host.node.name if task.host is not None else "no host"
        annotate(failure, self.network, where, task.get_name())

    def _make_task(self, _: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> SimulatedTask:
        context = options.get("context")
        host = _here.get(None) if context is None else context.get(_here)
        return SimulatedTask(next(self._numbers), host, coroutine, loop=self, **options)

    # running

    def run_main(
        self, main: Coroutine[Any, Any, T], node: str | Node, until: float | None, events: int | None, wall: Any
    ) -> T:
        """What `Network.run` does with a coroutine."""
        try:
            task = self._main = self.start(node, main)
        except BaseException:
            main.close()
            raise
        try:
            ended = self.run_bounded(until, events, wall)
            if not task.done():
                raise given_up(self.network, ended, "the main program", until=until, events=events, wall=wall)
            try:
                result: T = task.result()
            except BaseException as failure:
                self._annotate(task, failure)
                raise
            return result
        finally:
            self._main = None
            task.cancel()  # of a main program that was given up, nothing goes on in the next run

    def run_bounded(self, until: float | None, events: int | None, wall: Any) -> Ended:
        """Run all programs until a bound is reached, the main program is done, or nothing can happen any more."""
        self._until = until
        self._last = None if events is None else self.network.events + events
        self._deadline = None if wall is None else time.monotonic() + seconds(wall, "wall")
        self._ended = None
        self._failure = None
        self.run_forever()
        if self._failure is not None:
            raise self._failure
        return self._ended or Ended.STOPPED

    def waiting(self) -> list[str]:
        """Who waits for what: a line for each task."""
        return [
            f"  {host.node.name}: {task.get_name()} waits {describe(task)}"
            for host in self._hosts.values()
            for task in host.tasks
        ]

    def time(self) -> float:
        """The virtual time, in seconds."""
        return self.network.scheduler.now

    def _go_on(self, timeout: float | None) -> tuple[()]:
        """Let the network work: at this instant, and if no callback is ready then, at the next ones."""
        network, ready = self.network, self._ready
        due = network.next_event()  # what the callbacks have sent leaves
        timer = self._scheduled[0]._when if self._scheduled else None
        while not ready and not self._stopping:
            target = due if timer is None or (due is not None and due <= timer) else timer
            if not network.reach(target, self._until, self._deadline):
                due = network.next_event()
                continue
            if ended := self._bound(target):
                self._ended = ended
                self.stop()
                break
            assert target is not None
            if due is None or target is not due:
                network.scheduler.advance(target)
                break
            network.advance(max(due, network.now))
            due = network.next_event()
        else:
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._ended = Ended.WALL
                self.stop()
        return ()

    def _bound(self, target: float | None) -> Ended | None:
        """Which bound keeps the clock from moving on to ``target``, if any."""
        network = self.network
        if network.stopped:
            return Ended.STOPPED
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return Ended.WALL
        if target is None or (self._until is not None and target > self._until):
            if self._until is not None and (target is not None or self._main is None):
                network.scheduler.advance(self._until)
            return Ended.IDLE if target is None and not network.outsides else Ended.UNTIL
        if self._last is not None and network.events >= self._last:
            return Ended.EVENTS
        return None

    def _process_events(self, event_list: object) -> None:
        """There are none: the network calls back by itself."""

    def _write_to_self(self) -> None:
        """Nobody else could have to wake this loop."""

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        """As call_soon, for the thread that the network is in; others are refused, since they come at any time."""
        if self._thread_id not in (None, threading.get_ident()):
            refuse("a thread cannot call into it", "it would come at another instant in every run")
        handle: asyncio.Handle = self.call_soon(callback, *args, context=context)
        return handle

    def call_exception_handler(self, context: Any) -> None:
        """Report what no task is to blame for; that a program was cancelled is nothing to report."""
        if not isinstance(context.get("exception"), asyncio.CancelledError):
            super().call_exception_handler(context)

    def part(self) -> None:
        """End: cancel every task, give them a while to end in, close what they left open, and close the loop."""
        if self.is_closed():
            return
        tasks = [task for host in self._hosts.values() for task in host.tasks]
        for task in tasks:
            task.cancel()
        self._run_briefly(_all(tasks))
        for host in self._hosts.values():
            host.abandon()
        self._run_briefly(self.shutdown_asyncgens())
        self.close()

    def _run_briefly(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._main = self.create_task(coroutine)
        self.program_task(self._main)
        self.run_bounded(self.network.now + _PARTING, None, None)
        self._main = None


async def _all(tasks: list[SimulatedTask]) -> None:
    """Wait until they are done."""
    await asyncio.gather(*tasks, return_exceptions=True)
