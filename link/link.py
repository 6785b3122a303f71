"""The link interface: what the net floor knows about any link."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from .packet import Packet


class Offloads(IntFlag):
    """What a link does for the host with packets that the host sends."""

    NONE = 0
    #: Completes PARTIAL transport checksums.
    CHECKSUM = 1
    #: Cuts an IPv4 TCP packet of up to 64 KB into segments of ``Packet.segment_size``.
    TSO4 = 2
    #: The same for IPv6.
    TSO6 = 4


EVERY_OFFLOAD: Final = Offloads.CHECKSUM | Offloads.TSO4 | Offloads.TSO6


@runtime_checkable
class Link(Protocol):
    """Frames to and from one subnet.

    A link with an ``address`` (six bytes) carries Ethernet II frames, and a packet given to ``send_packet`` starts with
    the Ethernet header. A link whose ``address`` is None is point to point and carries bare IP packets.
    Links that wrap a link are links themselves; a floor above never asks which link it has.
    """

    @property
    def mtu(self) -> int:
        """The largest network-layer packet, in bytes (without the Ethernet header)."""

    @property
    def address(self) -> bytes | None:
        """The link-layer address, or None where the link has none."""

    @property
    def offloads(self) -> Offloads: ...

    def send_packet(self, packet: Packet) -> None:
        """Send a whole frame; a frame that the link cannot take now is dropped and counted, as on any wire."""

    def receive_packet(self) -> Packet | None:
        """The next frame that has arrived, or None; never blocks. A frame that the link finds broken is counted
        and skipped. Raises OSError only when the link itself is gone (ENETDOWN)."""

    def fileno(self) -> int:
        """The descriptor to wait on, or -1 for a link that lives in memory."""

    def close(self) -> None: ...
