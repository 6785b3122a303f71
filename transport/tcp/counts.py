"""What a connection counts for those who look at it (TCP_INFO)."""

from __future__ import annotations


class Counts:
    """Segments as they are on the wire, bytes of payload, and seconds.

    A connection is busy while data are on the way, and held back by the peer while data wait for its window, and by
    its own send buffer while everything in that is on its way and the user waits for room.
    """

    __slots__ = (
        "_busy_since",
        "_held_since",
        "_short_since",
        "busy_time",
        "bytes_resent",
        "data_segments_in",
        "data_segments_out",
        "delivered_marked",
        "held",
        "held_time",
        "reported_twice",
        "segments_in",
        "segments_out",
        "short",
        "short_time",
        "time_outs",
    )

    def __init__(self) -> None:
        self.segments_in = self.data_segments_in = 0
        self.segments_out = self.data_segments_out = 0
        self.bytes_resent = 0
        #: Segments of ours that the peer acknowledged with a sign that packets were marked (RFC 3168: ECE).
        self.delivered_marked = 0
        #: Segments that the peer said had come twice (DSACK).
        self.reported_twice = 0
        #: Retransmission time-outs.
        self.time_outs = 0
        self.busy_time = self._busy_since = 0.0
        self.held = False
        self.held_time = self._held_since = 0.0
        self.short = False
        self.short_time = self._short_since = 0.0

    def begin_busy(self, now: float) -> None:
        self._busy_since = now

    def end_busy(self, now: float) -> None:
        self.busy_time += now - self._busy_since

    def busy_until(self, now: float, *, busy: bool) -> float:
        """The time spent busy, up to now."""
        return self.busy_time + (now - self._busy_since if busy else 0.0)

    def hold(self, held: bool, now: float) -> None:
        """Data wait for the peer's window from now on, or do so no longer."""
        if self.held:
            self.held_time += now - self._held_since
        self.held = held
        self._held_since = now

    def held_until(self, now: float) -> float:
        """The time spent held back, up to now."""
        return self.held_time + (now - self._held_since if self.held else 0.0)

    def run_short(self, short: bool, now: float) -> None:
        """The send buffer is what holds back from now on, or does so no longer."""
        if self.short:
            self.short_time += now - self._short_since
        self.short = short
        self._short_since = now

    def short_until(self, now: float) -> float:
        """The time spent held back by the send buffer, up to now."""
        return self.short_time + (now - self._short_since if self.short else 0.0)
