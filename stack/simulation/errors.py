"""How a run of programs on a simulated network ends before they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..network import Ended, Network

_BOUNDS: Final = {
    "until": "the virtual time {} was reached",
    "events": "{} events have happened",
    "wall": "{} of real time have passed",
    "stopped": "the network was stopped",
}


class DeadlockError(RuntimeError):
    """Nothing can ever happen again, and programs wait. The text lists who waits, on which host, and where."""


class BoundError(RuntimeError):
    """A bound of the run was reached before its main program was done; ``ended`` is which."""

    def __init__(self, message: str, ended: Ended) -> None:
        super().__init__(message)
        self.ended = ended


def given_up(network: Network, ended: Ended, main: str, **bounds: object) -> RuntimeError:
    """The error of a run that ended before the program ``main`` was done; ``bounds`` are those it was given."""
    waiting = "\n".join(network.waiting()) or "  no program waits"
    if ended.value == "idle":
        return DeadlockError(f"nothing can ever happen again at {network.now:.6f} s, and\n{waiting}")
    bound = bounds.get(ended.value)
    written = f"{bound} s" if isinstance(bound, float | int) and ended.value != "events" else bound
    return BoundError(f"{_BOUNDS[ended.value].format(written)} before {main} was done;\n{waiting}", ended)


def annotate(failure: BaseException, network: Network, host: str, program: str) -> None:
    """Note on an exception where in the simulation it was raised."""
    failure.add_note(f"on {host}, in {program}, at {network.now:.6f} s of virtual time, with seed {network.seed!r}")
