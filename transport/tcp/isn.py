"""Initial sequence numbers that cannot be guessed (RFC 6528), and timestamp offsets likewise (RFC 7323 §5.4)."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from .sequence import MASK

if TYPE_CHECKING:
    from random import Random


class InitialNumbers:
    """ISN = M + F(addresses and ports, secret): M ticks every 4 µs, F is a keyed hash (RFC 6528 §3).

    So the numbers of one address pair grow with time, and those of different pairs have nothing to do with each other.
    """

    __slots__ = ("_secret",)

    def __init__(self, random: Random) -> None:
        self._secret = random.randbytes(32)

    def choose(self, key: bytes, now: float) -> tuple[int, int]:
        """The initial sequence number and the timestamp offset of the connection that ``key`` stands for."""
        digest = blake2b(key, digest_size=8, key=self._secret).digest()
        number = int.from_bytes(digest[:4]) + int(now * 250_000)
        return number & MASK, int.from_bytes(digest[4:])

    def spread(self, key: bytes, count: int) -> int:
        """A number below ``count`` for an address pair, always the same one."""
        return int.from_bytes(blake2b(key, digest_size=4, key=self._secret, person=b"spread").digest()) * count >> 32
