"""Reading a script: options, events, and when they are to happen."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from .expressions import read_expression, read_list
from .lexer import Kind
from .packets import read_packet
from .reader import Reader
from .syntax import Call, Code, Command, Event, Packet, Script, When

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .syntax import Action

_TIMES: Final = (Kind.NUMBER, Kind.FLOAT)


def parse(text: str, definitions: Mapping[str, str], predefined: Mapping[str, str] = MappingProxyType({})) -> Script:
    """Read a whole script. ``definitions``: words that stand for others, whatever the script says; ``predefined``:
    those that stand for others unless it says something else.

    Raises ScriptError with the line for what is no script, Unsupported for what this runner does not know.
    """
    known = {**predefined, **definitions}
    reader = Reader(text, known)
    script = Script()
    while reader.peek().kind is Kind.OPTION:
        name, value = _option(reader)
        if name != "define":
            script.options.append((name, value.strip('"`')))
            continue
        word, sign, meaning = map(str.strip, value.partition("="))
        if not sign or not word:
            raise reader.error(f"--define={value} defines nothing")
        known |= {word: meaning} if word not in definitions else {}
    if reader.peek().kind is Kind.COMMAND:
        script.setup = Command(reader.take().text)
    while reader.peek().kind is not Kind.END:
        script.events.append(_event(reader))
    if not script.events:
        raise reader.error("nothing happens in it")
    return script


def _option(reader: Reader) -> tuple[str, str]:
    name, _, value = map(str.strip, reader.take().text.partition("="))
    return name, value


def _event(reader: Reader) -> Event:
    first = reader.peek()
    if reader.peek().kind is Kind.COMMAND:  # at the end: it cleans up
        return Event(first.line, When(0, 0, relative=True), Command(reader.take().text))
    when = _when(reader)
    action = _action(reader)
    if not isinstance(action, Packet) or not action.outbound:
        if when is None:
            raise reader.error("only a packet that the stack sends may come at any time", first)
        if when.start != when.end:
            raise reader.error("only a packet that the stack sends may come within a range of times", first)
    return Event(first.line, when, action)


def _when(reader: Reader) -> When | None:
    if reader.accept("*"):
        return None
    relative = reader.accept("+")
    start = end = _time(reader)
    if reader.accept("~"):
        if relative:
            reader.expect("+")
        end = _time(reader)
        if end < start:
            raise reader.error("a range of times ends before it begins")
    return When(start, end, relative)


def _time(reader: Reader) -> float:
    token = reader.take_kind(*_TIMES)
    if not set(token.text) <= set("0123456789."):
        raise reader.error(f"{token.text} is no time", token)
    return float(token.text)


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
