"""What commands print: tables on a terminal, plain columns into a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def print_json(result: Any) -> None:
    print(json.dumps(result, indent=2), flush=True)


def console() -> Console:
    """Rich's console on stdout; it draws colours only on a terminal."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
    details: Sequence[str] = (),
) -> None:
    """A table with a heading; ``right`` names the columns that are aligned to the right. ``details`` holds a line
    (or "") to stand below each row, as wide as it may be, so that columns stay plain."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and not any(details):
        _print_rich(columns, cells, right)
    else:
        _print_plain(columns, cells, right, details or [""] * len(cells))


def _print_rich(columns: Sequence[str], rows: list[list[str]], right: Sequence[str]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)


def _print_plain(columns: Sequence[str], rows: list[list[str]], right: Sequence[str], below: Sequence[str]) -> None:
    lines = [list(columns), *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line, detail in zip(lines, ["", *below], strict=True):
        padded = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, cell, width in zip(columns, line, widths, strict=True)
        )
        print("  ".join(padded).rstrip())
        if detail:
            print(f"    {detail}")
