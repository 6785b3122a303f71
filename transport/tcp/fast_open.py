"""TCP Fast Open (RFC 7413): what a host knows for it; early.py has what connections do with it.

Data in a SYN are taken from a client that has shown before that it can be reached at its address. The proof is a
cookie that the server has given it: a keyed hash of the two addresses, so the server remembers nothing. The hash is
SipHash-2-4 over them, as Linux makes it, so that hosts that share a key take each other's cookies.
"""

from __future__ import annotations

from collections import OrderedDict
from hmac import compare_digest
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from .siphash import siphash

if TYPE_CHECKING:
    from random import Random

    from ...net.address import Address

#: Bits of the setting `TcpSettings.fast_open`.
CLIENT: Final = 1
SERVER: Final = 2
CLIENT_WITHOUT_COOKIE: Final = 4
WITHOUT_COOKIE: Final = 0x200
EVERY_LISTENER: Final = 0x400
KEY_SIZE: Final = 16
#: What a client remembers, in servers.
_MAX_SERVERS: Final = 1024
#: Each black hole after the first doubles the pause, so often at most.
_MAX_DOUBLINGS: Final = 6


class Known(NamedTuple):
    """What a client knows of a server: its cookie, empty for none, its MSS in bytes, and which form of the option it
    gave the cookie in, or is to be asked for one in next time (RFC 7413 §4.1.1, appendix A)."""

    cookie: bytes
    mss: int
    experimental: bool = False
    #: Forms in which it was asked for a cookie and gave none: 1 the standard one, 2 the experimental one too.
    tried: int = 0


class FastOpen:
    """The cookies of one host: those it gives, and those it was given."""

    __slots__ = ("_paused_at", "_pauses", "_random", "_servers", "keys")

    def __init__(self, random: Random) -> None:
        self._random = random
        #: What cookies are made with: the first for those that are given, a second one for those that are still good.
        #: There are none before the first cookie.
        self.keys: tuple[bytes, ...] = ()
        self._servers: OrderedDict[Address, Known] = OrderedDict()
        self._pauses = 0
        self._paused_at = -inf

    def set_key(self, key: bytes, backup: bytes = b"") -> None:
        """Give cookies with this key, of 16 bytes, instead of a random one, and take those of ``backup`` too. Raises
        ValueError for another length."""
        keys = (key, backup) if backup else (key,)
        for one in keys:
            if len(one) != KEY_SIZE:
                raise ValueError(f"a Fast Open key has {KEY_SIZE} bytes, not {len(one)}")
        self.keys = keys

    def cookie(self, client: Address, server: Address, keys: tuple[bytes, ...] = ()) -> bytes:
        """The cookie that ``client`` gets from ``server``, an address of ours (RFC 7413 §4.1.2). ``keys``: those of the
        listener, if it has its own."""
        if not keys and not self.keys:
            self.keys = (self._random.randbytes(KEY_SIZE),)
        return _make((keys or self.keys)[0], client + server)

    def judge(self, cookie: bytes, client: Address, server: Address, keys: tuple[bytes, ...] = ()) -> int:
        """The number of the key that a cookie was made with, from 1 on; 0: it is not good."""
        for number, key in enumerate(keys or self.keys, 1):
            if compare_digest(cookie, _make(key, client + server)):
                return number
        return 0

    def remember(
        self, server: Address, mss: int, cookie: bytes = b"", *, experimental: bool = False, tried: int = 0
    ) -> None:
        """A server has answered our SYN: how long a segment it takes, its cookie if it gave one (RFC 7413 §4.1.3),
        else ``tried``, the forms in which it was asked in vain."""
        known = self._servers.get(server)
        if cookie:
            known = Known(cookie, mss, experimental)
        elif known is None or not known.cookie:
            known = Known(b"", mss, tried == 1, max(tried, known.tried if known else 0))
        else:
            known = known._replace(mss=mss)
        self._servers[server] = known
        self._servers.move_to_end(server)
        if len(self._servers) > _MAX_SERVERS:
            self._servers.popitem(last=False)

    def recall(self, server: Address) -> Known | None:
        """What is known of a server; None if it has never answered."""
        return self._servers.get(server)

    def pause(self, now: float) -> None:
        """A connection opened so hears nothing: something on the way may not like it (RFC 7413 §7.1, §7.2)."""
        self._pauses += 1
        self._paused_at = now

    def resume(self) -> None:
        """Such a connection works."""
        self._pauses = 0

    def paused(self, now: float, first: float) -> bool:
        """Whether SYNs are to be ordinary ones for now. ``first``: how long the first pause lasts, in seconds."""
        length = first * (1 << min(self._pauses - 1, _MAX_DOUBLINGS)) if self._pauses else 0
        return now < self._paused_at + length


def _make(key: bytes, addresses: bytes) -> bytes:
    return siphash(key, addresses).to_bytes(8, "little")
