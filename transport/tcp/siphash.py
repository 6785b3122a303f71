"""SipHash-2-4: a short keyed hash whose values do not tell the key."""

from __future__ import annotations

from typing import Final

_WORD: Final = (1 << 64) - 1


def siphash(key: bytes, data: bytes) -> int:
    """The hash of ``data``, 64 bits; ``key`` has 16 bytes."""
    first, second = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = (
        first ^ 0x736F6D6570736575,
        second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261,
        second ^ 0x7465646279746573,
    )
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        a, b, c, d = _round(*_round(v[0], v[1], v[2], v[3] ^ word))
        v = a ^ word, b, c, d
    v = v[0], v[1], v[2] ^ 0xFF, v[3]
    for _ in range(4):
        v = _round(*v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a = (a + b) & _WORD
    b = _rotate(b, 13) ^ a
    a = _rotate(a, 32)
    c = (c + d) & _WORD
    d = _rotate(d, 16) ^ c
    a = (a + d) & _WORD
    d = _rotate(d, 21) ^ a
    c = (c + b) & _WORD
    b = _rotate(b, 17) ^ c
    return a, b, _rotate(c, 32), d


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _WORD
