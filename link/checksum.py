"""The sum under the Internet checksum (RFC 1071), the fastest way that pure Python was measured to have.

A one's complement sum of 16-bit words is the whole buffer, read as one big integer, modulo 65535: two calls into C
instead of a loop. For large buffers the division is what costs; adding the integer's upper half to its lower half (which
leaves the remainder as it is, if the halves are whole words) shortens it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .packet import Buffer

#: Above this size (in bytes) folding in halves is faster than dividing, as measured with CPython 3.11.
_FOLD_ABOVE: Final = 4096


def ones_complement_sum(buffer: Buffer) -> int:
    """The one's complement sum of the 16-bit words of ``buffer``, 0 to 65535; an odd last byte is a word's upper half.

    0 only if every byte is zero. A buffer that contains its own right checksum sums to 65535.
    """
    size = len(buffer)
    value = int.from_bytes(buffer)
    if size & 1:
        value <<= 8
    if size > _FOLD_ABOVE:
        value = _fold(value, size + 1)
    return value % 65535 or (65535 if value else 0)


def _fold(value: int, size: int) -> int:
    """A shorter integer that leaves the same remainder; ``value`` has at most ``size`` bytes."""
    bits = size * 8
    while bits > 2048:
        half = (bits // 2 + 15) & ~15
        value = (value & ((1 << half) - 1)) + (value >> half)
        bits = half + 16
    return value


def checksum(buffer: Buffer) -> int:
    """The Internet checksum of ``buffer``: the complement of its one's complement sum."""
    return 65535 - ones_complement_sum(buffer)
