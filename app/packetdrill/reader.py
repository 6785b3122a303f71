"""Reading words one after another, with one word of foresight or more."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .errors import ScriptError
from .lexer import Kind, Token, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reader:
    """The words of a script. ``definitions`` may grow while it is read; they hold for words not looked at yet."""

    def __init__(self, text: str, definitions: Mapping[str, str]) -> None:
        self._tokens = tokens(text, definitions)
        self._ahead: deque[Token] = deque()
        self._end = Token(Kind.END, "", text.count("\n") + 1, len(text) - text.rfind("\n"))

    def peek(self, distance: int = 0) -> Token:
        """The next word, or one further on; it stays."""
        ahead = self._ahead
        while len(ahead) <= distance:
            ahead.append(next(self._tokens, self._end))
        return ahead[distance]

    def take(self) -> Token:
        token = self.peek()
        self._ahead.popleft()
        return token

    def sees(self, *texts: str) -> bool:
        """Whether the next word is one of these symbols or words."""
        token = self.peek()
        return token.kind in (Kind.SYMBOL, Kind.WORD) and token.text in texts

    def accept(self, text: str) -> bool:
        """Take the next word if it is this symbol or word."""
        if self.sees(text):
            self.take()
            return True
        return False

    def expect(self, text: str) -> Token:
        if not self.sees(text):
            raise self.error(f"{text!r} was expected, not {self.peek()}")
        return self.take()

    def take_kind(self, *kinds: Kind) -> Token:
        if self.peek().kind not in kinds:
            raise self.error(f"{' or '.join(kind.value for kind in kinds)} was expected, not {self.peek()}")
        return self.take()

    def number(self, bits: int = 0) -> int:
        """A decimal number, or a hexadecimal one that begins with 0x; of so many bits, if they are given."""
        token = self.take_kind(Kind.NUMBER)
        value = int(token.text, 16) if "x" in token.text.lower() else int(token.text)
        if bits and not 0 <= value < 1 << bits:
            raise self.error(f"{token.text} is no number of {bits} bits", token)
        return value

    def error(self, text: str, token: Token | None = None) -> ScriptError:
        """What to raise where the next word is, or this one."""
        token = token or self.peek()
        return ScriptError(token.line, token.column, text)
