"""Checksums of the net and transport floors: RFC 1071, and RFC 1624 for changing one in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..link.checksum import ones_complement_sum
from ..link.packet import VERIFIED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..link.packet import Buffer, Packet
    from .address import Address

__all__ = ["checksum", "ones_complement_sum", "pseudo_header_sum", "update", "verify_transport"]


def checksum(buffers: Iterable[Buffer]) -> int:
    """The Internet checksum (RFC 1071) of ``buffers`` one after another, wherever odd lengths put their borders."""
    return ones_complement_sum(b"".join(buffers)) ^ 0xFFFF


def pseudo_header_sum(source: Address, destination: Address, protocol: int, length: int) -> int:
    """What a transport puts into the checksum field of a PARTIAL packet: the sum of the pseudo-header, of either
    family (RFC 9293 §3.1, RFC 8200 §8.1). ``length`` is that of transport header and payload, in bytes.
    """
    return (int.from_bytes(source + destination) + protocol + length) % 0xFFFF or 0xFFFF


def verify_transport(packet: Packet, protocol: int) -> bool:
    """Whether the transport checksum of a received packet is right, which is computed only if nobody knows yet."""
    if packet.checksum:
        return True
    payload = packet.view()
    pseudo = pseudo_header_sum(packet.source, packet.destination, protocol, len(payload))
    if ones_complement_sum(payload, pseudo) != 0xFFFF:
        return False
    packet.checksum = VERIFIED
    return True


def update(old_checksum: int, old: int, new: int) -> int:
    """The checksum after one 16-bit word under it changed from ``old`` to ``new`` (RFC 1624 §3)."""
    return (old_checksum + old - new) % 0xFFFF
