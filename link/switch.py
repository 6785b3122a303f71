"""A learning switch (IEEE 802.1D §7): frames go where their destination was last heard, or else everywhere.

There is no spanning tree: switches must be connected without loops.
"""

from __future__ import annotations

from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .link import Link
    from .packet import Packet

#: How long an address is believed to be where it was heard, in seconds (IEEE 802.1D §7.9.2).
AGEING_TIME: Final = 300.0
#: Addresses that are remembered; the longest unheard make room.
MAX_ADDRESSES: Final = 8192
_MULTICAST: Final = 1
#: Frames that are taken from a link with a descriptor before all else has its turn.
BATCH: Final = 64


class Switch:
    """Any number of Ethernet links, joined to one subnet. ``now`` tells the time in seconds."""

    __slots__ = ("_heard", "_now", "ports")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.ports: list[Any] = []
        #: Where and when each station was heard.
        self._heard: dict[bytes, tuple[Any, float]] = {}

    def attach(self, link: Link) -> Callable[[], None]:
        """Make a link one of the ports. What is returned serves it: takes the frames that wait there.

        A link in memory calls that by itself (it becomes the ``observer``); one with a descriptor has to be watched,
        and is served a batch at a time, since more may come all the while.
        """
        self.ports.append(link)
        in_memory = link.fileno() < 0
        serve = partial(self._serve, link, repeat(None) if in_memory else range(BATCH))
        if in_memory:
            link.observer = serve  # type: ignore[attr-defined]
        return serve

    def detach(self, link: Link) -> None:
        """Take a port away, and forget who is behind it."""
        self.ports.remove(link)
        self._heard = {address: place for address, place in self._heard.items() if place[0] is not link}

    def forward(self, link: Link, packet: Packet) -> None:
        """Pass on a frame that came in over ``link``, one of the ports."""
        frame: Any = packet.buffers[0]  # bytes, as of every packet that was received
        now = self._now()
        self._learn(frame[6:12], link, now)
        place = self._heard.get(frame[:6])
        if place is None or now - place[1] > AGEING_TIME:
            for port in self.ports:
                if port is not link:
                    port.send_packet(packet)
        elif place[0] is not link:
            place[0].send_packet(packet)

    def _serve(self, link: Link, turns: Iterable[object]) -> None:
        for _ in turns:
            packet = link.receive_packet()
            if packet is None:
                break
            self.forward(link, packet)

    def _learn(self, station: bytes, link: Link, now: float) -> None:
        if len(station) < 6 or station[0] & _MULTICAST:
            return
        heard = self._heard
        # Out and in again: the dictionary stays in the order in which stations were last heard.
        if heard.pop(station, None) is None and len(heard) >= MAX_ADDRESSES:
            del heard[next(iter(heard))]
        heard[station] = link, now
