"""What can become of a script besides passing."""

from __future__ import annotations


class ScriptError(Exception):
    """The script cannot be read. ``line``, ``column``: where, counted from 1."""

    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.column = column


class Unsupported(Exception):
    """The script asks for something that this runner or the stack does not have: it is skipped for this reason."""


class Mismatch(Exception):
    """The stack did something else than the script says. ``expected`` and ``actual``, where there is more to compare
    than the message tells, are written as a script would."""

    def __init__(self, text: str, expected: str = "", actual: str = "") -> None:
        super().__init__(text)
        self.expected = expected
        self.actual = actual
