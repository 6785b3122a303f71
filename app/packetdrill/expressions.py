"""Reading expressions: the arguments and results of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .lexer import Kind
from .syntax import Anything, Applied, Array, Name, Number, Struct, Text, Union

if TYPE_CHECKING:
    from .reader import Reader
    from .syntax import Expression

_ESCAPES: Final = {"n": b"\n", "t": b"\t", "r": b"\r", "f": b"\f", "v": b"\v", "0": b"\0"}


def read_expression(reader: Reader) -> Expression:
    """``A | B | …``, or one operand."""
    parts = [_operand(reader)]
    while reader.accept("|"):
        parts.append(_operand(reader))
    return parts[0] if len(parts) == 1 else Union(tuple(parts))


def read_list(reader: Reader, end: str) -> tuple[Expression, ...]:
    """Expressions between commas, up to ``end``, which is taken."""
    items: list[Expression] = []
    while not reader.accept(end):
        if items:
            reader.expect(",")
        items.append(read_expression(reader))
    return tuple(items)


def _operand(reader: Reader) -> Expression:
    token = reader.peek()
    if token.kind is Kind.NUMBER:
        return Number(reader.number())
    if token.kind is Kind.STRING:
        return _text(reader)
    if token.kind is Kind.ELLIPSIS:
        reader.take()
        return Anything()
    if token.kind is Kind.WORD:
        reader.take()
        if reader.accept("("):
            argument = read_expression(reader)
            reader.expect(")")
            return Applied(token.text, argument)
        return Name(token.text)
    if reader.accept("["):
        return Array(read_list(reader, "]"))
    if reader.accept("{"):
        return Struct(_fields(reader))
    raise reader.error(f"an expression was expected, not {token}")


def _text(reader: Reader) -> Text:
    """Strings side by side are one."""
    content = b""
    while reader.peek().kind is Kind.STRING:
        try:
            content += _unescape(reader.peek().text)
        except ValueError:
            raise reader.error("what follows \\x is no hexadecimal number") from None
        reader.take()
    return Text(content, _follows_ellipsis(reader))


def _follows_ellipsis(reader: Reader) -> bool:
    if reader.peek().kind is Kind.ELLIPSIS:
        reader.take()
        return True
    return False


def _fields(reader: Reader) -> tuple[tuple[str, Expression], ...]:
    """``name=value``, ``name(size)=value`` (whose size says nothing that the value does not), or just a value."""
    fields: list[tuple[str, Expression]] = []
    while not reader.accept("}"):
        if fields:
            reader.expect(",")
        expression = read_expression(reader)
        name = ""
        if isinstance(expression, Name | Applied) and reader.accept("="):
            name = expression.name if isinstance(expression, Name) else expression.function
            expression = read_expression(reader)
        fields.append((name, expression))
    return tuple(fields)


def _unescape(text: str) -> bytes:
    data = bytearray()
    at = 0
    while at < len(text):
        if text[at] != "\\" or at + 1 == len(text):
            data += text[at].encode()
        elif text[at + 1] == "x":
            data.append(int(text[at + 2 : at + 4], 16))
            at += 3
        else:
            data += _ESCAPES.get(text[at + 1], text[at + 1].encode())
            at += 1
        at += 1
    return bytes(data)
