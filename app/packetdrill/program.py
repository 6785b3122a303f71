"""The program that a script plays, whichever host it runs on: what it calls, and how it waits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .errors import Unsupported

if TYPE_CHECKING:
    from .configuration import Configuration
    from .flows import Flows
    from .machine import Machine
    from .syntax import Call

#: A call that may wait: it yields until when at most (seconds of the script, None: for ever) and is resumed whenever
#: something has happened; its result is an int, or what a new descriptor is to stand for.
Waiting = Generator[float | None, None, Any]


class Asked(Protocol):
    """A socket that assertions are about."""

    def getsockopt(self, level: int, option: int, /) -> bytes: ...


class Program(ABC):
    """Its descriptors have the numbers that the script gives them. ``calls``: what is behind each name."""

    def __init__(
        self,
        machine: Machine,
        flows: Flows,
        configuration: Configuration,
        calls: Mapping[str, Callable[..., Any]],
    ) -> None:
        self.flows = flows
        self.configuration = configuration
        #: Where the files are that it opens.
        self.folder = Path()
        self._clock = machine
        self._calls = calls

    @property
    def now(self) -> float:
        return self._clock.now

    def wake_at(self, time: float) -> None:
        """See to it that the call that waits is resumed at that time."""
        self._clock.wake_at(time)

    def start(self, call: Call) -> Any:
        """Make a call. Its result, or a `Waiting` if it may wait.

        Raises what the call raises, Mismatch for what it gives through pointers, and Unsupported for what is not known.
        """
        return self.make(call)

    def make(self, call: Call) -> Any:
        """What the call's function gives."""
        function = self._calls.get(call.name)
        if function is None:
            raise Unsupported(f"the call {call.name}")
        try:
            return function(self, *call.arguments)
        except TypeError as failure:
            if "argument" in str(failure):
                raise Unsupported(f"{call.name} with {len(call.arguments)} arguments") from failure
            raise

    @abstractmethod
    def open(self, number: int, opened: Any) -> None:
        """Give what a call has opened the script's number."""

    @abstractmethod
    def under_test(self) -> Asked | None:
        """The socket that assertions are about: that of the current connection, else the stream made last."""
