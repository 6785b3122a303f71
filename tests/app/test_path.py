"""``netower path``: what it refuses before it touches the machine. (What it does is in tests/live/test_path.py.)"""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from netower.app.command import main


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--delay", "20parsec"], "delay: '20parsec'"),
        (["--jitter", "-1ms"], "jitter: '-1ms'"),
        (["--loss", "200%"], "loss: '200%'"),
        (["--loss", "1%,2%,3%"], "loss:"),
        (["--loss", "1%", "--burst", "0.5"], "--burst"),
        (["--loss", "nothing", "--burst", "2"], "loss: 'nothing'"),
        (["--rate", "10Mbits"], "rate: '10Mbits'"),
        (["--queue", "fifo"], "queue: 'fifo'"),
        (["--mark", "-1%"], "mark: '-1%'"),
        (["--mark-above", "many"], "mark_above: 'many'"),
        (["--left-address", "10.9.0.1"], "lacks its prefix length"),
    ],
)
def test_nonsense_is_misuse_and_is_named(options: list[str], named: str) -> None:
    done = CliRunner().invoke(main, ["path", *options])
    assert done.exit_code == 2
    assert named in done.output
    assert len(done.output.splitlines()) == 1
