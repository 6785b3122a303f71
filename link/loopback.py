"""The loopback interface: what a host sends here, it receives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .inbox import Inbox, arrival
from .link import EVERY_OFFLOAD

if TYPE_CHECKING:
    from .packet import Packet


class Loopback(Inbox):
    """A link from a host to itself: bare IP packets, never checksummed or segmented, since no wire is involved."""

    __slots__ = ("mtu",)

    address: Final = None
    offloads: Final = EVERY_OFFLOAD

    def __init__(self, *, mtu: int = 65536, capacity: int = 1000) -> None:
        super().__init__(capacity)
        self.mtu = mtu

    def send_packet(self, packet: Packet) -> None:
        """Send a packet to its sender."""
        self._arrive(arrival(packet))
