"""SYN cookies (RFC 4987 §3.6 and appendix A): handshakes that need no memory, for when the queue for them is full.

What there is to remember of a SYN goes into the initial sequence number of the answer, and comes back in the last ACK
of the handshake: 5 bits of a slow clock, 3 bits for the MSS, 24 bits of a keyed hash over both and the addresses. The
window scale, and whether the peer knows SACK and ECN, go into the lowest bits of our timestamp, if it has timestamps.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from .options import Options
from .sequence import MASK

if TYPE_CHECKING:
    from random import Random

#: The clock's tick, in seconds, and how many of them a cookie lasts.
_TICK: Final = 64
_LIFE: Final = 2
#: The setting that has every SYN answered with a cookie.
ALWAYS: Final = 2
#: Seconds after the last cookie was given in which one may come back.
LIFETIME: Final = _TICK * (_LIFE + 1)
#: The MSS is rounded down to one of these, as common on the Internet.
_SIZES: Final = (64, 512, 536, 1300, 1440, 1460)
_SHIFT_BITS: Final = 0xF
_NO_SHIFT: Final = 0xF
_SACK_BIT: Final = 0x10
_ECN_BIT: Final = 0x20
_STATE_BITS: Final = 0x3F


class SynCookies:
    """The cookies of one host."""

    __slots__ = ("_secret",)

    def __init__(self, random: Random) -> None:
        self._secret = random.randbytes(32)

    def make(self, key: bytes, irs: int, mss: int, now: float) -> int:
        """The initial sequence number that answers a SYN numbered ``irs`` (as on the wire) from the peer of ``key``."""
        tick = int(now) // _TICK
        index = max(bisect_right(_SIZES, mss) - 1, 0)
        return self._number(key, irs, index, tick)

    def check(self, key: bytes, irs: int, iss: int, now: float) -> int:
        """The MSS in a cookie that came back, in bytes; 0 if it is none of ours or too old."""
        latest = int(now) // _TICK
        tick = latest - (latest - (iss >> 27) & 0x1F)
        index = iss >> 24 & 7
        if latest - tick > _LIFE or self._number(key, irs, index, tick) != iss:
            return 0
        return _SIZES[index] if index < len(_SIZES) else 0

    def _number(self, key: bytes, irs: int, index: int, tick: int) -> int:
        digest = blake2b(key + irs.to_bytes(4) + bytes((index,)) + tick.to_bytes(8), digest_size=3, key=self._secret)
        return (tick & 0x1F) << 27 | index << 24 | int.from_bytes(digest.digest())


def put_state(timestamp: int, options: Options, *, ecn: bool) -> int:
    """Our timestamp with the options of a SYN in its lowest bits, ECN among them; it is never later than it was."""
    state = (_NO_SHIFT if options.window_shift is None else options.window_shift) | _SACK_BIT * options.sack_permitted
    state |= _ECN_BIT * ecn
    marked = timestamp & ~_STATE_BITS | state
    return (marked if marked <= timestamp else marked - _STATE_BITS - 1) & MASK


def take_state(mss: int, timestamp: int | None, echo: int) -> Options:
    """The options of the SYN, from what comes back: the MSS, and the peer's timestamp and its echo of ours."""
    options = Options()
    options.mss = mss
    if timestamp is not None:
        options.timestamp = timestamp
        shift = echo & _SHIFT_BITS
        options.window_shift = None if shift == _NO_SHIFT else shift
        options.sack_permitted = bool(echo & _SACK_BIT)
    return options


def had_ecn(echo: int) -> bool:
    """Whether ECN was agreed upon, from the peer's echo of our timestamp."""
    return bool(echo & _ECN_BIT)
