"""What went wrong with a datagram that this host sent, as a transport is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .address import Address


class Failure(NamedTuple):
    """An ICMP error about a datagram of ours (RFC 1122 §3.2.2), or our own finding that it could not be delivered."""

    #: As Linux maps the ICMP type and code: ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE, EPROTO …
    errno: int
    #: Whether trying again is pointless: protocol or port unreachable, prohibited (RFC 1122 §4.2.3.9).
    hard: bool
    #: Of the datagram that failed: who sent it (an address of this host), and to whom.
    source: Address
    destination: Address
    #: The start of that datagram, from its transport header on; at least 8 bytes if an ICMP error brought it.
    quote: bytes
    #: For EMSGSIZE the size in bytes that would pass (RFC 1191), else 0.
    mtu: int = 0
    #: Who reported it; None if this host found out by itself.
    reporter: Address | None = None
    #: Type and code of the ICMP error, 0 if there was none.
    kind: int = 0
    code: int = 0
