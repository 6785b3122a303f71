"""Impairments: links around links that treat some of the packets sent through them badly.

Each is an action; which packets it befalls is up to ``picks``, called once with each packet: chance (`link.chance`), or
any exact predicate. A packet must not be changed by ``picks``. What is received passes: the other direction is the
other end's to impair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .around import Around
from .checksum import complete_checksum
from .inbox import arrival
from .packet import PARTIAL, Packet

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from .link import Link
    from .scheduler import Scheduler

#: Of the Ethernet header, which the type field ends.
_HEADER_SIZE = 14
_ARP = b"\x08\x06"


class Impairment(Around):
    """What all impairments are: ``count`` says how many packets were picked."""

    __slots__ = ("count", "picks")

    def __init__(self, link: Link, picks: Callable[[Packet], bool]) -> None:
        super().__init__(link)
        self.picks = picks
        self.count = 0

    def send_packet(self, packet: Packet) -> None:
        """Send a packet, or do what this impairment does to it."""
        if self.picks(packet):
            self.count += 1
            self.impair(packet)
        else:
            self.link.send_packet(packet)

    def impair(self, packet: Packet) -> None:
        """Do it."""
        raise NotImplementedError


class Drop(Impairment):
    """Loses packets."""

    __slots__ = ()

    def impair(self, packet: Packet) -> None:
        """Nothing is left to do."""


class Duplicate(Impairment):
    """Sends packets twice."""

    __slots__ = ()

    def impair(self, packet: Packet) -> None:
        """Send it, and once more."""
        again = arrival(packet)
        self.link.send_packet(packet)
        self.link.send_packet(again)


class Delay(Impairment):
    """Holds packets back for ``seconds``; those behind pass them, so this is also what reorders."""

    __slots__ = ("_scheduler", "seconds")

    def __init__(self, link: Link, picks: Callable[[Packet], bool], scheduler: Scheduler, seconds: float) -> None:
        super().__init__(link, picks)
        self._scheduler = scheduler
        self.seconds = seconds

    def impair(self, packet: Packet) -> None:
        """Send it later, as it is now."""
        held = arrival(packet)
        self._scheduler.call_later(self.seconds, lambda: self.link.send_packet(held))


class Rewrite(Impairment):
    """Changes packets: ``change`` gets the frame, its checksum finished, and returns what to send instead.

    Receivers verify the checksum of the result, so what `change` does not hide by a new one will be noticed.
    """

    __slots__ = ("_change",)

    def __init__(
        self, link: Link, picks: Callable[[Packet], bool], change: Callable[[bytearray], bytes | bytearray]
    ) -> None:
        super().__init__(link, picks)
        self._change = change

    def impair(self, packet: Packet) -> None:
        """Send what ``change`` makes of it."""
        frame = bytearray().join(packet.buffers)
        if packet.checksum == PARTIAL:
            complete_checksum(frame, packet.checksum_start, packet.checksum_offset)
        changed = Packet([bytes(self._change(frame))])
        changed.segment_size = packet.segment_size
        self.link.send_packet(changed)


def flip_bit(random: Random) -> Callable[[bytearray], bytearray]:
    """A `Rewrite` that corrupts: one bit behind the Ethernet header is flipped.

    ARP is spared: it has no checksum, so what would be an error of one packet elsewhere would poison a neighbor's
    entry for minutes.
    """

    def flip(frame: bytearray) -> bytearray:
        if len(frame) > _HEADER_SIZE and frame[12:14] != _ARP:
            bit = random.randrange(_HEADER_SIZE * 8, len(frame) * 8)
            frame[bit >> 3] ^= 0x80 >> (bit & 7)
        return frame

    return flip
