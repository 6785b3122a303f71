"""Reading a script: options, events, and when they are to happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .expressions import read_expression, read_list
from .lexer import Kind
from .packets import read_packet
from .reader import Reader
from .syntax import Call, Code, Command, Event, Script, When

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .syntax import Action

_TIMES: Final = (Kind.NUMBER, Kind.FLOAT)


def parse(text: str, definitions: Mapping[str, str]) -> Script:
    """Read a whole script. ``definitions``: words that stand for others, beside those that the script itself makes.

    Raises ScriptError with the line for what is no script, Unsupported for what this runner does not know.
    """
    known = dict(definitions)
    reader = Reader(text, known)
    script = Script(options=_options(reader, known))
    if reader.peek().kind is Kind.COMMAND:
        script.setup = Command(reader.take().text)
    while reader.peek().kind is not Kind.END:
        script.events.append(_event(reader))
    return script


def _options(reader: Reader, known: dict[str, str]) -> list[tuple[str, str]]:
    options = []
    while reader.peek().kind is Kind.OPTION:
        name, _, value = reader.take().text.partition("=")
        if name == "define":
            word, _, meaning = value.partition("=")
            known.setdefault(word, meaning.strip('"`'))
        else:
            options.append((name, value.strip('"`')))
    return options


def _event(reader: Reader) -> Event:
    line = reader.peek().line
    if reader.peek().kind is Kind.COMMAND:  # at the end: it cleans up
        return Event(line, When(0, 0, relative=True), Command(reader.take().text))
    when = _when(reader)
    return Event(line, when, _action(reader))


def _when(reader: Reader) -> When | None:
    if reader.accept("*"):
        return None
    relative = reader.accept("+")
    start = end = _time(reader)
    if reader.accept("~"):
        if relative:
            reader.expect("+")
        end = _time(reader)
    return When(start, end, relative)


def _time(reader: Reader) -> float:
    return float(reader.take_kind(*_TIMES).text)


def _action(reader: Reader) -> Action:
    token = reader.peek()
    if reader.sees("<", ">"):
        return read_packet(reader)
    if token.kind is Kind.COMMAND:
        return Command(reader.take().text)
    if token.kind is Kind.CODE:
        return Code(reader.take().text)
    return _call(reader)


def _call(reader: Reader) -> Call:
    until = None
    if reader.peek().kind is Kind.ELLIPSIS:
        reader.take()
        until = _time(reader)
    name = reader.take_kind(Kind.WORD).text
    reader.expect("(")
    arguments = read_list(reader, ")")
    reader.expect("=")
    result = read_expression(reader)
    errno = None
    if reader.peek().kind is Kind.WORD:
        errno = reader.take().text
    if reader.accept("("):  # what strace would say about the result
        while not reader.accept(")"):
            if reader.take().kind is Kind.END:
                raise reader.error("a note does not end")
    return Call(name, arguments, result, errno, until)
