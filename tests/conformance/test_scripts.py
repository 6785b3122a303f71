"""The scripts beside this file, each a story of packets and system calls that cites the RFC's section it is about."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from netower.app.packetdrill.configuration import Configuration
from netower.app.packetdrill.engine import Verdict, run_file

FOLDER = Path(__file__).parent
#: Virtual time is exact.
STRICT = Configuration(tolerance_percent=1.0)
SCRIPTS = sorted(FOLDER.rglob("*.pkt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(FOLDER).with_suffix("")))
def test_script(path: Path) -> None:
    outcome = run_file(path, STRICT, {})
    assert outcome.verdict is Verdict.PASSED, outcome
    assert not outcome.remarks


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_says_what_it_is_about(path: Path) -> None:
    head = path.read_text().split("\n\n")[0]
    assert head.startswith("// ")
    assert re.search(r"RFC \d+|draft-\w+|\w+\([27]\)", head), "it cites no RFC or draft, nor a manual page"
