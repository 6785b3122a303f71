"""How scripts went: a table for people, JSON for programs."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from ..output import console, print_json
from .engine import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLORS = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.SKIPPED: "yellow"}


def print_outcomes(outcomes: Sequence[tuple[str, Outcome]], *, as_json: bool, verbose: bool) -> None:
    """``outcomes``: name and outcome of each script."""
    if as_json:
        print_json([_record(name, outcome) for name, outcome in outcomes])
    elif sys.stdout.isatty():
        _print_rich(outcomes, verbose)
    else:
        _print_plain(outcomes, verbose)


def _record(name: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "script": name,
        "outcome": outcome.verdict.value,
        "line": outcome.line or None,
        "reason": outcome.reason or None,
        "expected": outcome.expected or None,
        "actual": outcome.actual or None,
        "remarks": outcome.remarks,
    }


def _where(outcome: Outcome) -> str:
    return f"line {outcome.line}: {outcome.reason}" if outcome.line else outcome.reason


def _details(outcome: Outcome, verbose: bool) -> list[str]:
    """What stands below a script's own line."""
    lines = []
    if outcome.expected or outcome.actual:
        lines = [f"expected  {outcome.expected or '-'}", f"actual    {outcome.actual or '-'}"]
    return lines + [f"let pass  {remark}" for remark in outcome.remarks if verbose]


def _summary(outcomes: Sequence[tuple[str, Outcome]]) -> str:
    counts = Counter(outcome.verdict for _, outcome in outcomes)
    return ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)


def _print_plain(outcomes: Sequence[tuple[str, Outcome]], verbose: bool) -> None:
    width = max(len(name) for name, _ in outcomes)
    for name, outcome in outcomes:
        print(f"{outcome.verdict.value:<7}  {name:<{width}}  {_where(outcome)}".rstrip())
        for line in _details(outcome, verbose):
            print(f"         {line}")
    print(_summary(outcomes))


def _print_rich(outcomes: Sequence[tuple[str, Outcome]], verbose: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("Outcome", "Script", "Where and why"):
        table.add_column(column, overflow="fold")
    compared = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=True)
    for column in ("Script, line", "Expected", "Actual"):
        compared.add_column(column, overflow="fold", ratio=1)
    for name, outcome in outcomes:
        remarks = [f"\nlet pass: {remark}" for remark in outcome.remarks if verbose]
        verdict = Text(outcome.verdict.value, style=_COLORS[outcome.verdict])
        table.add_row(verdict, Text(name), Text(_where(outcome) + "".join(remarks)))
        if outcome.expected or outcome.actual:
            compared.add_row(Text(f"{name}, {outcome.line}"), Text(outcome.expected), Text(outcome.actual))
    console().print(table)
    if compared.row_count:
        console().print(compared)
    print(_summary(outcomes))
