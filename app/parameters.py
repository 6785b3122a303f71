"""Options that several commands share, and what they accept."""

from __future__ import annotations

import ipaddress
import os
from typing import Final

import click

from ..net.address import parse_interface

#: Of an interface, in bytes: IFNAMSIZ, with its final zero, is 16.
LONGEST_NAME: Final = 15


def interface_address(text: str) -> str:
    """An option's type: an address with its prefix length, such as ``10.77.0.2/24``."""
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an address with a prefix length, such as 10.77.0.2/24") from None
    if "/" not in text:
        raise click.BadParameter(f"{text!r} lacks its prefix length, such as {text}/{interface.max_prefixlen - 8}")
    try:
        parse_interface(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return text


def ip_address(text: str) -> str:
    """An option's type: an address, such as ``10.77.0.1``."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an IP address") from None


def interface_name(text: str) -> str:
    """An option's type: what Linux takes as the name of a network interface."""
    if len(os.fsencode(text)) > LONGEST_NAME:
        raise click.BadParameter(f"{text!r} is longer than {LONGEST_NAME} bytes")
    if text in (".", "..") or any(character in "/:" or character.isspace() for character in text):
        raise click.BadParameter(f"{text!r} cannot be the name of an interface")
    return text


path_option = click.option(
    "--path", metavar="SOCKET", help="The stack's socket.  [default: $NETOWER_PATH, else one for this user]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
