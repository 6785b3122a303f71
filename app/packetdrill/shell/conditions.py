"""The conditions of ``test`` and ``[``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_COMPARED: Final[dict[str, Callable[[int, int], bool]]] = {
    "-eq": lambda left, right: left == right,
    "-ne": lambda left, right: left != right,
    "-lt": lambda left, right: left < right,
    "-le": lambda left, right: left <= right,
    "-gt": lambda left, right: left > right,
    "-ge": lambda left, right: left >= right,
}
_OF_FILES: Final = frozenset({"-e", "-f", "-r", "-w", "-x", "-s", "-d", "-a"})


def holds(words: Sequence[str], exists: Callable[[str], bool]) -> bool:
    """``exists``: whether there is a file. Raises Unsupported for a condition that is not known."""
    for sign, every in ("-o", any), ("-a", all):
        if sign in words[1:-1]:
            at = words.index(sign, 1)
            return every((holds(words[:at], exists), holds(words[at + 1 :], exists)))
    match words:
        case []:
            return False
        case ["!", *rest]:
            return not holds(rest, exists)
        case [text]:
            return bool(text)
        case ["-n", text]:
            return bool(text)
        case ["-z", text]:
            return not text
        case [sign, path] if sign in _OF_FILES:
            return exists(path)
        case [left, "=" | "==", right]:
            return left == right
        case [left, "!=", right]:
            return left != right
        case [left, sign, right] if sign in _COMPARED:
            return all(map(_is_number, (left, right))) and _COMPARED[sign](int(left), int(right))
    raise Unsupported(f"the condition {' '.join(words)}")


def _is_number(text: str) -> bool:
    return text.strip().removeprefix("-").isdigit()
