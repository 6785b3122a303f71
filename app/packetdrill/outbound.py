"""Comparing what the stack sends with what the script expects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .errors import Mismatch
from .flows import ip_info
from .syntax import TcpOption, TcpPacket
from .wire import flag_bits, flag_letters

if TYPE_CHECKING:
    from collections.abc import Callable

    from .configuration import Configuration
    from .flows import Flow, Flows
    from .machine import Machine
    from .wire import Datagram, Segment

#: Flags of which a segment can stand for its neighbors only where its own bytes are.
_SINGLE: Final = flag_bits("SFR")
#: The flag that only the first has of several segments that an interface cuts from one (RFC 3168 §6.1.2).
_FIRST: Final = flag_bits("W")
#: Flags that only the last has of several segments that an interface cuts from one.
_LAST: Final = flag_bits("FP")
#: How long a packet that did not come in time is waited for, only to tell, in seconds.
_LOOK_AHEAD: Final = 5.0


class Outbound:
    """The stack's packets, as the script asks for them one after another."""

    def __init__(
        self, machine: Machine, flows: Flows, configuration: Configuration, remark: Callable[[str], object]
    ) -> None:
        self._machine = machine
        self._remark = remark
        self._flows = flows
        self._configuration = configuration

    def next(self, fits: Callable[[Datagram], object], deadline: float) -> Datagram | None:
        """The first packet sent and not asked for yet that ``fits``; waits for it up to ``deadline``. Others stay."""
        sent = self._machine.sent
        looked_at = 0

        def found() -> bool:
            nonlocal looked_at
            while looked_at < len(sent):
                if fits(sent[looked_at]):
                    return True
                looked_at += 1
            return False

        self._machine.run(deadline, found)
        if not found():
            return None
        datagram = sent[looked_at]
        del sent[looked_at]
        return datagram

    def match_segment(self, expected: TcpPacket, deadline: float) -> Datagram:
        """Take the segment that ``expected`` describes, which may come in pieces. Returns the first piece.

        Raises Mismatch for another one, and for none until ``deadline``.
        """
        pieces: list[tuple[Flow, Segment]] = []

        def fits(datagram: Datagram) -> bool:
            piece = self._flows.outbound(expected, datagram)
            if piece is not None:
                pieces.append(piece)
            return piece is not None

        first = self.next(fits, deadline)
        if first is None:
            raise self._too_late(expected, self.next(fits, deadline + _LOOK_AHEAD), pieces)
        flow, segment = pieces[-1]
        if self._is_yet_to_be_cut(first, segment, expected):
            segment = self._cut(first, segment, expected.length)
        info = ip_info(first, expected.ip)
        actual = flow.to_script(segment, info, expected)
        while self._goes_on(expected, actual, segment):
            if self.next(fits, deadline) is None:
                break
            segment = pieces[-1][1]
            actual = _joined(actual, flow.to_script(segment, info, expected))
        self._compare(expected, actual)
        return first

    def _is_yet_to_be_cut(self, datagram: Datagram, segment: Segment, expected: TcpPacket) -> bool:
        """Whether the script has the first segments of what the host left to its interface to cut into several."""
        size = datagram.segment_size
        if not size or self._configuration.strict_segments:
            return False
        return 0 < expected.length < segment.length and not expected.length % size

    def _cut(self, datagram: Datagram, segment: Segment, length: int) -> Segment:
        """The first ``length`` bytes of a segment, as the interface would send them; the others are put back."""
        seq, flags = segment.seq + length & 0xFFFFFFFF, segment.flags & ~_FIRST
        rest = replace(segment, seq=seq, length=segment.length - length, flags=flags)
        data = rest.to_bytes(datagram.source, datagram.destination)
        self._machine.sent.appendleft(replace(datagram, data=data))
        return replace(segment, length=length, flags=segment.flags & ~_LAST)

    def _too_late(self, expected: TcpPacket, late: Datagram | None, pieces: list[tuple[Flow, Segment]]) -> Mismatch:
        """Nothing came in time; ``late`` is what came then."""
        if late is None:
            return Mismatch("nothing was sent", str(expected))
        flow, segment = pieces[-1]
        actual = flow.to_script(segment, ip_info(late, expected.ip), expected)
        return Mismatch("nothing was sent in time", str(expected), f"{actual} at {late.time:.6f} s")

    def _goes_on(self, expected: TcpPacket, actual: TcpPacket, last: Segment) -> bool:
        """Whether what was found is the beginning of what is expected."""
        return (
            0 < actual.length < expected.length
            and actual.seq == expected.seq
            and not last.flags & _SINGLE
            and not self._configuration.strict_segments
        )

    def _compare(self, expected: TcpPacket, actual: TcpPacket) -> None:
        differing = [
            name
            for name, same in (
                ("flags", flag_bits(expected.flags) == flag_bits(actual.flags)),
                ("sequence number", expected.seq & 0xFFFFFFFF == actual.seq),
                ("length", expected.length == actual.length),
                ("ack", expected.ack is None or expected.ack & 0xFFFFFFFF == (actual.ack or 0)),
                ("window", expected.window in (None, actual.window)),
                ("urgent pointer", expected.urgent == actual.urgent),
                ("options", self._same_options(expected.options, actual.options or ())),
                ("IP header", expected.ip == actual.ip),
            )
            if not same
        ]
        if differing:
            raise Mismatch(f"another {', '.join(differing)}", str(expected), str(actual))

    def _same_options(self, expected: tuple[TcpOption, ...] | None, actual: tuple[TcpOption, ...]) -> bool:
        if expected is None:
            return True
        return len(expected) == len(actual) and all(map(self._same_option, expected, actual))

    def _same_option(self, expected: TcpOption, actual: TcpOption) -> bool:
        if expected.name != "TS" or actual.name != "TS":
            return expected == actual
        tick = self._configuration.tcp_ts_tick_usecs
        apart = abs(int(expected.values[0]) - int(actual.values[0])) * tick
        if expected.values[1] != actual.values[1]:  # packetdrill does not compare it
            self._remark(f"the echo of a timestamp is {actual.values[1]!r}, not {expected.values[1]!r}")
        return apart <= self._configuration.tolerance_usecs


def _joined(before: TcpPacket, after: TcpPacket) -> TcpPacket:
    """Two segments as one, if the second goes on where the first ends; else the second."""
    if after.seq != before.seq + before.length:
        return after
    flags = flag_letters(flag_bits(before.flags) | flag_bits(after.flags))
    return replace(after, seq=before.seq, length=before.length + after.length, flags=flags)
