"""``netower sysctl``: the settings of a running stack, under the names that Linux has for them."""

from __future__ import annotations

from contextlib import closing

import click

from ..stack.client import Stack
from .output import print_json
from .parameters import json_option, path_option


@click.command()
@click.argument("settings", nargs=-1, metavar="[NAME[=VALUE]]...")
@click.option("-w", "--write", is_flag=True, help="Every argument is NAME=VALUE.")
@click.option("-n", "--values", is_flag=True, help="Print values without their names.")
@json_option
@path_option
def command(settings: tuple[str, ...], write: bool, values: bool, as_json: bool, path: str | None) -> None:
    """Show or change settings of the running stack: those named, else all. What is changed holds for new connections.

    \b
    Examples:
      netower sysctl                                 all settings
      netower sysctl net.ipv4.tcp_syn_retries
      netower sysctl -w net.ipv4.tcp_timestamps=0
    """
    changes = [setting.split("=", 1) for setting in settings if "=" in setting]
    names = [setting for setting in settings if "=" not in setting]
    if write and (names or not changes):
        raise click.UsageError(f"{names[0] if names else 'nothing'} is no NAME=VALUE")
    changes = [[name.strip(), value.strip()] for name, value in changes]
    with closing(Stack.open(path)) as stack:
        found = stack.query("settings", names=names, changes=changes)
    if "error" in found:
        raise click.UsageError(found["error"])
    if as_json:
        print_json(found)
    else:
        for name, value in found.items():
            click.echo(value if values else f"{name} = {value}")
