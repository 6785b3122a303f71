"""docs/rfc9293.md does not lie: its rows are the RFC's, its files and tests exist, and the tests are run. And the code
keeps the shape in which it can be compared with the RFC."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "rfc9293.md"
TCP_FILES = sorted((ROOT / "transport" / "tcp").glob("*.py"))


class Row(NamedTuple):
    id: str
    text: str
    where: str
    shown: str
    note: str


def rows() -> list[Row]:
    lines = [line for line in TABLE.read_text().splitlines() if re.match(r"\| (MUST|SHLD|MAY)-", line)]
    return [Row(*(cell.strip(" `") for cell in line.strip("|").split("|"))) for line in lines]


def test_every_row_is_there_once() -> None:
    expected = [f"{word}-{n}" for word, last in (("MUST", 69), ("SHLD", 31), ("MAY", 18)) for n in range(1, last + 1)]
    assert [row.id for row in rows()] == expected


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.id)
def test_a_row_names_what_exists(row: Row) -> None:
    assert row.text
    if not row.where:
        assert row.note.startswith("not done: ")
        assert not row.shown
        return
    assert (ROOT / row.where).is_file()
    path, _, name = row.shown.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text()


def test_the_tests_that_are_named_are_collected() -> None:
    wanted = {row.shown for row in rows() if row.shown}
    files = sorted({test.partition("::")[0] for test in wanted})
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider", "--collect-only", "-q"]
    listing = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    collected = {line.partition("[")[0] for line in listing.splitlines() if "::" in line}
    assert not wanted - collected


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node


@pytest.mark.parametrize("path", TCP_FILES, ids=lambda path: path.name)
def test_files_and_functions_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 600
    for function in functions(path):
        assert function.end_lineno is not None
        length = function.end_lineno - function.lineno + 1
        assert length <= 60, f"{function.name} has {length} lines"


def test_each_step_of_segment_arrival_is_named() -> None:
    """RFC 9293 §3.10.7.3 has five steps, §3.10.7.4 has eight."""
    sources = {name: (ROOT / "transport" / "tcp" / f"{name}.py").read_text().lower() for name in ("arrival", "opening")}
    for step in ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"):
        assert step in sources["arrival"] + (ROOT / "transport/tcp/urgent.py").read_text().lower()
    for step in ("first", "second", "fourth", "fifth"):
        assert step in sources["opening"]
