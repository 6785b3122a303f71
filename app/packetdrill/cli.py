"""The command line of ``netower packetdrill``."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..parameters import json_option
from .configuration import Configuration, on_kernel, takes_value
from .engine import Outcome, Verdict, run_file
from .errors import ScriptError, Unsupported
from .recorder import differences, record_file
from .report import print_outcomes

if TYPE_CHECKING:
    from collections.abc import Callable


def _definition(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for word, sign, _ in pairs:
        if not sign or not word:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE")
    return {word: meaning for word, _, meaning in pairs}


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, required=True, metavar="FILE...")
@click.option("-D", "--define", "definitions", multiple=True, metavar="NAME=VALUE", callback=_definition,
              help="A word of the scripts, and what it stands for (repeatable).")  # fmt: skip
@click.option("--strict-segments", "--strict_segments", is_flag=True,
              help="What a script sends or expects in one piece must be one segment.")  # fmt: skip
@click.option("--kernel", is_flag=True,
              help="The host under test is the kernel, in real time; takes root or user namespaces.")  # fmt: skip
@click.option("--record", is_flag=True, help="Show what the host does, whatever the scripts expect.")
@click.option("--compare", is_flag=True, help="Show what this stack does otherwise than the kernel.")
@click.option("-v", "--verbose", is_flag=True, help="Show also what the scripts let pass.")
@json_option
def command(
    arguments: tuple[str, ...],
    definitions: dict[str, str],
    strict_segments: bool,
    kernel: bool,
    record: bool,
    compare: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Run scripts in packetdrill's language against this stack, in virtual time.

    A FILE may be a folder: then all *.pkt files in it and below. Options of packetdrill's own (--tolerance_usecs=4000,
    --local_ip=192.168.0.1, …) are known as a script knows them. Nothing that a script gives the shell is executed: its
    settings are the stack's (see `netower sysctl`). The Python in a script is executed, so run no scripts that you do
    not trust. Exit status 1: a script failed.

    With --record the lines for packets that a script expects are only waited for, and what the host does is shown as
    lines of a script, with their times; with --compare the difference between two such records, of this stack and of
    the kernel (- only this stack, + only the kernel, ~ at another time).

    \b
    Examples:
      netower packetdrill handshake.pkt
      netower packetdrill --json tests/conformance > outcomes.json
      netower packetdrill --tolerance_usecs=10000 -D MSS=1000 scripts/*.pkt
    """  # fmt: skip
    flags = (("strict_segments", ""),) if strict_segments else ()
    configuration = Configuration(strict_segments=strict_segments, command_line=flags)
    if kernel:
        configuration = on_kernel(configuration)
    configuration, files = _read_arguments(arguments, configuration)
    scripts = [script for file in files for script in _scripts(Path(file))]
    if not scripts:
        raise click.UsageError("no script is given, or there is none in the folder")
    if record or compare:
        show = _print_differences if compare else _print_record
        return max([_try(show, script, configuration, definitions) for script in scripts])
    outcomes = [(str(script), _run(script, configuration, definitions)) for script in scripts]
    print_outcomes(outcomes, as_json=as_json, verbose=verbose)
    return int(any(outcome.verdict is Verdict.FAILED for _, outcome in outcomes))


def _read_arguments(arguments: tuple[str, ...], configuration: Configuration) -> tuple[Configuration, list[str]]:
    """Options that are packetdrill's, whose values may stand by themselves, and the files."""
    files, options = [], dict(configuration.command_line)
    left = iter(arguments)
    for argument in left:
        if not argument.startswith("--"):
            files.append(argument)
            continue
        name, sign, value = argument[2:].partition("=")
        options[name] = value if sign or not takes_value(name) else next(left, "")
        try:
            configuration = configuration.with_option(name, options[name])
        except Unsupported:
            raise click.UsageError(f"{argument}: this runner does not have that option of packetdrill's") from None
        except ValueError as error:
            raise click.UsageError(f"{argument}: {error}") from None
    return replace(configuration, command_line=tuple(options.items())), files


def _scripts(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.rglob("*.pkt"))
    if not path.is_file():
        raise click.UsageError(f"{path}: no such file")
    return [path]


def _try(
    show: Callable[[Path, Configuration, dict[str, str]], int],
    script: Path,
    configuration: Configuration,
    definitions: dict[str, str],
) -> int:
    """What is wrong with one script keeps no other from being shown."""
    try:
        return show(script, configuration, definitions)
    except ScriptError as reason:
        click.echo(f"{script}:{reason.line}:{reason.column}: {reason}", err=True)
    except (Unsupported, ValueError) as reason:
        click.echo(f"{script}: {reason}", err=True)
    return 1


def _print_record(script: Path, configuration: Configuration, definitions: dict[str, str]) -> int:
    for entry in record_file(script, configuration, definitions):
        print(entry)
    return 0


def _print_differences(script: Path, configuration: Configuration, definitions: dict[str, str]) -> int:
    ours = record_file(script, configuration, definitions)
    found = differences(ours, record_file(script, on_kernel(configuration), definitions))
    print(f"{script}: {'differs' if found else 'the same'}", *found, sep="\n  ")
    return int(bool(found))


def _run(script: Path, configuration: Configuration, definitions: dict[str, str]) -> Outcome:
    """One script must not take the others' outcomes with it, whatever is in it."""
    try:
        return run_file(script, configuration, definitions)
    except (PermissionError, KeyboardInterrupt):
        raise
    except Exception as failure:
        traceback.print_exc()
        return Outcome(Verdict.FAILED, f"the runner failed: {type(failure).__name__}: {failure}")
