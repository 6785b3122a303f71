"""``netower ss``: the sockets of a running stack, as the kernel's ``ss`` shows the kernel's."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

import click

from ..stack.client import Stack
from .output import print_json, print_table
from .parameters import json_option, path_option

#: What the kernel's ss calls listening, and what it leaves out unless asked for (-a).
LISTENING: Final = {"LISTEN", "UNCONN"}
SHOWN_ON_REQUEST: Final = {*LISTENING, "TIME-WAIT", "SYN-RECV"}


@click.command()
@click.option("-l", "--listening", is_flag=True, help="Sockets that listen.")
@click.option("-a", "--all", "everything", is_flag=True, help="All sockets: listening, and in TIME-WAIT too.")
@click.option("-t", "--tcp", is_flag=True, help="TCP sockets.")
@click.option("-u", "--udp", is_flag=True, help="UDP sockets.")
@click.option("-n", "--numeric", is_flag=True, help="Numbers for ports, which is all there is: for the habit's sake.")
@click.option("-i", "--info", is_flag=True, help="What TCP knows about the connection.")
@click.option("-p", "--processes", is_flag=True, help="The process that made the socket.")
@json_option
@path_option
def command(
    listening: bool,
    everything: bool,
    tcp: bool,
    udp: bool,
    numeric: bool,
    info: bool,
    processes: bool,
    as_json: bool,
    path: str | None,
) -> None:
    """Show the sockets of the running stack: connected ones, if not told otherwise.

    \b
    Examples:
      netower ss -ltu           what listens
      netower ss -tai           all of TCP, with its internals
      netower ss -a --json
    """  # fmt: skip
    with closing(Stack.open(path)) as stack:
        sockets = stack.query("sockets")
    protocols = {name for name, wanted in (("tcp", tcp), ("udp", udp)) if wanted} or {"tcp", "udp"}
    shown = [
        socket
        for socket in sockets
        if socket["protocol"] in protocols and _is_wanted(socket["state"], listening, everything)
    ]
    if as_json:
        print_json(shown)
    else:
        _print(shown, info, processes)


def _is_wanted(state: str, listening: bool, everything: bool) -> bool:
    if everything:
        return True
    return state in LISTENING if listening else state not in SHOWN_ON_REQUEST


def _print(sockets: list[dict[str, Any]], info: bool, processes: bool) -> None:
    columns = ["Netid", "State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port", "Timer"]
    if processes:
        columns.append("Process")
    rows = []
    for socket in sockets:
        row = [socket[key] for key in ("protocol", "state", "recv_q", "send_q", "local", "remote", "timer")]
        rows.append([*row, f"pid={socket['pid']}" if socket["pid"] else ""] if processes else row)
    details = [_details(socket["info"]) if info else "" for socket in sockets]
    print_table(columns, rows, right=["Recv-Q", "Send-Q"], details=details)


def _details(info: dict[str, Any]) -> str:
    """The second line of a socket, in the words of the kernel's ``ss -i``."""
    return " ".join(key if value is True else f"{key}:{value}" for key, value in info.items() if value is not False)
