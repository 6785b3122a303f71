"""The benchmark of simulated networks: that it does the work that it measures."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from netower.app.bench import simulation
from netower.app.command import main


@pytest.fixture(autouse=True)
def _little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "CONNECTIONS", 40)
    monkeypatch.setattr(simulation, "HOSTS", 10)


def test_all_figures_are_printed_for_people_and_for_programs() -> None:
    done = CliRunner().invoke(main, ["bench", "--simulation", "--repeat", "1", "--json"])
    assert done.exit_code == 0, done.output
    figures = {figure["name"]: figure for figure in json.loads(done.output)["figures"]}
    assert list(figures) == ["idle_hour", "silence", "work", "segments", "memory"]
    assert all(figure["value"] > 0 for figure in figures.values())
    assert "131 virtual s" in figures["silence"]["title"]
    assert "0.4 MB" in figures["work"]["title"]

    table = CliRunner().invoke(main, ["bench", "--simulation", "--repeat", "1"])
    assert table.exit_code == 0
    assert all(figure["unit"] in table.output for figure in figures.values())


def test_work_that_was_not_done_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation.Sink, "_take", lambda *_: None)
    done = CliRunner().invoke(main, ["bench", "--simulation"])
    assert done.exit_code == 1
    assert "bytes arrived" in done.output
