"""How a run of programs on a simulated network ends before they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..network import Ended


class DeadlockError(RuntimeError):
    """Nothing can ever happen again, and programs wait. The text lists who waits, on which host, and where."""


class BoundError(RuntimeError):
    """A bound of the run was reached before its main program was done; ``ended`` is which."""

    def __init__(self, message: str, ended: Ended) -> None:
        super().__init__(message)
        self.ended = ended
