"""Each example runs, without root, and shows what it is about."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *options: str | Path) -> str:
    environment = os.environ | {"PYTHONWARNINGS": "error", "MPLCONFIGDIR": os.environ.get("TMPDIR", "/tmp")}
    command = [sys.executable, str(EXAMPLES / name), *map(str, options)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def numbers(pattern: str, text: str) -> list[float]:
    return [float(found) for found in re.findall(pattern, text)]


def test_every_example_is_tried_here() -> None:
    tried = set(re.findall(r"\w+\.py", Path(__file__).read_text()))
    assert {path.name for path in EXAMPLES.glob("*.py")} <= tried | {"drawing.py"}


def test_retries_notice_sooner_that_a_partition_has_healed() -> None:
    patient, retrying = numbers(r"answered at +([\d.]+) s", run("retry_under_partition.py"))
    assert 11 < retrying < patient


def test_a_lost_segment_holds_up_whoever_shares_its_connection() -> None:
    assert numbers(r"(\d) of 4 streams were held up", run("head_of_line.py")) == [4, 1]


def test_codel_ends_bufferbloat_and_so_does_bbr() -> None:
    out = run("bufferbloat.py", "--seconds", "8")
    bloated, codel, bbr = numbers(r"(\d+) ms \(median\)", out)
    assert bloated > 5 * codel
    assert bloated > 5 * bbr
    assert all(speed > 2 for speed in numbers(r"download ([\d.]+)", out))


def test_two_flows_become_fair() -> None:
    (index,) = numbers(r"Jain's index ([\d.]+)", run("fairness.py", "--seconds", "20"))
    assert index > 0.9


def test_routers_find_a_detour() -> None:
    short, long, mended = numbers(r"round trip +([\d.]+) ms  \((?!broken)", run("routing_detour.py"))
    assert short == mended < long


def test_a_client_resumes_after_the_servers_crash() -> None:
    out = run("server_crash.py")
    assert out.count("TimeoutError") >= 1
    assert out.endswith("2,000,000 bytes, intact\n")


def test_goodput_under_loss_is_what_theory_says() -> None:
    out = run("loss_table.py", "--seconds", "20")
    rows = [[cell.strip(" %") for cell in line.split("|")[1:-1]] for line in out.splitlines()[1:]]
    assert float(rows[0][2]) >= 95
    assert len(rows) == 7
    assert all(0.5 <= float(row[-1]) <= 2 for row in rows)


@pytest.mark.parametrize(
    "example", ["bufferbloat.py --seconds 3", "fairness.py --seconds 6", "head_of_line.py", "routing_detour.py"]
)
def test_curves_are_drawn(example: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs matplotlib, the extra `plot`")
    run(*example.split(), "--plot", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
