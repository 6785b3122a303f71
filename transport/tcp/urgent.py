"""Urgent data (RFC 9293 §3.8.5, RFC 6093): a mark in the stream, after which it is not urgent any more.

The urgent octets stay in line, where they were sent, as RFC 6093 §6 advises: nothing is ever taken out of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .header import URG

if TYPE_CHECKING:
    from .connection import Connection
    from .segment import Segment

_FLAGS: Final = 13
_POINTER: Final = slice(18, 20)


def mark(c: Connection, header: bytearray, start: int) -> None:
    """Say in a segment from ``start`` on where the urgent data end: the pointer is to the octet after them (MUST-62).

    A mark too far away for the pointer's 16 bits is shown as the farthest they can.
    """
    header[_FLAGS] |= URG
    header[_POINTER] = min(c.snd_up - start, 0xFFFF).to_bytes(2)


def arrives(c: Connection, segment: Segment) -> None:
    """Sixth, check the URG bit (RFC 9293 §3.10.7.4): the user is told when the mark is new or moves (MUST-32)."""
    packet = segment.packet
    at = packet.offset
    pointer = int.from_bytes(packet.buffers[0][at + 18 : at + 20]) + c.tcp.settings.urgent_octet
    pointed = segment.seq + max(pointer, 1)  # as Linux reads 0
    if pointed > max(c.rcv_up, c.rcv_nxt - c.readable):
        c.rcv_up = pointed
        c.tell()
