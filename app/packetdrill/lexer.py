"""Words of the script language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final, NamedTuple

from .errors import ScriptError


class Kind(Enum):
    OPTION = "an option"  # --name, or --name=value
    NUMBER = "a number"
    FLOAT = "a time"
    WORD = "a word"
    STRING = "a string"
    COMMAND = "a command"  # in backticks
    CODE = "Python code"  # between %{ and }%
    ELLIPSIS = "..."
    ADDRESS = "an IP address"
    SYMBOL = "a symbol"
    END = "the end of the script"


class Token(NamedTuple):
    kind: Kind
    #: The word itself; of a string, command and code what is between their marks, of an option ``name=value``.
    text: str
    line: int
    column: int

    def __str__(self) -> str:
        return self.kind.value if self.kind is Kind.END else repr(self.text)


_NUMBER_ENDS: Final = r"(?![A-Za-z0-9_])"
_PATTERNS: Final = (
    ("skip", r"\s+|//[^\n]*|/\*.*?\*/|\#[^\n]*"),
    ("CODE", r"%\{(?P<code>.*?)\}%"),
    ("COMMAND", r"`(?P<command>(?:\\.|[^`\\])*)`"),
    ("STRING", r'"(?P<string>(?:\\.|[^"\\])*)"'),
    ("OPTION", r"--(?P<option>\w+(?:\s*=\s*(?:\"[^\"]*\"|`[^`]*`|[^\s\"`=]+))*)"),
    ("ADDRESS", r"\d+\.\d+\.\d+\.\d+|(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|[0-9A-Fa-f:]*::[0-9A-Fa-f:]*[0-9.]*"),
    ("ELLIPSIS", r"\.\.\."),
    ("FLOAT", r"-?\d*\.\d+" + _NUMBER_ENDS),
    ("NUMBER", r"0[xX][0-9A-Fa-f]+" + _NUMBER_ENDS + r"|-?\d+" + _NUMBER_ENDS),
    ("WORD", r"[A-Za-z0-9_]+"),
    ("SYMBOL", r"."),
)
_LEXER: Final = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _PATTERNS), re.DOTALL)
_INNER: Final = {"CODE": "code", "COMMAND": "command", "STRING": "string", "OPTION": "option"}
#: How deep definitions may stand for definitions.
_DEPTH: Final = 8


def tokens(
    text: str, definitions: Mapping[str, str], *, line: int = 1, column: int = 0, depth: int = 0
) -> Iterator[Token]:
    """The words of a script, comments left out, and in place of words that are defined the words of their definition.

    ``definitions`` may grow while the words are being read; a definition in quotes is a string, one in backticks a
    command. ``line``, ``column``: where all of them stand, if they are what a word stands for. Raises ScriptError for a
    definition in terms of itself.
    """
    if depth > _DEPTH:
        raise ScriptError(line, column, "a definition stands for itself")
    begins = 0
    for match in _LEXER.finditer(text):
        name = match.lastgroup or ""
        word = match[_INNER.get(name, 0)]
        if not depth:
            column = match.start() - begins + 1
        if name == "WORD" and word in definitions:
            yield from _defined(definitions, word, line, column, depth + 1)
        elif name != "skip":
            yield Token(Kind[name], word, line, column)
        lines = match[0].count("\n")
        if lines and not depth:
            line += lines
            begins = match.start() + match[0].rindex("\n") + 1


_QUOTED: Final = {'"': Kind.STRING, "`": Kind.COMMAND}


def _defined(definitions: Mapping[str, str], word: str, line: int, column: int, depth: int) -> Iterator[Token]:
    meaning = definitions[word]
    kind = _QUOTED.get(meaning[:1])
    if kind is not None and meaning[-1] == meaning[0] and len(meaning) > 1:
        yield Token(kind, meaning[1:-1], line, column)
    else:
        yield from tokens(meaning, definitions, line=line, column=column, depth=depth)
