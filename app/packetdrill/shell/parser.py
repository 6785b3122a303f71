"""Reading the shell's language (POSIX.1-2017, Shell Command Language §2), as far as scripts have a use for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..errors import Unsupported
from .tree import (
    Case,
    Compound,
    For,
    Function,
    If,
    Literal,
    Output,
    Pipeline,
    Redirection,
    Sequence,
    Simple,
    Sum,
    Value,
)

if TYPE_CHECKING:
    from .tree import Command, Part, Word

_BLANKS: Final = re.compile(r"(?:[ \t\r]|\\\n)+")
_COMMENT: Final = re.compile(r"#[^\n]*")
_SEPARATOR: Final = re.compile(r"(?:\n|;(?!;)|&(?![&>]))")
_REDIRECTION: Final = re.compile(r"(\d*)(>>|>&|>\||>|<<<|<&|<(?!<)|&>>|&>)")
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_VALUE: Final = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!]")
_BRACES: Final = re.compile(r"\{([A-Za-z_]\w*|[0-9@*#?$!])(?:(?::?[-=])([^}]*))?\}")
_FUNCTION: Final = re.compile(
    r"(?:function[ \t]+([\w.-]+)[ \t]*(?:\([ \t]*\))?|([A-Za-z_]\w*)[ \t]*\([ \t]*\))\s*(?=[{(])"
)
#: What ends an unquoted word.
_METACHARACTERS: Final = frozenset(" \t\r\n;&|<>()")
#: What is special within double quotes.
_IN_QUOTES: Final = '"\\$`'
_PLAIN: Final = re.compile(r"[^ \t\r\n;&|<>()'\"\\$`]+")
_PLAIN_QUOTED: Final = re.compile(r"[^\"\\$`]+")
_PLAIN_SUM: Final = re.compile(r"[^$`)\]]+|[)\]]")
_LOOPS: Final = ("while", "until", "select")


def parse(text: str) -> Sequence:
    """Raises Unsupported for what cannot be read."""
    parser = _Parser(text)
    program = parser.sequence()
    if not parser.at_end:
        raise parser.error()
    return program


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def error(self) -> Unsupported:
        line = self._text[self._at :].strip().partition("\n")[0]
        return Unsupported(f"the command {line or self._text.strip()}")

    # characters

    def _sees(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _accept(self, text: str) -> bool:
        if self._sees(text):
            self._at += len(text)
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self.error()

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._at)
        if match:
            self._at = match.end()
        return match

    def _skip_blanks(self) -> None:
        while self._match(_BLANKS) or self._match(_COMMENT):
            pass

    def _skip_separators(self) -> None:
        self._skip_blanks()
        while self._match(_SEPARATOR):
            self._skip_blanks()

    def _sees_word(self, *words: str) -> str:
        """Which of these reserved words comes next."""
        match = _PLAIN.match(self._text, self._at)
        return match[0] if match and match[0] in words else ""

    def _expect_word(self, word: str) -> None:
        self._skip_separators()
        if not self._sees_word(word):
            raise self.error()
        self._at += len(word)
        self._skip_blanks()

    # commands

    def sequence(self, *ends: str) -> Sequence:
        """Up to a reserved word, or what cannot go on."""
        steps: list[tuple[str, Pipeline]] = []
        self._skip_separators()
        operator = ";"
        while not (self.at_end or self._sees(")") or self._sees(";;") or self._sees_word(*ends)):
            steps.append((operator, self._pipeline()))
            self._skip_blanks()
            operator = next((word for word in ("&&", "||") if self._accept(word)), ";")
            if operator == ";" and not (self.at_end or self._sees(")") or _SEPARATOR.match(self._text, self._at)):
                break
            self._skip_separators()
        return Sequence(tuple(steps))

    def _pipeline(self) -> Pipeline:
        negated = bool(self._sees_word("!"))
        if negated:
            self._expect_word("!")
        commands = [self._command()]
        self._skip_blanks()
        while self._sees("|") and not self._sees("||"):
            self._at += 2 if self._sees("|&") else 1
            self._skip_separators()
            commands.append(self._command())
            self._skip_blanks()
        return Pipeline(tuple(commands), negated)

    def _command(self) -> Command:
        if function := self._match(_FUNCTION):
            return Function(function[1] or function[2], self._command())
        body = self._body()
        if body is None:
            return self._simple()
        self._skip_blanks()
        redirections = []
        while redirection := self._redirection():
            redirections.append(redirection)
        return Compound(body, tuple(redirections))

    def _body(self) -> If | For | Case | Sequence | None:
        if self._sees_word("if"):
            return self._if()
        if self._sees_word("for"):
            return self._for()
        if self._sees_word("case"):
            return self._case()
        if self._sees_word("{"):
            self._expect_word("{")
            body = self.sequence("}")
            self._expect_word("}")
            return body
        if self._sees_word(*_LOOPS):
            raise self.error()
        if self._accept("("):
            body = self.sequence()
            self._expect(")")
            return body
        return None

    def _if(self) -> If:
        branches: list[tuple[Sequence | None, Sequence]] = []
        word = "if"
        while word != "fi":
            self._expect_word(word)
            condition = None
            if word != "else":
                condition = self.sequence("then")
                self._expect_word("then")
            branches.append((condition, self.sequence("elif", "else", "fi")))
            self._skip_separators()
            word = self._sees_word("elif", "else", "fi") or "fi"
        self._expect_word("fi")
        return If(tuple(branches))

    def _for(self) -> For:
        self._expect_word("for")
        name = self._match(_NAME)
        if name is None:
            raise self.error()
        self._expect_word("in")
        words = []
        while word := self._word():
            words.append(word)
            self._skip_blanks()
        self._expect_word("do")
        body = self.sequence("done")
        self._expect_word("done")
        return For(name[0], tuple(words), body)

    def _case(self) -> Case:
        self._expect_word("case")
        word = self._word()
        self._expect_word("in")
        branches = []
        self._skip_separators()
        while not self._sees_word("esac"):
            self._accept("(")
            patterns = [self._word()]
            self._skip_blanks()
            while self._accept("|"):
                self._skip_blanks()
                patterns.append(self._word())
                self._skip_blanks()
            self._expect(")")
            branches.append((tuple(patterns), self.sequence("esac")))
            self._accept(";;")
            self._skip_separators()
        self._expect_word("esac")
        return Case(word, tuple(branches))

    def _simple(self) -> Simple:
        words, redirections = [], []
        while True:
            if redirection := self._redirection():
                redirections.append(redirection)
            elif word := self._word():
                words.append(word)
            else:
                break
            self._skip_blanks()
        if not words and not redirections:
            raise self.error()
        return Simple(tuple(words), tuple(redirections))

    def _redirection(self) -> Redirection | None:
        match = self._match(_REDIRECTION)
        if match is None:
            return None
        self._skip_blanks()
        target = self._word()
        self._skip_blanks()
        return Redirection(match[1], match[2], target)

    # words

    def _word(self) -> Word:
        parts: list[Part] = []
        while not self.at_end and self._text[self._at] not in _METACHARACTERS:
            if plain := self._match(_PLAIN):
                parts.append(Literal(plain[0]))
            elif self._accept("\\"):
                self._escaped(parts)
            elif self._accept("'"):
                end = self._text.find("'", self._at)
                if end < 0:
                    raise self.error()
                parts.append(Literal(self._text[self._at : end], quoted=True))
                self._at = end + 1
            elif self._accept('"'):
                self._quoted(parts)
            else:
                parts.append(self._expansion(quoted=False))
        return tuple(parts)

    def _escaped(self, parts: list[Part]) -> None:
        """A character that stands for itself; sums are sums although a script says that they are not."""
        if self._sees("$((") or self._sees("$[") or self.at_end:
            return
        if not self._accept("\n"):
            parts.append(Literal(self._text[self._at], quoted=True))
            self._at += 1

    def _quoted(self, parts: list[Part]) -> None:
        parts.append(Literal("", quoted=True))
        while not self._accept('"'):
            if self.at_end:
                raise self.error()
            if plain := self._match(_PLAIN_QUOTED):
                parts.append(Literal(plain[0], quoted=True))
            elif self._accept("\\"):
                if self._text[self._at : self._at + 1] not in (*_IN_QUOTES, "\n"):
                    parts.append(Literal("\\", quoted=True))
                self._escaped(parts)
            else:
                parts.append(self._expansion(quoted=True))

    def _expansion(self, *, quoted: bool) -> Part:
        if self._accept("`"):
            end = self._text.find("`", self._at)
            if end < 0:
                raise self.error()
            text, self._at = self._text[self._at : end], end + 1
            return Output(parse(text), quoted)
        self._expect("$")
        if self._accept("(("):
            return self._sum("))", quoted)
        if self._accept("["):
            return self._sum("]", quoted)
        if self._accept("("):
            commands = self.sequence()
            self._skip_blanks()
            self._expect(")")
            return Output(commands, quoted)
        if braces := self._match(_BRACES):
            return Value(braces[1], braces[2] or "", quoted)
        if self._sees("{"):
            raise self.error()
        name = self._match(_VALUE)
        return Value(name[0], "", quoted) if name else Literal("$", quoted)

    def _sum(self, end: str, quoted: bool) -> Sum:
        parts: list[Part] = []
        while not self._accept(end):
            if self.at_end:
                raise self.error()
            plain = self._match(_PLAIN_SUM)
            parts.append(Literal(plain[0]) if plain else self._expansion(quoted=True))
        return Sum(tuple(parts), quoted)
