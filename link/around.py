"""A link around a link: passes everything through. What changes or watches packets on their way builds on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .link import Link, Offloads
    from .packet import Packet


class Around:
    """Stands for ``link`` in every respect; a subclass overrides what it does differently."""

    __slots__ = ("link",)

    def __init__(self, link: Link) -> None:
        self.link: Any = link

    def send_packet(self, packet: Packet) -> None:
        """Send a frame."""
        self.link.send_packet(packet)

    def receive_packet(self) -> Packet | None:
        """The link's next frame. Raises OSError (ENETDOWN) as the link does."""
        packet: Packet | None = self.link.receive_packet()
        return packet

    def fileno(self) -> int:
        """The link's descriptor."""
        descriptor: int = self.link.fileno()
        return descriptor

    def close(self) -> None:
        """Close the link."""
        self.link.close()

    @property
    def mtu(self) -> int:
        """The link's."""
        mtu: int = self.link.mtu
        return mtu

    @property
    def address(self) -> bytes | None:
        """The link's."""
        address: bytes | None = self.link.address
        return address

    @property
    def offloads(self) -> Offloads:
        """The link's."""
        offloads: Offloads = self.link.offloads
        return offloads

    @property
    def observer(self) -> Callable[[], object] | None:
        """The link's; no attribute where the link has none."""
        observer: Callable[[], object] | None = self.link.observer
        return observer

    @observer.setter
    def observer(self, observer: Callable[[], object] | None) -> None:
        self.link.observer = observer

    def __getattr__(self, name: str) -> Any:
        """What else the link has: its name, its counters."""
        return getattr(self.link, name)
