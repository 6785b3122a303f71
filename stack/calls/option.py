"""What a socket option is: how its value is read and set, and what it may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

INT_MAX: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Option:
    """One option. ``set`` is None where it can only be read; an int outside ``least`` to ``most`` is EINVAL.

    ``size``: 0 for an int, else the least size of the structure that ``set`` takes as it is. ``long``: what is read is
    an unsigned long, or where there is no room for one, an unsigned int, the largest for what does not fit. ``sized``:
    ``get`` wants to know how many bytes there is room for, too.
    """

    get: Callable[..., int | bytes]
    set: Callable[[Any, Any], object] | None = None
    least: int = -INT_MAX - 1
    most: int = INT_MAX
    size: int = 0
    long: bool = False
    sized: bool = False


Options = dict[tuple[int, int], Option]


def stored(
    level: int, name: int, default: int = 0, least: int = -INT_MAX - 1, most: int = INT_MAX, *, switch: bool = False
) -> Options:
    """An option that is kept and reported, and changes nothing here."""
    key = level, name

    def write(socket: Any, value: int) -> None:
        socket.values[key] = int(bool(value)) if switch else value

    return {key: Option(lambda socket: socket.values.get(key, default), write, least, most)}
