"""An end of a simulated wire, as the host or switch there sees it: it stays while impairments come and go behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...link.around import Around

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...link.capture import PcapFile
    from ...link.impairment import Impairment
    from ...link.packet import Packet
    from ...link.wire import WireEnd


class Port(Around):
    """A link around a wire's end, with a changeable row of impairments between the two."""

    __slots__ = ("_row", "_send", "recorder")

    def __init__(self, end: WireEnd) -> None:
        super().__init__(end)
        self._row: list[tuple[int, Impairment]] = []
        self._send: Callable[[Packet], None] = end.send_packet
        #: Where frames that arrive here are recorded.
        self.recorder: PcapFile | None = None

    def send_packet(self, packet: Packet) -> None:
        """Send a frame through the impairments."""
        self._send(packet)

    def receive_packet(self) -> Packet | None:
        """The next frame that has arrived."""
        packet: Packet | None = self.link.receive_packet()
        if packet is not None and self.recorder is not None:
            self.recorder.record(packet)
        return packet

    def add(self, stage: int, impairment: Impairment) -> None:
        """Put an impairment in the row: behind those of lower or equal stage, before those of higher."""
        self._row.append((stage, impairment))
        self._row.sort(key=lambda entry: entry[0])
        self._connect()

    def remove(self, impairment: Impairment) -> None:
        """Take an impairment out of the row; harmless if it is not there."""
        self._row = [entry for entry in self._row if entry[1] is not impairment]
        self._connect()

    def discard(self) -> None:
        """Lose what has arrived: nobody is there to take it."""
        while self.link.receive_packet() is not None:
            self.link.counters["host_down"] += 1

    def _connect(self) -> None:
        links = [impairment for _, impairment in self._row]
        for impairment, behind in zip(links, [*links[1:], self.link], strict=False):
            impairment.link = behind
        self._send = links[0].send_packet if links else self.link.send_packet
