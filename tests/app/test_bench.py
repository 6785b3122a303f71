"""The benchmark: that it measures what it says, on the kernel's stack alone, and how it compares."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from netower.app.bench.measures import MEASURES, Figure, compare

HIGHER = Figure("speed", "speed", "Gbit/s", True, lambda passive, active: 0.0)


def test_a_figure_is_the_median_and_its_ratio_is_ours_to_the_kernels() -> None:
    line = compare({"kernel": {"speed": [4.0, 8.0, 5.0]}, "netower": {"speed": [1.0, 2.5, 9.0]}}, HIGHER)
    assert (line["kernel"], line["netower"], line["ratio"]) == (5.0, 2.5, 0.5)
    assert line["better"] == "higher"
    assert line["samples"]["kernel"] == [4.0, 8.0, 5.0]


def test_a_figure_that_could_not_be_measured_is_null() -> None:
    line = compare({"kernel": {"speed": [4.0]}, "netower": {}}, HIGHER)
    assert line["netower"] is None
    assert line["ratio"] is None


def test_one_system_alone_has_no_ratio() -> None:
    assert "ratio" not in compare({"kernel": {"speed": [4.0]}}, HIGHER)


@pytest.mark.live
def test_every_measure_runs_on_the_kernels_sockets() -> None:
    command = [sys.executable, "-m", "netower.app", "bench", "--system", "kernel", "--json"]
    done = subprocess.run(
        [*command, "--seconds", "0.1", "--repeat", "1"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["failures"] == []
    assert [figure["name"] for figure in report["figures"]] == [
        figure.name for measure in MEASURES for figure in measure.figures
    ]
    assert all(figure["kernel"] > 0 for figure in report["figures"])
    assert "unpinned" in report["placement"]
