"""Who has which port of one protocol on one host: 2^16 ports for each address.

An *owner* is whatever object uses a port: a socket that was bound, a listener, a connection, a connection's remains in
TIME-WAIT. It has one claim at most. Owners that ask for the same (address, port) under the same conditions share one
claim, which counts them; so a busy server's ten thousand connections cost its port one claim, and a bind looks at a
few claims whatever the number of connections.

What conflicts is as on Linux: claims on one port whose addresses overlap (they are equal, or one is the wildcard),
unless both owners set SO_REUSEADDR and none of them listens, or both set SO_REUSEPORT.
"""

from __future__ import annotations

import errno
from collections.abc import Hashable
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from .errors import error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from ..net.address import Address

#: Linux's net.ipv4.ip_local_port_range: the first and the last port.
EPHEMERAL = (32768, 60999)
_ANY_PORT: Final = (0, 0)


class _Terms(NamedTuple):
    """What tells the claims on one port apart. ``implicit``: chosen by a connect, which never asked for the port."""

    address: Address
    reuse: bool
    reuseport: bool
    implicit: bool

    def overlaps(self, address: Address) -> bool:
        return self.address == address or not any(address) or not any(self.address)


#: Terms are few and claims many: equal ones are one object.
_agreed = lru_cache(maxsize=1024)(_Terms)
_NOBODY: Final[frozenset[Hashable]] = frozenset()


class _Claim:
    __slots__ = ("listeners", "owners", "port", "terms")

    def __init__(self, port: int, terms: _Terms) -> None:
        self.port = port
        self.terms = terms
        self.owners = 0
        self.listeners = _NOBODY

    def conflicts(self, wanted: _Terms) -> bool:
        terms = self.terms
        if not terms.overlaps(wanted.address) or (wanted.reuseport and terms.reuseport):
            return False
        return not (wanted.reuse and terms.reuse) or bool(self.listeners)


class PortRegistry:
    """The ports of one protocol on one host.

    ``random`` feeds the choice of ephemeral ports (RFC 6056); ``ephemeral`` is their range, first and last.
    """

    def __init__(self, random: Random, ephemeral: tuple[int, int] = EPHEMERAL) -> None:
        self.ephemeral = ephemeral
        self._random = random
        self._secret = random.randbytes(16)
        self._counter = random.getrandbits(16)
        #: The claims on each port: mostly one, so a tuple.
        self._ports: dict[int, tuple[_Claim, ...]] = {}
        self._claims: dict[Hashable, _Claim] = {}

    def __len__(self) -> int:
        """How many owners have a port."""
        return len(self._claims)

    def port_of(self, owner: Hashable) -> int:
        """The owner's port, 0 if it has none."""
        claim = self._claims.get(owner)
        return claim.port if claim else 0

    def bind(
        self,
        address: Address,
        port: int,
        owner: Hashable,
        *,
        reuse: bool = False,
        reuseport: bool = False,
        among: tuple[int, int] = _ANY_PORT,
    ) -> int:
        """Claim a port for ``owner`` and return it; port 0 asks for an ephemeral one, ``among`` these.

        ``address`` is packed, all zeros for the wildcard. Raises OSError EADDRINUSE where the port (or, for port 0,
        every port of the range) conflicts with another claim, EINVAL where the owner has a port already.
        """
        if owner in self._claims:
            raise error(errno.EINVAL)
        terms = _agreed(address, reuse, reuseport, False)
        if port == 0:
            # Two claims that merely tolerate each other do not get the same port unasked.
            strict = _agreed(address, False, False, False)
            port = next((port for port in self._candidates(among) if not self._conflict(port, strict)), 0)
        elif self._conflict(port, terms):
            port = 0
        if port == 0:
            raise error(errno.EADDRINUSE)
        self._join(port, terms, owner)
        return port

    def connect(
        self,
        address: Address,
        remote: tuple[Address, int],
        owner: Hashable,
        taken: Callable[[int], bool],
        *,
        reuse: bool = False,
        among: tuple[int, int] = _ANY_PORT,
    ) -> int:
        """Claim an ephemeral port, ``among`` these, for a connection from ``address`` to ``remote``, and return it.

        Connections share a port as long as they go to different places: ``taken(port)`` says whether the connection
        from there exists. The order is RFC 6056 §3.3.3 (a keyed hash of the addresses, and a counter).
        Raises OSError EADDRNOTAVAIL where no port of the range is left.
        """
        first, last = self._range(among)
        count = last - first + 1
        key = b"%b%b%d" % (address, remote[0], remote[1])
        offset = int.from_bytes(blake2b(key, digest_size=8, key=self._secret).digest())
        for _ in range(count):
            self._counter += 1
            port = first + (offset + self._counter) % count
            if all(claim.terms.implicit for claim in self._ports.get(port, ())) and not taken(port):
                self._join(port, _agreed(address, reuse, False, True), owner)
                return port
        raise error(errno.EADDRNOTAVAIL)

    def share(self, address: Address, port: int, owner: Hashable) -> None:
        """Let ``owner`` use a port that is bound already, on the conditions of whoever bound it (of the claim on this
        very address, or on the wildcard): an accepted connection, or a connection from a bound socket."""
        self._join(port, self._terms_of(address, port), owner)

    def listen(self, address: Address, port: int, owner: Hashable) -> None:
        """Like ``share``, for the listener of a socket that bound the port.

        Raises OSError EADDRINUSE where any other claim conflicts by now: another socket listens, or connections of an
        earlier listener are left and SO_REUSEADDR is not set.
        """
        terms = self._terms_of(address, port)
        for claim in self._ports.get(port, ()):
            if claim.conflicts(terms) and (claim.terms != terms or claim.owners > 1 or claim.listeners):
                raise error(errno.EADDRINUSE)
        self._join(port, terms, owner).listeners |= {owner}

    def amend(
        self,
        owner: Hashable,
        *,
        address: Address | None = None,
        reuse: bool | None = None,
        reuseport: bool | None = None,
    ) -> None:
        """Change the terms of an owner's claim, unconditionally: its socket was connected, or set an option."""
        claim = self._claims[owner]
        terms = _agreed(
            claim.terms.address if address is None else address,
            claim.terms.reuse if reuse is None else reuse,
            claim.terms.reuseport if reuseport is None else reuseport,
            claim.terms.implicit,
        )
        self.release(owner)
        self._join(claim.port, terms, owner)

    def hold(self, owner: Hashable, heir: Hashable) -> None:
        """Hand an owner's claim on: what is left of a connection in TIME-WAIT still holds its port, so that a bind
        without SO_REUSEADDR fails until the heir is released (RFC 9293 §3.6.1)."""
        claim = self._claims.pop(owner)
        self._claims[heir] = claim

    def release(self, owner: Hashable) -> None:
        """The owner needs its port no longer. An owner without a claim: nothing happens."""
        claim = self._claims.pop(owner, None)
        if claim is None:
            return
        claim.owners -= 1
        if owner in claim.listeners:
            claim.listeners -= {owner}
        if claim.owners == 0:
            others = tuple(other for other in self._ports[claim.port] if other is not claim)
            if others:
                self._ports[claim.port] = others
            else:
                del self._ports[claim.port]

    def _range(self, among: tuple[int, int]) -> tuple[int, int]:
        """The first and the last ephemeral port for an owner who has a range of his own: as on Linux an end of that
        counts only if it lies within the host's."""
        first, last = self.ephemeral
        return (among[0] if first <= among[0] <= last else first), (among[1] if first <= among[1] <= last else last)

    def _candidates(self, among: tuple[int, int]) -> Iterator[int]:
        """Every port of the range once, from a random one on (RFC 6056 §3.3.2)."""
        first, last = self._range(among)
        count = last - first + 1
        start = self._random.randrange(count)
        for step in range(count):
            yield first + (start + step) % count

    def _conflict(self, port: int, terms: _Terms) -> bool:
        return any(claim.conflicts(terms) for claim in self._ports.get(port, ()))

    def _terms_of(self, address: Address, port: int) -> _Terms:
        found = _agreed(address, False, False, False)
        for claim in self._ports.get(port, ()):
            terms = claim.terms
            if terms.address == address:
                return terms
            if not any(terms.address):
                found = _agreed(address, *terms[1:])
        return found

    def _join(self, port: int, terms: _Terms, owner: Hashable) -> _Claim:
        claims = self._ports.get(port, ())
        claim = next((claim for claim in claims if claim.terms == terms), None)
        if claim is None:
            claim = _Claim(port, terms)
            self._ports[port] = (*claims, claim)
        claim.owners += 1
        self._claims[owner] = claim
        return claim
