"""Sequence numbers (RFC 9293 §3.4): 32 bits on the wire, plain integers inside.

The numbers of a connection inside this stack do not wrap: a number that arrives is extended to the integer nearest to
one that is already known, which is what comparing modulo 2^32 means as long as two numbers are less than 2^31 apart.
After that, the comparisons of the RFC are the comparisons of Python, and only what goes out is cut to 32 bits again.
"""

from __future__ import annotations

from typing import Final

MASK: Final = 0xFFFFFFFF
_HALF: Final = 0x80000000


def extend(number: int, near: int) -> int:
    """The integer nearest to ``near`` whose lowest 32 bits are ``number``."""
    return near - _HALF + ((number - near + _HALF) & MASK)


def older(first: int, second: int) -> bool:
    """Whether the 32-bit number ``first`` comes before ``second``, modulo 2^32: for timestamps (RFC 7323 §5.2)."""
    return (first - second) & MASK >= _HALF
