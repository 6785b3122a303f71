"""The scripts beside this file against the kernel: what they say is not just what this stack does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
#: Those whose outcome does not hinge on milliseconds, of which a busy machine has none to give.
TOPICS = ("closing", "data", "fastopen", "icmp", "opening", "options", "reset", "sack", "sockets", "udp", "window")
#: They take long.
LEFT_OUT = {
    "opening/syn_linear",
    "opening/syn_time_out",
    "opening/syn_time_out_doubled",
}
#: At the same time: most of a script is waiting.
PROCESSES = 6
COMMAND = (sys.executable, "-c", "from netower.app.command import main; main()", "packetdrill", "--kernel", "--json",
           "--tolerance_usecs=150000")  # fmt: skip


@pytest.mark.live
def test_the_kernel_passes() -> None:
    scripts = [path for topic in TOPICS for path in sorted((FOLDER / topic).glob("*.pkt"))]
    scripts = [path for path in scripts if str(path.relative_to(FOLDER).with_suffix("")) not in LEFT_OUT]
    processes = [
        subprocess.Popen([*COMMAND, *map(str, scripts[start::PROCESSES])], stdout=subprocess.PIPE)
        for start in range(PROCESSES)
    ]
    outcomes = [outcome for process in processes for outcome in json.loads(process.communicate(timeout=120)[0])]
    assert len(outcomes) == len(scripts) > 100
    assert [outcome for outcome in outcomes if outcome["outcome"] != "passed"] == []
