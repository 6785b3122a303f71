"""The benchmark over an impaired path: one short cell, what it shows of it, and what it refuses beforehand."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from netower.app.bench.path import Flow, cells, jain
from netower.app.bench.path_cli import draw
from netower.app.command import main

if TYPE_CHECKING:
    from pathlib import Path

CELL = {
    "rtt": 20.0,
    "loss": "1%",
    **{way: {"goodput": 8e6, "retransmitted_share": 0.01} for way in ("kernel", "out", "in")},
}


def test_jains_index_is_one_for_equals_and_one_half_where_one_of_two_has_everything() -> None:
    assert jain([7.0, 7.0]) == 1
    assert jain([7.0, 0.0]) == 0.5
    assert jain([0.0, 0.0]) == 0


def test_what_is_sent_again_is_compared_with_what_is_new() -> None:
    assert Flow(1e6, sent=110, again=10).share == 0.1
    assert Flow(0.0, sent=0, again=0).share == 0


def test_each_round_trip_is_measured_with_each_loss() -> None:
    names = [cell.name for cell in cells([1.0, 20.0], ["0", "5%"], "100Mbit", 1000)]
    assert names == ["1 ms, loss 0", "1 ms, loss 5%", "20 ms, loss 0", "20 ms, loss 5%"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--path", "--rtt", "20parsec"], "'20parsec'"),
        (["--path", "--loss", "200%"], "'200%'"),
        (["--path", "--rate", "10Mbits"], "'10Mbits'"),
        (["--path", "--connections"], "--connections"),
    ],
)
def test_nonsense_is_misuse_and_is_named(options: list[str], named: str) -> None:
    done = CliRunner().invoke(main, ["bench", *options])
    assert done.exit_code == 2
    assert named in done.output


@pytest.mark.parametrize("file", ["curve.parsec", "/nowhere/curve.svg"])
def test_what_cannot_be_drawn_is_named_before_anything_is_measured(file: str) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs matplotlib, the extra `plot`")
    done = CliRunner().invoke(main, ["bench", "--path", "--plot", file])
    assert done.exit_code == 2
    assert "--plot" in done.output


def test_the_plot_needs_something_that_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs matplotlib, the extra `plot`")
    done = CliRunner().invoke(main, ["bench", "--fairness", "--plot", str(tmp_path / "path.svg")])
    assert done.exit_code == 2
    assert "--path" in done.output


def test_the_table_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs matplotlib, the extra `plot`")
    draw([CELL, {**CELL, "rtt": 100.0}], tmp_path / "path.svg")
    assert "</svg>" in (tmp_path / "path.svg").read_text()


@pytest.mark.live
def test_a_cell_and_the_shares_of_a_bottleneck_are_measured() -> None:
    options = ["--path", "--fairness", "--rtt", "2ms", "--loss", "3%", "--seconds", "0.5", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "netower.app", "bench", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (cell,) = report["path"]["cells"]
    assert (cell["rtt"], cell["loss"]) == (2.0, "3%")
    for way in "kernel", "out", "in":
        assert 1e5 < cell[way]["goodput"] < 100e6
        assert 0 < cell[way]["retransmitted_share"] < 0.5
    assert cell["out"]["goodput_ratio"] == pytest.approx(cell["out"]["goodput"] / cell["kernel"]["goodput"])
    assert [pair["flows"] for pair in report["fairness"]["pairs"]] == [
        ["netower", "netower"],
        ["netower", "kernel"],
        ["kernel", "kernel"],
    ]
    for pair in report["fairness"]["pairs"]:
        assert sum(pair["goodput"]) < 25e6
        assert 0.5 <= pair["jain"] <= 1
