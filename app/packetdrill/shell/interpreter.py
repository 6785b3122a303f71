"""A shell that changes a script's machine, and nothing else."""

from __future__ import annotations

import ast
import operator
from contextlib import suppress
from fnmatch import fnmatchcase
from re import error
from typing import TYPE_CHECKING, Final

from ..errors import Unsupported
from .commands import UNKNOWN, Commands
from .parser import parse
from .tree import Case, Compound, For, Function, If, Literal, Output, Simple, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ..machine import Machine
    from .tree import Command, Part, Pipeline, Redirection, Sequence, Word

#: A command's exit status, and what it printed.
Result = tuple[int, str]

#: How deep programs may call programs, and how many commands there may be.
_DEPTH: Final = 40
_MOST: Final = 10_000
_OPERATIONS: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_OUTPUTS: Final = ("", "1")


class _Exit(Exception):
    """The program ends, after it has ``printed`` something."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status
        self.printed = ""


class _Return(_Exit):
    """A function ends, or a file of commands."""


class Shell:
    """``folder`` is where the script lies: commands may name files beside it."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._commands = Commands(machine, folder)
        self._folder = folder
        self._variables: dict[str, str] = {}
        self._functions: dict[str, Command] = {}
        self._arguments: list[str] = []
        self._status = 0
        self._depth = self._steps = 0
        #: Whether what is not known does no harm.
        self._lenient = False

    def run(self, text: str) -> None:
        """Raises Unsupported for a command that is not known, and for a setting that the stack does not have."""
        with suppress(_Exit):
            self._sequence(parse(text), "")

    def source(self, path: str, arguments: tuple[str, ...] = ()) -> None:
        """A file of commands beside the script; what restores or sets defaults is done by starting afresh.

        Of the settings in it those count that this stack has with values that it has. Raises Unsupported if there is no
        such file.
        """
        file = self._folder / path
        if file.is_file():
            self._deeper()
            before = self._lenient, self._arguments
            self._lenient, self._arguments = True, list(arguments)
            try:
                self._adopt(file.read_text(encoding="utf-8", errors="replace"))
            finally:
                self._lenient, self._arguments = before
                self._depth -= 1
        elif "defaults" not in file.name and "restore" not in file.name:
            raise Unsupported(f"the command {path}")

    def _adopt(self, text: str) -> None:
        try:
            self.run(text)
        except Unsupported:
            for line in text.replace("\\\n", " ").splitlines():
                with suppress(Unsupported):
                    self.run(line)

    # commands

    def _sequence(self, sequence: Sequence, given: str) -> Result:
        printed = ""
        try:
            for before, pipeline in sequence.steps:
                if before == ";" or (before == "&&") == (self._status == 0):
                    self._status, text = self._pipeline(pipeline, given)
                    printed += text
        except _Exit as end:
            end.printed = printed + end.printed
            raise
        return self._status, printed

    def _pipeline(self, pipeline: Pipeline, given: str) -> Result:
        status = 0
        for command in pipeline.commands:
            status, given = self._command(command, given)
        return (int(not status) if pipeline.negated else status), given

    def _command(self, command: Command, given: str) -> Result:
        if isinstance(command, Function):
            self._functions[command.name] = command.body
            return 0, ""
        if isinstance(command, Compound):
            return self._redirected(command.redirections, given, lambda text: self._body(command, text))
        return self._simple(command, given)

    def _body(self, command: Compound, given: str) -> Result:
        body = command.body
        if isinstance(body, If):
            return self._if(body, given)
        if isinstance(body, For):
            return self._for(body, given)
        if isinstance(body, Case):
            return self._case(body, given)
        return self._sequence(body, given)

    def _if(self, body: If, given: str) -> Result:
        for condition, consequence in body.branches:
            if condition is None or self._sequence(condition, given)[0] == 0:
                self._status = 0
                return self._sequence(consequence, given)
        return 0, ""

    def _for(self, body: For, given: str) -> Result:
        status, printed = 0, ""
        try:
            for value in self._fields(body.words):
                self._variables[body.name] = value
                status, text = self._sequence(body.body, given)
                printed += text
        except _Exit as end:
            end.printed = printed + end.printed
            raise
        return status, printed

    def _case(self, body: Case, given: str) -> Result:
        value = self._text(body.word)
        for patterns, consequence in body.branches:
            if any(fnmatchcase(value, self._text(pattern)) for pattern in patterns):
                return self._sequence(consequence, given)
        return 0, ""

    def _simple(self, command: Simple, given: str) -> Result:
        try:
            words = list(command.words)
            while words and (assigned := _assigned(words[0])):
                name, value = assigned
                self._variables[name] = self._text(value)
                words.pop(0)
            fields = list(self._fields(tuple(words)))
            return self._redirected(command.redirections, given, lambda text: self._try(fields, text))
        except Unsupported:
            if not self._lenient:
                raise
            return 0, ""

    def _try(self, fields: list[str], given: str) -> Result:
        """Raises Unsupported, also for arguments that make no sense."""
        try:
            return self._run(fields, given)
        except (ValueError, IndexError, error) as failure:
            raise Unsupported(f"the command {' '.join(fields)}: {failure}") from failure

    def _run(self, fields: list[str], given: str) -> Result:
        if not fields:
            return 0, ""
        self._steps += 1
        if self._steps > _MOST:
            raise _Exit(1) if self._lenient else Unsupported("a program that does not end")
        name, *rest = fields
        name = name.rsplit("/", 1)[-1]
        if name in ("exit", "return"):
            end = _Exit if name == "exit" else _Return
            raise end(int(rest[0]) if rest and rest[0].isdigit() else self._status)
        if name in ("export", "readonly", "local", "declare"):
            self._variables.update((word.partition("=")[0], word.partition("=")[2]) for word in rest if "=" in word)
            return 0, ""
        if name in self._functions:
            return self._within(self._functions[name], rest, given)
        if (text := _program(name, rest)) is not None:
            return self._nested(text, given)
        if name in (".", "source", "sh", "bash", "dash") and rest:
            path, *arguments = [word for word in rest if not word.startswith("-")] or [""]
            self.source(path, tuple(arguments))
            return 0, ""
        if name.endswith(".sh"):
            self.source(fields[0], tuple(rest))
            return 0, ""
        if shorter := self._commands.behind(name, rest):
            return self._run(shorter, given)
        return self._commands.run(fields, given, lenient=self._lenient)

    def _within(self, body: Command, arguments: list[str], given: str) -> Result:
        """Call a function."""
        self._deeper()
        before, self._arguments = self._arguments, arguments
        try:
            return self._command(body, given)
        except _Return as end:
            return end.status, end.printed
        finally:
            self._arguments = before
            self._depth -= 1

    def _nested(self, text: str, given: str) -> Result:
        self._deeper()
        try:
            return self._sequence(parse(text), given)
        finally:
            self._depth -= 1

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEPTH:
            raise Unsupported("commands that call themselves")

    def _redirected(self, redirections: tuple[Redirection, ...], given: str, work: Callable[[str], Result]) -> Result:
        for redirection in redirections:
            if redirection.operator == "<":
                given = self._commands.content(self._text(redirection.target)) or ""
            elif redirection.operator == "<<<":
                given = f"{self._text(redirection.target)}\n"
        status, printed = work(given)
        for redirection in redirections:
            if redirection.operator in (">", ">>", ">|", "&>") and redirection.descriptor in _OUTPUTS:
                self._commands.write(self._text(redirection.target), printed, append=redirection.operator == ">>")
                printed = ""
        return status, printed

    # words

    def _fields(self, words: tuple[Word, ...]) -> Iterator[str]:
        """Words with their values in place of names, of which those without quotes may be several words, or none."""
        for word in words:
            if word in _EVERY_ARGUMENT:
                yield from self._arguments
                continue
            fields, open_ended = [""], bool(word) and _is_quoted(word)
            for part in word:
                text = self._value(part)
                if isinstance(part, Literal) or part.quoted:
                    fields[-1] += text
                    open_ended = True
                    continue
                pieces = text.split()
                if text[:1].isspace() and fields[-1]:
                    fields.append("")
                fields[-1] += pieces[0] if pieces else ""
                fields += pieces[1:]
            yield from fields if open_ended else filter(None, fields)

    def _text(self, word: Word) -> str:
        return "".join(map(self._value, word))

    def _value(self, part: Part) -> str:
        if isinstance(part, Literal):
            return part.text
        if isinstance(part, Value):
            return self._variable(part.name) or part.default
        if isinstance(part, Output):
            return self._printed(part.commands)
        return str(self._sum(self._text(part.expression)))

    def _printed(self, commands: Sequence) -> str:
        """Raises Unsupported if nobody knows."""
        try:
            text = self._sequence(commands, "")[1]
        except _Exit as end:
            self._status, text = end.status, end.printed
        if UNKNOWN in text:
            raise Unsupported("a command's output")
        return text.rstrip("\n")

    def _variable(self, name: str) -> str:
        if name == "?":
            return str(self._status)
        if name == "0":
            return "./script"
        if name == "#":
            return str(len(self._arguments))
        if name in "@*":
            return " ".join(self._arguments)
        if name.isdigit():
            return dict(enumerate(self._arguments, 1)).get(int(name), "")
        return self._variables.get(name, "")

    def _sum(self, text: str) -> int:
        """Raises Unsupported for what is no sum of whole numbers."""
        try:
            return self._computed(ast.parse(text.strip() or "0", mode="eval").body)
        except (SyntaxError, ArithmeticError, ValueError, KeyError, RecursionError):
            raise Unsupported(f"the sum {text}") from None

    def _computed(self, node: ast.expr) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.Name):
            return int(self._variables.get(node.id) or 0)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self._computed(node.operand)
        if isinstance(node, ast.BinOp):
            left, right = self._computed(node.left), self._computed(node.right)
            if isinstance(node.op, ast.LShift | ast.RShift) and not 0 <= right < 64:
                raise ValueError
            return _OPERATIONS[type(node.op)](left, right)
        raise ValueError


_EVERY_ARGUMENT: Final = (
    (Literal("", quoted=True), Value("@", quoted=True)),
    (Value("@"),),
    (Value("*"),),
)


def _is_quoted(word: Word) -> bool:
    return any(part.quoted for part in word)


def _assigned(word: Word) -> tuple[str, Word] | None:
    """Name and value of ``name=value``."""
    first = word[0]
    if not isinstance(first, Literal) or first.quoted:
        return None
    name, sign, rest = first.text.partition("=")
    if not sign or not name.isidentifier():
        return None
    return name, (Literal(rest), *word[1:])


def _program(name: str, rest: list[str]) -> str | None:
    """What a shell is told to run."""
    if name == "eval":
        return " ".join(rest)
    if name in ("sh", "bash", "dash") and len(rest) > 1 and rest[0].startswith("-") and rest[0].endswith("c"):
        return rest[1]
    return None
