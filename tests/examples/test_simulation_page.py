"""docs/simulation.md, followed as a reader would: what it says happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"


def pytest(folder: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def test_the_first_test_fails_and_is_then_mended(tmp_path: Path) -> None:
    steps = re.findall(r"<!-- (file|expect): (\S+) -->\n```\w*\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [(kind, name) for kind, name, _ in steps] == [
        ("file", "shop.py"),
        ("file", "test_shop.py"),
        ("expect", "fails"),
        ("file", "shop.py"),
    ]
    for kind, name, text in steps:
        if kind == "file":
            (tmp_path / name).write_text(text)
            continue
        status, out = pytest(tmp_path)
        assert (status, "1 failed, 1 passed" in out) == (1, True)
        timeless = re.sub(r"at [\d.]+ s", "at … s", out.replace("\nE  ", "\n"))
        for line in re.sub(r"at [\d.]+ s", "at … s", text).strip().splitlines():
            assert line.strip() in timeless
    status, out = pytest(tmp_path, "--netower-repeat", "20")
    assert (status, "40 passed" in out) == (0, True), out
