"""The command line: help on every command, misuse in one line with exit status 2, failure with 1."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result
from netower.app.command import COMMANDS, main


def netower(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="netower", env=variables)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(name: str) -> None:
    result = netower(name, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"netower {name}" in result.stdout


def test_the_overview_names_every_command() -> None:
    result = netower("--help")
    assert result.exit_code == 0
    assert all(f"\n  {name} " in result.stdout for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["fly"], "fly"),
        (["up", "--fast"], "--fast"),
        (["up", "--address", "10.77.0.300/24"], "10.77.0.300/24"),
        (["up", "--address", "10.77.0.2"], "prefix length"),
        (["up", "--address", "224.0.0.1/24"], "224.0.0.1/24"),
        (["up", "--address", "10.77.0.0/24"], "10.77.0.0/24"),
        (["path", "--left", "tap0", "--right", "tap0"], "tap0"),
        (["path", "--left", "sl/ash"], "sl/ash"),
        (["bench", "--simulation", "--connections"], "--connections"),
        (["up", "--gateway", "router"], "router"),
        (["up", "--mtu", "12"], "12"),
        (["serve", "gopher"], "gopher"),
        (["serve", "echo", "--port", "65536"], "65536"),
        (["serve", "echo", "--pidfile", "x"], "--detach"),
        (["ping", "-c", "none", "10.77.0.1"], "none"),
        (["bench", "--only", "luck"], "luck"),
        (["ladder", "/nowhere.pcap"], "/nowhere.pcap"),
        (["run", "--", "ls"], "ls is not a Python program"),
        (["run"], "COMMAND"),
    ],
)
def test_misuse_is_one_line_that_names_it(arguments: list[str], named: str) -> None:
    result = netower(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert named in result.stderr


@pytest.mark.parametrize("arguments", [["ss"], ["ping", "10.77.0.1"], ["ip"], ["serve", "echo"], ["run", "python3"]])
def test_without_a_stack_the_path_and_what_starts_one_are_named(arguments: list[str]) -> None:
    result = netower(*arguments, NETOWER_PATH="/tmp/no-such-stack.sock")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "/tmp/no-such-stack.sock" in result.stderr
    assert "netower up" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["demo", "--pcap", "/nowhere/demo.pcap"],
        ["serve", "echo", "--kernel", "--host", "127.0.0.1", "--port", "0", "--detach", "--pidfile", "/nowhere/pid"],
        ["serve", "echo", "--kernel", "--host", "127.0.0.1", "--port", "0", "--detach", "--log", "/nowhere/log"],
    ],
)
def test_a_file_that_cannot_be_made_is_named_before_anything_begins(arguments: list[str]) -> None:
    result = netower(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert arguments[-1] in result.stderr
