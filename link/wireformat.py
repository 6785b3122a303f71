"""One declaration, two readings: the fixed part of a construct declaration as a ``struct.Struct``.

A header is declared once, with construct. Where clarity matters it is read through the declaration itself; where every
packet passes, through the ``struct.Struct`` that `fixed_part` derives from it, some hundred times faster. Fields of
bits that share bytes (a construct ``BitStruct``) come out of the latter as one unsigned integer.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

import construct

_UNSIGNED: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}


def fixed_part(declaration: Any) -> Struct:
    """The leading fields of a ``construct.Struct`` whose size does not depend on what is in them.

    Raises TypeError for a declaration that mixes byte orders, or has a field of fixed size that struct has no word for.
    """
    orders: set[str] = set()
    codes = ""
    for field in declaration.subcons:
        try:
            size = field.sizeof()
        except construct.SizeofError:
            break
        order, code = _field_format(_bare(field), size)
        orders |= {order} - {""}
        codes += code
    if len(orders) > 1:
        raise TypeError(f"{declaration!r} mixes byte orders")
    return Struct((orders.pop() if orders else ">") + codes)


def _bare(field: Any) -> Any:
    """The field as it is on the wire, without names, defaults, constants and enumerations around it."""
    while isinstance(field, construct.Adapter | construct.Renamed | construct.Const | construct.Default):
        field = field.subcon
    return field


def _field_format(field: Any, size: int) -> tuple[str, str]:
    """Byte order ('' where there is none) and struct format of one field of ``size`` bytes."""
    if isinstance(field, construct.FormatField):
        return field.fmtstr[0], field.fmtstr[1:]
    if isinstance(field, construct.Bytes):
        return "", f"{size}s"
    if isinstance(field, construct.Transformed) and size in _UNSIGNED:
        return ">", _UNSIGNED[size]
    raise TypeError(f"struct has no word for {field!r}")
