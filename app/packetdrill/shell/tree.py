"""What a shell's program says, as data."""

from __future__ import annotations

from dataclasses import dataclass

# -- words


@dataclass(frozen=True, slots=True)
class Literal:
    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """``$name``, ``${name:-default}``"""

    name: str
    default: str = ""
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """``$(…)``: what the commands print."""

    commands: Sequence
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Sum:
    """``$((…))``, ``$[…]``"""

    expression: Word
    quoted: bool = False


Part = Literal | Value | Output | Sum
Word = tuple[Part, ...]

# -- commands


@dataclass(frozen=True, slots=True)
class Redirection:
    """``descriptor`` is that of the command, as written: empty for the usual one."""

    descriptor: str
    operator: str
    target: Word


@dataclass(frozen=True, slots=True)
class Simple:
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True, slots=True)
class Compound:
    """A command of many with redirections of its own."""

    body: If | For | Case | Sequence
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """``a | b``; ``negated`` by ``!``."""

    commands: tuple[Command, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """Pipelines, each with what stands before it: ``;``, ``&&``, ``||``."""

    steps: tuple[tuple[str, Pipeline], ...]


@dataclass(frozen=True, slots=True)
class If:
    """Conditions with what follows from them; the last condition may be missing."""

    branches: tuple[tuple[Sequence | None, Sequence], ...]


@dataclass(frozen=True, slots=True)
class For:
    name: str
    words: tuple[Word, ...]
    body: Sequence


@dataclass(frozen=True, slots=True)
class Case:
    word: Word
    branches: tuple[tuple[tuple[Word, ...], Sequence], ...]


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    body: Command


Command = Simple | Compound | Function
