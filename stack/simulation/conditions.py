"""The conditions on a wire: what people write, and what it makes of one direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypedDict

from ...link.chance import GilbertElliott, Independent
from ...link.codel import CoDel
from ...link.drop_tail import DropTail
from ...link.impairment import Delay, Drop, Duplicate, Rewrite, flip_bit
from ...link.mark import Mark
from ...link.pipe import Queue
from ..units import Quantity, bits_per_second, fraction, seconds, size

if TYPE_CHECKING:
    from ...link.impairment import Impairment
    from ...link.packet import Packet
    from .wire import Direction


@dataclass(frozen=True)
class Bursts:
    """Loss (or any other mischance) that comes in bursts, after Gilbert and Elliott: ``average`` of the packets, as
    "1%", in bursts of ``length`` packets on average."""

    average: Quantity
    length: float = 4.0

    def chance(self, random: Random, what: str) -> GilbertElliott:
        average = fraction(self.average, what)
        if self.length < 1 or average >= 1:
            raise ValueError(f"{what}: {self!r} needs bursts of 1 packet or more, and an average below 100%")
        recover = 1 / self.length
        return GilbertElliott(random, min(1.0, average * recover / (1 - average)), recover)


Chance = Quantity | Bursts
QueueChoice = int | str | Callable[[], Queue]


class Conditions(TypedDict, total=False):
    """All conditions of a wire. Each is one value for both directions, or a pair: from the first end, from the second.

    delay, jitter: "20ms", or seconds; a frame's delay is drawn between delay - jitter and delay + jitter
    rate: "10Mbit", or bit/s; 0 for no limit
    queue: what waits for the rate: a number of frames, "64kB", "codel", or a function that makes a queue discipline
    loss, duplicate, corrupt: "1%", 0.01, or `Bursts("1%", 5)`
    mark: so many of the packets that are ECN-capable get a mark (RFC 3168), as "5%"; the others pass
    mark_above: so do all of them that find this many frames waiting for the rate; 0: none
    reorder: so many frames are held back for ``reorder_by`` ("10ms"), and those behind pass them
    """

    delay: Quantity | tuple[Quantity, Quantity]
    jitter: Quantity | tuple[Quantity, Quantity]
    rate: Quantity | tuple[Quantity, Quantity]
    queue: QueueChoice | tuple[QueueChoice, QueueChoice]
    loss: Chance | tuple[Chance, Chance]
    mark: Chance | tuple[Chance, Chance]
    mark_above: int | tuple[int, int]
    duplicate: Chance | tuple[Chance, Chance]
    corrupt: Chance | tuple[Chance, Chance]
    reorder: Chance | tuple[Chance, Chance]
    reorder_by: Quantity | tuple[Quantity, Quantity]


#: A wire is short and fast unless it is told otherwise, but an effect never comes at the instant of its cause.
DEFAULTS: Final[dict[str, Any]] = {
    "delay": 100e-6,
    "jitter": 0,
    "rate": 0,
    "queue": 1000,
    "loss": 0,
    "mark": 0,
    "mark_above": 0,
    "duplicate": 0,
    "corrupt": 0,
    "reorder": 0,
    "reorder_by": 0.01,
}


def pairs(conditions: Any) -> list[dict[str, Any]]:
    """The conditions of each direction. Raises TypeError for a name that is none."""
    for name, value in conditions.items():
        if name not in DEFAULTS:
            raise TypeError(f"{name!r} is no condition of a wire; these are: {', '.join(DEFAULTS)}")
        if isinstance(value, tuple) and len(value) != 2:
            raise ValueError(f"{name}: {value!r} is not a pair, one value for each direction")
    return [
        {name: value[side] if isinstance(value, tuple) else value for name, value in conditions.items()}
        for side in range(2)
    ]


def check(conditions: dict[str, Any]) -> None:
    """Raise ValueError for a value that makes no sense, before any of them takes effect."""
    for name, value in conditions.items():
        if name in _CHANCES:
            chance(Random(0), value, name)
        elif name == "queue":
            queue(value)
        elif name == "mark_above":
            threshold(value)
        else:
            (bits_per_second if name == "rate" else seconds)(value, name)


def apply(direction: Direction, conditions: dict[str, Any]) -> None:
    """Put conditions into effect."""
    values = direction.conditions
    values.update(conditions)
    pipe = direction.pipe
    for name in conditions:
        value = values[name]
        if name in _CHANCES:
            _impair(direction, name, value)
        elif name == "delay":
            pipe.delay = seconds(value, name)
        elif name == "jitter":
            pipe.jitter = seconds(value, name)
        elif name == "rate":
            pipe.rate = bits_per_second(value, name)
        elif name == "queue":
            pipe.replace_queue(queue(value))
        elif name == "mark_above":
            _mark_above(direction, threshold(value))
        elif values["reorder"]:
            _impair(direction, "reorder", values["reorder"])


def queue(choice: QueueChoice) -> Queue:
    """A queue discipline as people name it. Raises ValueError."""
    if callable(choice):
        return choice()
    if choice == "codel":
        return CoDel()
    if isinstance(choice, str):
        return DropTail(1 << 30, size(choice, "queue"))
    if isinstance(choice, bool) or choice != int(choice) or choice < 0:
        raise ValueError(f"queue: {choice!r} is neither a number of frames, a size, nor 'codel'")
    return DropTail(choice)


def threshold(value: int) -> int:
    """How many frames wait before marks are set. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"mark_above: {value!r} is not a number of frames")
    return value


def chance(random: Random, value: Chance, what: str) -> Callable[[Packet], bool]:
    """Which packets a mischance befalls. Raises ValueError."""
    return value.chance(random, what) if isinstance(value, Bursts) else Independent(random, fraction(value, what))


def _impair(direction: Direction, name: str, value: Chance) -> None:
    """Set one mischance of a direction. Its randomness is its own, and goes on where it was."""
    port = direction.port
    _lift(direction, name)
    if not isinstance(value, Bursts) and fraction(value, name) == 0:
        return
    random = direction.random(name)
    picks = chance(random, value, name)
    impairment: Impairment
    if name == "loss":
        impairment = Drop(port, picks)
    elif name == "mark":
        impairment = Mark(port, picks)
    elif name == "duplicate":
        impairment = Duplicate(port, picks)
    elif name == "corrupt":
        impairment = Rewrite(port, picks, flip_bit(random))
    else:
        held = seconds(direction.conditions["reorder_by"], "reorder_by")
        impairment = Delay(port, picks, direction.scheduler, held)
    _lay(direction, name, impairment, _CHANCES.index(name) + 100)


def _mark_above(direction: Direction, frames: int) -> None:
    _lift(direction, "mark_above")
    if frames:
        pipe = direction.pipe
        mark = Mark(direction.port, lambda _: len(pipe.queue) >= frames)
        _lay(direction, "mark_above", mark, _AT_THE_QUEUE)


def _lay(direction: Direction, name: str, impairment: Impairment, stage: int) -> None:
    direction.impairments[name] = impairment
    direction.port.add(stage, impairment)


def _lift(direction: Direction, name: str) -> None:
    """End an impairment, if it is there; what it did stays counted."""
    old = direction.impairments.pop(name, None)
    if old is not None:
        direction.port.remove(old)
        direction.counters[name] += old.count


#: In the order in which they befall a frame.
_CHANCES: Final = ("loss", "mark", "duplicate", "corrupt", "reorder")
#: What depends on the queue comes last.
_AT_THE_QUEUE: Final = 200
