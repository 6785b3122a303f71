"""Which commands are Python programs, and what to execute for them: what ``netower run`` takes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from typing import Final

_INTERPRETER: Final = re.compile(r"(python|pypy)[0-9.]*t?$")
#: A console script whose interpreter has a path too long, or with blanks, for a ``#!`` line: pip writes
#: ``#!/bin/sh`` and has the shell execute the path that stands quoted in the second line.
_SHELL_TRAMPOLINE: Final = re.compile(rb"'''exec' (\"[^\"\n]+\"|\S+)")
#: Options that take their value from the next argument, or end the interpreter's own options.
_WITH_VALUE: Final = ("-W", "-X", "--check-hash-based-pycs")
_OUT_OF_REACH: Final = {
    "I": "-I (isolated mode)",
    "E": "-E (which ignores PYTHON* variables)",
    "S": "-S (which skips the site module)",
}


class NotRunnable(Exception):
    """This command cannot run on the stack; the text says why, in one line."""


def runnable(command: list[str]) -> list[str]:
    """The arguments to execute for ``command``. Raises NotRunnable unless it is a Python program that will find
    our sockets."""
    name = command[0]
    path = shutil.which(name)
    if path is None and name.endswith(".py") and os.path.isfile(name):
        return [sys.executable, *command]
    if path is None:
        raise NotRunnable(f"{name}: no such command")
    if _is_interpreter(path):
        _check_options(command[1:])
        return command
    interpreter = _script_interpreter(path)
    if interpreter:
        _check_options(interpreter[1:])
        return command
    if interpreter is None and path.endswith(".py"):
        return [sys.executable, path, *command[1:]]
    raise NotRunnable(f"{name} is not a Python program: this version of netower runs only Python programs on its stack")


def _is_interpreter(path: str) -> bool:
    return any(_INTERPRETER.match(os.path.basename(name)) for name in (path, os.path.realpath(path)))


def _script_interpreter(path: str) -> list[str] | None:
    """The Python command line in the script's first line; [] if another program interprets it, None if it has none."""
    with open(path, "rb") as script:
        head = script.read(4096)
    if not head.startswith(b"#!"):
        return None
    if trampoline := _SHELL_TRAMPOLINE.search(head):
        words = shlex.split(os.fsdecode(trampoline[1]))
    else:
        words = os.fsdecode(head[2:].split(b"\n", 1)[0]).split()
        if words and os.path.basename(words[0]) == "env":
            words = [word for word in words[1:] if word != "-S" and "=" not in word]
    return words if words and _INTERPRETER.match(os.path.basename(words[0])) else []


def _check_options(arguments: list[str]) -> None:
    """Refuse interpreter options that would keep the program from finding our sockets."""
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif not argument.startswith("-") or argument in ("-", "--"):
            return
        elif argument in _WITH_VALUE:
            skip = True
        elif not argument.startswith("--") and _ends_options(argument[1:]):
            return


def _ends_options(letters: str) -> bool:
    """Look through a cluster such as ``uBm``: True once ``-c`` or ``-m`` says that the program's own words follow."""
    for letter in letters:
        if letter in _OUT_OF_REACH:
            raise NotRunnable(
                f"Python's option {_OUT_OF_REACH[letter]} keeps a program from finding the stack's sockets"
            )
        if letter in "cm":
            return True
        if letter in "WX":
            return False
    return False
