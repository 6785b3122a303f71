"""``netower ip``: addresses, routes, neighbors and counters of a running stack."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

import click

from ..stack.client import Stack
from .output import print_json, print_table
from .parameters import json_option, path_option

QUESTIONS: Final = {"addr": "interfaces", "route": "routes", "neigh": "neighbors", "stats": "counters"}


@click.command()
@click.argument("what", type=click.Choice(list(QUESTIONS)), default="addr")
@json_option
@path_option
def command(what: str, as_json: bool, path: str | None) -> None:
    """Show a running stack's addresses (`addr`), routes (`route`), neighbors (`neigh`), or what its floors counted
    (`stats`).

    \b
    Examples:
      netower ip                 interfaces and their addresses
      netower ip neigh
      netower ip stats --json    what was dropped, and why
    """
    with closing(Stack.open(path)) as stack:
        found = stack.query(QUESTIONS[what])
    if as_json:
        print_json(found)
    elif what == "addr":
        _print_interfaces(found)
    elif what == "stats":
        print_table(["Counter", "Count"], list(found.items()), right=["Count"])
    else:
        _print_records(found)


def _print_interfaces(interfaces: list[dict[str, Any]]) -> None:
    columns = [
        "Interface",
        "Address",
        "Link address",
        "MTU",
        "Offloads",
        "RX packets",
        "RX bytes",
        "TX packets",
        "TX bytes",
    ]
    rows = [
        [
            interface["name"],
            " ".join(interface["addresses"]),
            interface["link_address"] or "-",
            interface["mtu"],
            interface["offloads"].lower().replace("|", " "),
            *(interface[f"{way}_{unit}"] for way in ("rx", "tx") for unit in ("packets", "bytes")),
        ]
        for interface in interfaces
    ]
    print_table(columns, rows, right=["MTU", *columns[5:]])


def _print_records(records: list[dict[str, Any]]) -> None:
    """Records that all have the same fields, which name the columns."""
    columns = [field.replace("_", " ").capitalize() for field in records[0]] if records else ["None"]
    print_table(columns, [["-" if value is None else value for value in record.values()] for record in records])
