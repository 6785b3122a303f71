"""The Internet checksum's arithmetic (RFC 1071), as fast as Python alone does it.

A one's complement sum of 16-bit words is the number that the bytes spell, modulo 65535. So the words are never looked
at one by one: the bytes become one integer, whose halves are added to each other (65536^n is 1 modulo 65535) until what
is left is small enough to divide. Measured for 20, 1480 and 65,000 bytes: 0.2, 3.2 and 70 µs; dividing at once takes
0.2, 3.7 and 117 µs, adding the words that a struct unpacks 0.8, 11 and 400 µs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .packet import Buffer

#: Below this many bytes, dividing is cheaper than folding first.
_DIVISIBLE: Final = 600
#: Where to fold, in bits, and the mask of what lies below. A multiple of 30 bytes is both whole words and whole digits
#: of Python's integers, which makes shifting a plain move.
_FOLDS: Final = tuple((size * 8, (1 << size * 8) - 1) for size in (390 << power for power in range(7, -1, -1)))
#: The two that a packet on a common Ethernet needs.
_SMALL_FOLDS: Final = _FOLDS[-2:]


def ones_complement_sum(buffer: Buffer, start: int = 0) -> int:
    """The 16-bit one's complement sum of the words of ``buffer``, and of ``start``, a sum to go on from.

    An odd last byte counts as if a zero followed it, so only the last of several buffers may be odd. The result is
    0 only if everything that was added is 0 (else that residue is 0xFFFF), as adding with end-around carry has it.
    """
    size = len(buffer)
    total = int.from_bytes(buffer)
    if size & 1:
        total <<= 8
    if size > _DIVISIBLE:
        size *= 8
        for bits, mask in _FOLDS if size > 12800 else _SMALL_FOLDS:
            if size > bits:
                total = (total >> bits) + (total & mask)
                size = bits
    total += start
    return total % 0xFFFF or (total and 0xFFFF)


def complete_checksum(packet: bytearray, start: int, offset: int) -> None:
    """Finish the transport checksum of a packet whose checksum field holds the sum of the pseudo-header.

    ``start`` is where the transport header begins, ``offset`` where its checksum field is, counted from there. A zero
    is stored as 0xFFFF, the same number: to UDP a zero would mean that there is no checksum (RFC 768).
    """
    position = start + offset
    value = ones_complement_sum(memoryview(packet)[start:]) ^ 0xFFFF
    packet[position : position + 2] = (value or 0xFFFF).to_bytes(2)
