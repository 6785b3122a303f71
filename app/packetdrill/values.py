"""Arguments and results of calls as numbers, bytes and addresses, and comparing them with what came out."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Final

from ...net.address import parse, text
from .constants import CONSTANTS
from .errors import Mismatch, Unsupported
from .syntax import Anything, Applied, Array, Name, Number, Struct, Text, Union

if TYPE_CHECKING:
    from ...net.address import Address
    from .syntax import Expression

#: Bytes of an int, and of the numbers in struct timeval.
_INT: Final = 4
_LONG: Final = 8
_MAX_STRUCT: Final = 1024
_LARGEST_BUFFER: Final = 1 << 28
_FUNCTIONS: Final = ("htons", "htonl", "ntohs", "ntohl")


def number(expression: Expression) -> int:
    """An integer. Raises Unsupported for a name that nobody knows and for what is no number."""
    if isinstance(expression, Number):
        return expression.value
    if isinstance(expression, Name):
        value = CONSTANTS.get(expression.name)
        if value is None:
            raise Unsupported(f"the constant {expression.name}")
        return value
    if isinstance(expression, Union):
        total = 0
        for part in expression.parts:
            total |= number(part)
        return total
    if isinstance(expression, Applied) and expression.function in _FUNCTIONS:
        return number(expression.argument)  # ports and the like are numbers here, never bytes
    if isinstance(expression, Array) and len(expression.items) == 1:
        return number(expression.items[0])
    raise Unsupported(f"a number written as {show(expression)}")


def address(expression: Expression) -> tuple[Address, int]:
    """``{sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr("192.0.2.1")}``"""
    if not isinstance(expression, Struct):
        raise Unsupported(f"a socket address written as {show(expression)}")
    family = expression.get("sa_family") or Name("AF_INET")
    if number(family) == CONSTANTS["AF_INET6"]:
        raise Unsupported(f"address family {show(family)}")
    host = host_address(expression.get("sin_addr") or Anything())
    if number(family) != CONSTANTS["AF_INET"] and (number(family) or any(host)):  # AF_UNSPEC may be anywhere
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    return host, number(expression.get("sin_port") or Number(0))


def host_address(expression: Expression) -> Address:
    """``inet_addr("192.0.2.1")``, ``INADDR_ANY``"""
    if isinstance(expression, Applied) and isinstance(expression.argument, Text):
        return parse(expression.argument.value.decode())
    return number(expression).to_bytes(4)


def is_null(expression: Expression) -> bool:
    return isinstance(expression, Name) and expression.name == "NULL"


def data(expression: Expression, size: int) -> bytes:
    """A buffer of ``size`` bytes: a string, zeros behind it; all zeros for ``...``. Raises OSError EFAULT for NULL."""
    if is_null(expression) and size:
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    if size > _LARGEST_BUFFER:
        raise Unsupported(f"a buffer of {size} bytes")
    content = expression.value if isinstance(expression, Text) else b""
    return content[:size].ljust(size, b"\0")


def option_value(expression: Expression, size: int) -> bytes:
    """What setsockopt is given: an int, a string, or a structure of numbers; ``size`` bytes of it."""
    if isinstance(expression, Text):
        return expression.value[: max(size, 0)]
    if isinstance(expression, Struct):
        long = any(name.endswith("sec") for name, _ in expression.fields) or size == _LONG * len(expression.fields)
        width = _LONG if long else _INT
        values = [number(value) for _, value in expression.fields]
        return b"".join(value.to_bytes(width, sys.byteorder, signed=True) for value in values)[: max(size, 0)]
    if isinstance(expression, Array) and len(expression.items) > 1:
        return b"".join(integer_bytes(number(item)) for item in expression.items)
    if isinstance(expression, Array) and expression.items and isinstance(expression.items[0], Struct | Text):
        return option_value(expression.items[0], size)
    return integer_bytes(number(expression)).ljust(min(size, _MAX_STRUCT), b"\0")[: max(size, 0)]


def option_size(size: Expression, value: Expression) -> int:
    """How many bytes setsockopt is given: ``4``; ``...`` is all of the value."""
    return len(option_value(value, _MAX_STRUCT)) if isinstance(size, Anything) else number(size)


def option_room(size: Expression) -> int:
    """How many bytes getsockopt may give: ``[4]``; ``...`` is plenty."""
    if isinstance(size, Array) and len(size.items) == 1:
        size = size.items[0]
    return _MAX_STRUCT if isinstance(size, Anything) else number(size)


def integer_bytes(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(_INT, sys.byteorder)


def check_option_value(expected: Expression, value: bytes) -> None:
    """Compare what getsockopt gave."""
    if isinstance(expected, Array) and len(expected.items) == 1:
        expected = expected.items[0]
    if isinstance(expected, Anything):
        return
    if isinstance(expected, Text):
        check_text(expected, value.rstrip(b"\0"))
    elif isinstance(expected, Struct):
        actual = option_value(expected, _MAX_STRUCT)
        check("value", actual.hex(" ", _INT), value[: len(actual)].hex(" ", _INT))
    else:
        check("value", number(expected), int.from_bytes(value, sys.byteorder, signed=len(value) == _INT))


def check_text(expected: Expression, actual: bytes) -> None:
    """Compare bytes that were received with a string, if the script has one."""
    if isinstance(expected, Text):
        if expected.open_ended:
            actual = actual[: len(expected.value)]
        check("bytes", repr(expected.value)[1:], repr(actual)[1:])


def check_number(what: str, expected: Expression, actual: int) -> None:
    if not isinstance(expected, Anything):
        check(what, number(expected), actual)


def check_address(expected: Expression, actual: tuple[Address, int] | None) -> None:
    """Compare an address that a call gave, where the script has one."""
    if isinstance(expected, Struct) and actual is not None:
        wanted = address(expected)
        check("address", f"{text(wanted[0])}:{wanted[1]}", f"{text(actual[0])}:{actual[1]}")


def check(what: str, expected: object, actual: object) -> None:
    if expected != actual:
        raise Mismatch(f"another {what}", str(expected), str(actual))


def show(expression: Expression) -> str:
    """An expression as a script writes it."""
    match expression:
        case Number(value):
            return str(value)
        case Name(name):
            return name
        case Text(value, open_ended):
            return f'"{value.decode("latin-1")}"' + "..." * open_ended
        case Anything():
            return "..."
        case Union(parts):
            return "|".join(map(show, parts))
        case Array(items):
            return f"[{', '.join(map(show, items))}]"
        case Struct(fields):
            return "{" + ", ".join(f"{name}={show(value)}" if name else show(value) for name, value in fields) + "}"
        case Applied(function, argument):
            return f"{function}({show(argument)})"
