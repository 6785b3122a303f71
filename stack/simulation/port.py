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
    """A link around a wire's end, with a changeable row of impairments between the two.

    What arrives is not kept: it is for whoever `hand_to` names.
    """

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

    def hand_to(self, receive: Callable[[Packet], object], *recorders: PcapFile) -> None:
        """Hand each frame to ``receive`` as it arrives, after ``recorders`` and the port's own have recorded it."""
        files = recorders if self.recorder is None else (self.recorder, *recorders)

        def record(packet: Packet) -> None:
            for file in files:
                file.record(packet)
            receive(packet)

        self.link.taker = record if files else receive

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
        """Lose what arrives from now on: nobody is there to take it."""
        self.link.taker = self._lose

    def _lose(self, packet: Packet) -> None:
        self.link.counters["host_down"] += 1

    def _connect(self) -> None:
        links = [impairment for _, impairment in self._row]
        for impairment, behind in zip(links, [*links[1:], self.link], strict=False):
            impairment.link = behind
        self._send = links[0].send_packet if links else self.link.send_packet
