"""Echo requests of this host, and what becomes of them (RFC 792)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple

from ..link.packet import VERIFIED, Packet
from .checksum import checksum
from .failure import Failure
from .protocols import ICMP

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..link.scheduler import Timer
    from .address import Address
    from .internet import Internet

_ECHO_REQUEST: Final = b"\x08\x00"
_HEADER_SIZE: Final = 8


class EchoReply(NamedTuple):
    """The answer to an echo request."""

    source: Address
    #: Seconds from request to reply, on the host's clock.
    rtt: float
    #: As the reply arrived with it.
    hop_limit: int
    #: Of the data, in bytes.
    size: int
    sequence: int


class Ping:
    """One echo request that waits for its reply."""

    __slots__ = ("_pings", "callback", "destination", "sent", "sequence", "source", "timer")

    def __init__(self, pings: Pings, sequence: int, callback: Callable[[EchoReply | Failure], object]) -> None:
        self._pings = pings
        self.sequence = sequence
        self.callback = callback
        self.source: Address = b""
        self.destination: Address = b""
        self.sent = 0.0
        self.timer: Timer | None = None

    def cancel(self) -> None:
        """Do not call back any more."""
        self._pings.forget(self)


class Pings:
    """The echo requests of one host that wait, under one identifier, by sequence number."""

    def __init__(self, internet: Internet) -> None:
        self._internet = internet
        self.identifier = internet.random.getrandbits(16)
        self._sequence = 0
        self._waiting: dict[int, Ping] = {}

    def ping(
        self,
        destination: Address,
        callback: Callable[[EchoReply | Failure], object],
        *,
        source: Address | None = None,
        size: int = 56,
        timeout: float = 4.0,
        hop_limit: int = 64,
        dont_fragment: bool = False,
    ) -> Ping:
        """Send one echo request with ``size`` bytes of data; what comes of it is told to ``callback``, once.

        After ``timeout`` seconds that is a `Failure` with ETIMEDOUT, after an ICMP error one with its errno.
        Raises OSError as `Internet.path` and `Path.send` do.
        """
        internet = self._internet
        path = internet.path(destination, source)
        self._sequence = (self._sequence + 1) & 0xFFFF
        ping = Ping(self, self._sequence, callback)
        ping.source, ping.destination, ping.sent = path.source, destination, internet.scheduler.now
        if ping.sequence in self._waiting:
            self.forget(self._waiting[ping.sequence])
        self._waiting[ping.sequence] = ping
        ping.timer = internet.scheduler.call_later(timeout, lambda: self._expired(ping))
        try:
            path.send(self._request(ping.sequence, size), ICMP, hop_limit=hop_limit, dont_fragment=dont_fragment)
        except OSError:
            self.forget(ping)
            raise
        return ping

    def forget(self, ping: Ping) -> None:
        """Do not wait for this one any more."""
        if self._waiting.get(ping.sequence) is ping:
            del self._waiting[ping.sequence]
        if ping.timer is not None:
            ping.timer.cancel()

    def receive(self, packet: Packet, identifier: int, sequence: int) -> None:
        """Take an echo reply; one that nobody waits for is counted."""
        ping = self._waiting.get(sequence) if identifier == self.identifier else None
        if ping is None or (ping.destination != packet.source and not self._to_many(ping.destination)):
            self._internet.counters["icmp.unexpected_reply"] += 1
            return
        self.forget(ping)
        rtt = self._internet.scheduler.now - ping.sent
        ping.callback(EchoReply(packet.source, rtt, packet.hop_limit, len(packet) - _HEADER_SIZE, sequence))

    def receive_failure(self, failure: Failure) -> None:
        """An ICMP message of ours failed: if it was an echo request that waits, that is its result."""
        ping = self._quoted(failure.destination, failure.quote)
        if ping is not None:
            self.forget(ping)
            ping.callback(failure)

    def vouches(self, destination: Address, quote: bytes) -> bool:
        """Whether what an ICMP error quotes is an echo request that waits."""
        return self._quoted(destination, quote) is not None

    def _quoted(self, destination: Address, quote: bytes) -> Ping | None:
        ping = self._waiting.get(int.from_bytes(quote[6:8]))
        ours = quote[:2] == _ECHO_REQUEST and int.from_bytes(quote[4:6]) == self.identifier
        return ping if ping is not None and ours and destination == ping.destination else None

    def _expired(self, ping: Ping) -> None:
        self.forget(ping)
        ping.callback(Failure(errno.ETIMEDOUT, False, ping.source, ping.destination, b""))

    def _request(self, sequence: int, size: int) -> Packet:
        data = bytes(range(256)) * (size // 256 + 1)
        rest = self.identifier.to_bytes(2) + sequence.to_bytes(2) + data[:size]
        total = checksum([_ECHO_REQUEST, b"\0\0", rest])
        return Packet([_ECHO_REQUEST + total.to_bytes(2) + rest], checksum=VERIFIED)

    def _to_many(self, address: Address) -> bool:
        return self._internet.is_broadcast(address) or address[0] & 0xF0 == 0xE0
