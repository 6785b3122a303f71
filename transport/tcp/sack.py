"""Selective acknowledgment, the receiver's part (RFC 2018 §3 and §4, RFC 2883): telling what arrived early, or twice.

What was told is kept until it is read, or the connection ends: nothing is reneged on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import output

if TYPE_CHECKING:
    from .connection import Connection
    from .ranges import Range
    from .reassembly import Reassembly

#: SACK blocks that fit a header without and with timestamps.
_BLOCKS: Final = (4, 3)
#: How long an option's beginning, with what pads it, and a block are, in bytes.
_HEAD: Final = 4
_BLOCK: Final = 8
#: With so many blocks, an ACK that waits is sent before another one begins (as on Linux).
_EXPECTED: Final = 2


def early(c: Connection, reassembly: Reassembly, start: int, end: int) -> None:
    """``start`` to ``end`` arrived before their turn: acknowledge at once (RFC 5681 §4.2).

    Segments that continue each other are told together; but before the blocks become too many for one ACK, those there
    are must have been told.
    """
    if reassembly.repeated is not None and c.tcp.settings.dsack:
        c.dsack = reassembly.repeated  # RFC 2883 §4.2
        if end == c.fin_seq == c.dsack[1]:
            c.dsack = c.dsack[0], end + 1  # the FIN had come, too
    if reassembly.untold and reassembly.place(start, end) >= _EXPECTED:
        output.acknowledge(c)
    reassembly.told(start, end)
    c.telling = reassembly.untold = True


def again(c: Connection, start: int, end: int) -> None:
    """``start`` to ``end`` arrived when they had been acknowledged already (RFC 2883 §4.1)."""
    if c.sack and c.tcp.settings.dsack:
        c.dsack = (start, end)
        c.telling = True


def _with_fin(latest: list[Range], fin: int) -> list[Range]:
    """The blocks, and in them the number of a FIN that arrived early: it is part of what its segment brought."""
    if any(end == fin for _, end in latest):
        return [(start, end + (end == fin)) for start, end in latest]
    return [(fin, fin + 1), *latest]


def size(c: Connection) -> int:
    """How long the option with the blocks of the next segment would be, padded to whole words; 0 if it has none."""
    count = int(c.dsack is not None)
    if c.reassembly is not None:
        latest = c.reassembly.latest
        count += len(_with_fin(latest, c.fin_seq)) if c.fin_seq >= 0 else len(latest)
    return _HEAD + _BLOCK * min(count, _BLOCKS[c.timestamps]) if count else 0


def blocks(c: Connection) -> list[Range]:
    """The blocks of the ACK that goes out now; a report of what came twice is made once."""
    found = []
    if c.dsack is not None:
        found.append(c.dsack)
    if c.reassembly is not None:
        found += _with_fin(c.reassembly.latest, c.fin_seq) if c.fin_seq >= 0 else c.reassembly.latest
    else:
        c.telling = False
    c.dsack = None
    return found[: _BLOCKS[c.timestamps]]
