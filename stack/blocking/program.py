"""Programs written with blocking calls, on the hosts of a simulated network.

A whole story::

    import requests
    from http.server import HTTPServer, SimpleHTTPRequestHandler
    from netower.stack import Network

    def serve():
        HTTPServer(("", 80), SimpleHTTPRequestHandler).serve_forever()

    def fetch(url):
        return requests.get(url, timeout=5).status_code

    with Network(seed=1) as network:
        network.host("client"), network.host("server")
        network.wire("client", "server", delay="20ms", loss="5%")
        network.spawn("server", serve)
        assert network.spawn("client", fetch, "http://server/").wait() == 200

While such a program runs, ``socket``, ``select``, ``selectors``, ``time`` (its clocks and ``sleep``) and ``threading``
are on the simulated host and in virtual time, for it and for all that it calls. Computing takes no time. What was made
before (a lock, a clock that a class has kept) is what it was; create such things, or import their modules, within it.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from greenlet import GreenletExit

from ...net.address import parse
from ..names import Names
from ..simulation.errors import annotate, given_up
from . import clock, polling, refused, sockets, threads
from .fiber import Fiber, current
from .where import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...net.address import Address
    from ..network import Network
    from ..simulation.node import Node
    from ..units import Quantity
    from .sockets import ProgramSocket

for _part in (clock, sockets, polling, threads, refused):
    _part.install()


class Program:
    """A function that runs on a node, made by `Network.spawn`, and the threads that it starts.

    It ends as a process does: when the function has returned and every thread that is no daemon has, other threads
    are ended, and its sockets are closed. If the node crashes meanwhile it is ended, and a restart begins it anew.
    """

    def __init__(
        self, network: Network, node: Node, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.network = network
        self.node = node
        self.name = getattr(function, "__qualname__", repr(function))
        self._title = f"{self.name} on {node.name}"
        self.carrier = sockets.ProgramCarrier(self, Names(self._lookup))
        #: Those that have not ended, in the order they were started.
        self.fibers: dict[Fiber, None] = {}
        #: Its sockets by their numbers, in the order they were made.
        self.sockets: WeakValueDictionary[int, ProgramSocket] = WeakValueDictionary()
        #: Whether it has ended.
        self.done = False
        #: Whether its threads are being unwound.
        self.ending = False
        self.main_thread: threading.Thread
        self._call: Callable[[], Any] = lambda: function(*args, **kwargs)
        self._value: Any = None
        self._failure: BaseException | None = None
        self._to_surface: BaseException | None = None
        self._wanted = False
        node.observers.append(self._changed)
        network.programs[self] = None
        if node.up:
            self._begin()

    def __repr__(self) -> str:
        return f"<program {self._title}{', done' if self.done else ''}>"

    # for whoever started it

    def result(self) -> Any:
        """What the function returned; raises what it raised. Raises RuntimeError before it is done, or if it was
        killed."""
        if not self.done:
            raise RuntimeError(f"{self._title} is not done")
        if self._failure is not None:
            raise self._failure
        return self._value

    def wait(self, until: Quantity | None = None, *, events: int | None = None, wall: Quantity | None = None) -> Any:
        """Run the network until this program is done, and return its `result`.

        Bounds as those of `Network.run`: one that is reached before raises BoundError. If the program waits and nothing
        can ever happen again there is a DeadlockError, which says who waits for what.
        """
        if current() is not None:
            raise RuntimeError("a program cannot run the network that it is on")
        self._wanted = True
        try:
            if not self.done:
                ended = self.network.run(until=until, events=events, wall=wall)
                if not self.done:
                    raise given_up(self.network, ended, self._title, until=until, events=events, wall=wall)
        finally:
            self._wanted = False
        return self.result()

    def kill(self) -> None:
        """End it at once, as SIGKILL would: its sockets are closed, and nothing of it runs on."""
        if not self.done:
            self._failure = RuntimeError(f"{self._title} was killed")
            self._end()

    def waiting(self) -> list[str]:
        """Who waits for what: a line for each of its threads."""
        if not self.node.up:
            return [f"  {self.node.name}: {self.name} waits for its host to restart"]
        return [f"  {self.node.name}: {fiber.thread.name} waits {describe(fiber)}" for fiber in self.fibers]

    # for its threads

    def start(self, thread: threading.Thread, body: Callable[[], object]) -> Fiber:
        """Begin another thread of this program."""

        def run() -> None:
            try:
                body()
            except GreenletExit:
                pass  # the program is ending
            finally:
                self._ended(fiber)

        fiber = Fiber(self, thread, run)
        self.fibers[fiber] = None
        fiber.begin()
        return fiber

    def surface(self) -> None:
        """Raise, where the network runs, what the program has failed with."""
        failure, self._to_surface = self._to_surface, None
        if failure is not None:
            raise failure

    # inside

    def _lookup(self, name: str) -> list[Address]:
        try:
            return [parse(address) for address in self.network.lookup(name, self.node.name)]
        except ValueError:
            return []

    def _begin(self) -> None:
        self.main_thread = threads.adopted(self.name)
        threads.belongs(self.main_thread, self.start(self.main_thread, self._run))

    def _run(self) -> None:
        try:
            self._value = self._call()
        except GreenletExit:
            raise
        except SystemExit as exit:
            self._value = exit.code
        except BaseException as failure:
            annotate(failure, self.network, self.node.name, self.name)
            self._failure = self._to_surface = failure

    def _ended(self, fiber: Fiber) -> None:
        """A thread has ended."""
        self.fibers.pop(fiber, None)
        fiber.over = True
        threads.ended(fiber)
        if not self.ending and all(other.thread.daemon for other in self.fibers):
            self._end()

    def _end(self) -> None:
        self._unwind()
        self.done = True
        self.network.programs.pop(self, None)
        with contextlib.suppress(ValueError):
            self.node.observers.remove(self._changed)
        if self._wanted:
            self.network.stop()

    def _unwind(self) -> None:
        self.ending = True
        for fiber in list(self.fibers):
            fiber.kill()
        self.fibers.clear()
        for socket in list(self.sockets.values()):
            socket._real_close()

    def _changed(self, node: Node) -> None:
        """The node has crashed, or restarted."""
        if node.up:
            self.ending = False
            self._begin()
        else:
            self._unwind()
