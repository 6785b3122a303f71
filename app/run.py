"""``netower run``: a program whose sockets are the stack's."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import click

from ..stack.client import Stack
from .parameters import path_option
from .programs import NotRunnable, runnable

#: Holds sitecustomize.py, which gives a Python its sockets as it starts.
SITE: Final = str(Path(__file__).with_name("site"))


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[--path SOCKET] --",
)
@path_option
@click.argument("command_line", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(path: str | None, command_line: tuple[str, ...]) -> None:
    """Run a Python program, unchanged, whose sockets are the stack's; its children and -m modules too.

    The stack is the one that `netower up` runs. Where none runs, the program gets one of its own that has just a
    loopback interface.

    \b
    Examples:
      netower run -- python3 -m http.server --bind 10.77.0.2 8000
      netower run -- ./server.py --port 7
      netower run --path /tmp/stack.sock -- python3 -m asyncio
    """
    if command_line[0].startswith("-"):
        raise click.NoSuchOption(command_line[0])
    try:
        arguments = runnable(list(command_line))
    except NotRunnable as error:
        raise click.UsageError(str(error)) from None
    os.execvpe(arguments[0], arguments, environment(path))


def environment(path: str | None) -> dict[str, str]:
    """The variables that give a Python program its sockets: those of the stack at ``path``, or the default one's.

    Raises OSError if no stack serves at a path that was named, as an option or by NETOWER_PATH.
    """
    variables = dict(os.environ)
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [SITE, variables.get("PYTHONPATH")]))
    variables["NETOWER_PYTHON"] = sys.executable  # which has what a stack needs; the program's Python may not
    named = path or variables.get("NETOWER_PATH")
    try:
        stack = Stack.open(named)
    except OSError:
        if named:
            raise
        return variables
    stack.close()
    variables["NETOWER_PATH"] = os.path.abspath(stack.path)
    return variables
