"""Ethernet II frames (RFC 894): two link-layer addresses, and a type that says what the frame carries."""

from __future__ import annotations

import re
from typing import Final

import construct

from .wireformat import fixed_part

ETHERTYPE_IPV4: Final = 0x0800
ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_IPV6: Final = 0x86DD

#: All ones: to every station of the subnet.
BROADCAST: Final = b"\xff" * 6

EthernetHeader: Final = construct.Struct(
    "destination" / construct.Bytes(6),
    "source" / construct.Bytes(6),
    "type" / construct.Int16ub,
)
#: The same header for the fast path: destination, source, type.
ETHERNET: Final = fixed_part(EthernetHeader)
HEADER_SIZE: Final = ETHERNET.size

_ADDRESS: Final = re.compile(r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}")


def parse_address(text: str) -> bytes:
    """The six bytes of an address written ``02:00:00:00:00:01`` (or with dashes). Raises ValueError naming the text."""
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text!r} is not an Ethernet address")
    return bytes.fromhex(text.replace("-", "").replace(":", ""))


def address_text(address: bytes) -> str:
    """An address as people write it."""
    return address.hex(":")


def local_address(number: int) -> bytes:
    """A unicast address that is nobody's product (locally administered, IEEE 802): ``number``'s lowest 40 bits."""
    return b"\x02" + (number & 0xFF_FFFF_FFFF).to_bytes(5)
