"""TCP Fast Open (RFC 7413): data in the SYN, for a client that has shown before that it can be reached at its address.

The proof is a cookie that the server has given it: a keyed hash of the two addresses, so the server remembers nothing.
The hash is SipHash-2-4 over them, as Linux makes it, so that hosts that share a key take each other's cookies.
"""

from __future__ import annotations

from collections import OrderedDict
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from ...net.address import Address

#: Bits of the setting `TcpSettings.fast_open`.
CLIENT: Final = 1
SERVER: Final = 2
CLIENT_WITHOUT_COOKIE: Final = 4
WITHOUT_COOKIE: Final = 0x200
EVERY_LISTENER: Final = 0x400
#: What a client remembers, in servers.
_MAX_SERVERS: Final = 1024
KEY_SIZE: Final = 16
#: What `FastOpen.judge` says of a cookie that was made with the key before.
RENEWED: Final = 2
_WORD: Final = (1 << 64) - 1


class FastOpen:
    """The cookies of one host: those it gives, and those it was given."""

    __slots__ = ("_keys", "_servers")

    def __init__(self, random: Random) -> None:
        self._keys: Sequence[bytes] = (random.randbytes(KEY_SIZE),)
        self._servers: OrderedDict[Address, tuple[bytes, int]] = OrderedDict()

    def set_key(self, *keys: bytes) -> None:
        """Give cookies with this key, of 16 bytes, instead of a random one; a second key is one that was in use before,
        with which cookies are still good. Raises ValueError for another length."""
        for key in keys:
            if len(key) != KEY_SIZE:
                raise ValueError(f"a Fast Open key has {KEY_SIZE} bytes, not {len(key)}")
        self._keys = keys

    def cookie(self, client: Address, server: Address, keys: Sequence[bytes] = ()) -> bytes:
        """The cookie that ``client`` gets from ``server``, an address of ours (RFC 7413 §4.1.2), with a listener's own
        ``keys`` if it has any."""
        return _cookie((keys or self._keys)[0], client, server)

    def judge(self, cookie: bytes, client: Address, server: Address, keys: Sequence[bytes] = ()) -> int:
        """0: the cookie is not good, 1: it is, 2: it was made with the key before, and is to be replaced."""
        for number, key in enumerate(keys or self._keys, 1):
            if compare_digest(cookie, _cookie(key, client, server)):
                return number
        return 0

    def remember(self, server: Address, cookie: bytes, mss: int) -> None:
        """A server has given us a cookie, and said how long a segment it takes (RFC 7413 §4.1.3)."""
        self._servers[server] = (cookie, mss)
        self._servers.move_to_end(server)
        if len(self._servers) > _MAX_SERVERS:
            self._servers.popitem(last=False)

    def recall(self, server: Address) -> tuple[bytes, int] | None:
        """The cookie for a server, and its MSS; None if it has given none."""
        return self._servers.get(server)

    def forget(self, server: Address) -> None:
        """A SYN with data got no answer: something on the way may not like it (RFC 7413 §4.1.3.1)."""
        self._servers.pop(server, None)


def _cookie(key: bytes, client: Address, server: Address) -> bytes:
    return siphash(key, client + server).to_bytes(8, "little")


def siphash(key: bytes, data: bytes) -> int:
    """SipHash-2-4: a short keyed hash whose key its values do not tell."""
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
