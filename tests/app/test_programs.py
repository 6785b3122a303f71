"""Which commands ``netower run`` takes, and what it executes for them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from netower.app.programs import NotRunnable, runnable


def script(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_an_interpreter_is_taken_as_it_is() -> None:
    for command in (["python3", "-m", "http.server"], [sys.executable, "x.py"], ["python3", "-uBc", "1", "-I"]):
        assert runnable(command) == command


@pytest.mark.parametrize(
    "first_lines",
    [
        "#!/usr/bin/python3\n",
        "#!/usr/bin/env python3\n",
        "#!/usr/bin/env -S python3.11 -u\n",
        "#! /opt/venv/bin/python\n",
        "#!/bin/sh\n'''exec' \"/a path/bin/python3\" \"$0\" \"$@\"\n' '''\n",
        "#!/bin/sh\n'''exec' /a/very/long/path/bin/python3.11 \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_a_script_for_python_is_taken_as_it_is(tmp_path: Path, first_lines: str) -> None:
    name = script(tmp_path / "tool", first_lines + "print()\n")
    assert runnable([name, "-I"]) == [name, "-I"]


def test_a_file_for_python_that_cannot_be_executed_gets_an_interpreter(tmp_path: Path) -> None:
    plain = script(tmp_path / "plain.py", "print()\n", 0o644)
    executable = script(tmp_path / "executable.py", "print()\n")
    assert runnable([plain, "x"]) == [sys.executable, plain, "x"]
    assert runnable([executable]) == [sys.executable, executable]


@pytest.mark.parametrize("text", ["#!/bin/sh\n", "#!/usr/bin/env perl\n", "\x7fELF", ""])
def test_any_other_program_is_refused(tmp_path: Path, text: str) -> None:
    name = script(tmp_path / "program", text)
    with pytest.raises(NotRunnable, match="is not a Python program"):
        runnable([name])


def test_a_shell_script_is_not_a_python_program_for_its_name(tmp_path: Path) -> None:
    with pytest.raises(NotRunnable, match="is not a Python program"):
        runnable([script(tmp_path / "shell.py", "#!/bin/sh\n")])


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(NotRunnable, match="no-such-program: no such command"):
        runnable(["no-such-program"])


@pytest.mark.parametrize(
    "options", [["-I"], ["-uE", "x.py"], ["-BS"], ["-W", "error", "-I"], ["-Xdev", "-E"], ["-X", "dev", "-S"]]
)
def test_options_that_hide_our_sockets_are_refused(options: list[str]) -> None:
    with pytest.raises(NotRunnable, match="keeps a program from finding"):
        runnable(["python3", *options])


def test_such_options_in_a_script_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRunnable, match="-I"):
        runnable([script(tmp_path / "tool", "#!/usr/bin/python3 -I\n")])


@pytest.mark.parametrize("arguments", [["x.py", "-I"], ["-m", "m", "-E"], ["-c", "1", "-S"], ["-", "-I"], ["-Werror"]])
def test_the_programs_own_options_are_its_own(arguments: list[str]) -> None:
    assert runnable(["python3", *arguments]) == ["python3", *arguments]
