"""A call under way, and its result against what the script says."""

from __future__ import annotations

import errno
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from .errors import Mismatch, Unsupported
from .syntax import Anything
from .values import number, show

if TYPE_CHECKING:
    from .program import Program, Waiting
    from .syntax import Call


class Task:
    """``call`` is made at once; if it waits, `resume` takes it up again. It is to return at ``until``, which may be
    missed by ``tolerance``; ``finished``: when it returned, or None."""

    def __init__(self, program: Program, call: Call, until: float | None, tolerance: float = 0.0) -> None:
        self.call = call
        self.until = until
        self.tolerance = tolerance
        self.finished: float | None = None
        self._program = program
        self._result: Any = 0
        self._mismatch: Mismatch | Unsupported | None = None
        self._waiting: Waiting | None = None
        self._woken_at: float | None = None
        try:
            begun = program.start(call)
        except OSError as failure:
            self._finish(failure)
            return
        except Mismatch as wrong:
            self._mismatch = wrong
            self._finish(0)
            return
        if isinstance(begun, Generator):
            self._waiting = begun
            self.resume()
        else:
            self._finish(begun)

    def resume(self) -> None:
        """Go on, if it can be. What it finds that is wrong comes out of `check`."""
        if self.finished is not None or self._waiting is None:
            return
        try:
            limit = next(self._waiting)
        except StopIteration as end:
            self._finish(end.value)
        except OSError as failure:
            self._finish(failure)
        except (Mismatch, Unsupported) as wrong:
            self._mismatch = wrong
            self._finish(0)
        else:
            if limit is not None and limit != self._woken_at:
                self._woken_at = limit
                self._program.wake_at(limit)

    def _finish(self, result: Any) -> None:
        self._result = result
        self.finished = self._program.now

    def adopt(self) -> str:
        """Give a new descriptor its number without comparing anything; what the call gave, as a script has it."""
        if isinstance(self._mismatch, Unsupported):
            raise self._mismatch
        if _is_opened(self._result):
            self._program.open(number(self.call.result), self._result)
            return f"{self._head()} = {show(self.call.result)}"
        given = f" ({self._mismatch}: {self._mismatch.actual})" if self._mismatch else ""
        return self._actual() + given

    def check(self) -> None:
        """Compare the result of the finished call, and give a new descriptor its number.

        Raises Mismatch, and Unsupported for an option that the stack does not have where it should work.
        """
        if self._mismatch is not None:
            raise self._mismatch
        expected = self.call.result
        if isinstance(expected, Anything):
            return
        wanted = number(expected)
        result = self._result
        if _is_opened(result) and wanted >= 0:
            self._program.open(wanted, result)
            return
        if self._is(result, wanted):
            return
        self._excuse(result)
        raise Mismatch(f"{self.call.name} returned something else", self._written(), self._actual())

    def _is(self, result: Any, wanted: int) -> bool:
        if isinstance(result, OSError):
            named = self.call.errno
            return wanted == -1 and (named is None or errno.errorcode.get(result.errno or 0) == _canonical(named))
        return result == wanted and self.call.errno is None

    def _excuse(self, result: Any) -> None:
        """An option or a kind of socket that the stack does not know is no failure of its behavior."""
        number = result.errno if isinstance(result, OSError) else 0
        if number in (errno.ENOPROTOOPT, errno.EPERM) and self.call.name.endswith("sockopt"):
            raise Unsupported(f"the socket option {show(self.call.arguments[2])}")
        if number == errno.ENOENT and self.call.name == "setsockopt":  # a congestion control, an upper layer protocol
            raise Unsupported(f"{show(self.call.arguments[2])} {show(self.call.arguments[3])}")
        if number in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EAFNOSUPPORT) and self.call.name == "socket":
            raise Unsupported(self._head())

    def _written(self) -> str:
        return f"{self._head()} = {show(self.call.result)}{f' {self.call.errno}' if self.call.errno else ''}"

    def _actual(self) -> str:
        result = self._result
        if isinstance(result, OSError):
            return f"{self._head()} = -1 {errno.errorcode.get(result.errno or 0, result.errno)}"
        return f"{self._head()} = {'a descriptor' if _is_opened(result) else result}"

    def _head(self) -> str:
        return f"{self.call.name}({', '.join(map(show, self.call.arguments))})"


def _is_opened(result: Any) -> bool:
    """Whether the call has made something that a descriptor stands for."""
    return not isinstance(result, int | OSError)


def _canonical(name: str) -> str:
    """The one of several names of an errno that ``errno.errorcode`` has."""
    return errno.errorcode.get(getattr(errno, name, 0), name)
