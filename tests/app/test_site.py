"""What a Python finds when ``netower run`` starts it: netower alone, its own sitecustomize, and the stack's sockets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from netower.app.run import SITE

SYSTEM_PYTHON = "/usr/bin/python3"


def start(program: str, *, python: str = sys.executable, path: str = "", options: tuple[str, ...] = ()) -> str:
    """What ``program`` prints under the environment of ``netower run``."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [SITE, path]))}
    variables.pop("NETOWER_PATH", None)
    done = subprocess.run(
        [python, *options, "-c", program], env=variables, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_the_sockets_are_the_stacks() -> None:
    assert start("import socket; print(socket.socket.__module__.split('.')[0])") == "netower"


def test_children_have_them_too() -> None:
    program = "import socket; print(socket.socket.__module__.split('.')[0])"
    assert start(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}])") == "netower"


@pytest.mark.skipif(not os.path.exists(SYSTEM_PYTHON), reason="there is no Python of the system")
def test_another_python_finds_netower_and_nothing_else_of_where_it_is_installed() -> None:
    program = (
        "import importlib.util as u, netower.stack.socket, sys\n"
        "print(u.find_spec('construct') is None or 'site-packages' not in u.find_spec('construct').origin)\n"
        "print(any(entry.endswith('site-packages') for entry in sys.path))\n"
    )
    assert start(program, python=SYSTEM_PYTHON) == "True\nFalse"


def test_the_sitecustomize_that_ours_hides_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.flag_of_mine = __name__ + ' ' + __file__\n")
    found = start("import sys; print(sys.flag_of_mine)", path=str(tmp_path))
    assert found == f"sitecustomize {tmp_path / 'sitecustomize.py'}"


def test_it_is_silent_and_cheap() -> None:
    assert start("import sys; print('construct' in sys.modules, 'asyncio' in sys.modules)") == "False False"


def test_netower_modules_can_be_run() -> None:
    assert start("import netower.app.programs as p; print(p.__name__)") == "netower.app.programs"
