"""Whole programs that know nothing of us, on the kernel's sockets and on ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DATA = HERE.parent / "data"
PROGRAMS = sorted((HERE / "programs").glob("*.py"))

LAUNCH = """
import runpy, sys
if sys.argv.pop(1) == "netower":
    import netower.stack.socket
    netower.stack.socket.install()
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("module", ["kernel", "netower"])
@pytest.mark.parametrize("program", PROGRAMS, ids=[path.stem for path in PROGRAMS])
def test_program(program: Path, module: str) -> None:
    arguments = [str(DATA / "tls-cert.pem"), str(DATA / "tls-key.pem")] if program.stem == "tls" else []
    environment = {name: value for name, value in os.environ.items() if name != "NETOWER_PATH"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", LAUNCH, module, str(program), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (0, "")
