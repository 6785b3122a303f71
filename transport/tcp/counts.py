"""What a connection counts for those who look at it (TCP_INFO)."""

from __future__ import annotations


class Counts:
    """Segments as they are on the wire, bytes of payload, and seconds.

    A connection is busy while data are on the way or wait, and held back by the peer while data wait for its window,
    and by its own send buffer while everything in that is on its way and the user waits for room.
    """

    __slots__ = (
        "_busy_since",
        "_held_since",
        "_short_since",
        "busy_time",
        "bytes_resent",
        "controls",
        "data_segments_in",
        "data_segments_out",
        "data_segments_resent",
        "data_sent_at",
        "delivered_marked",
        "early_segments",
        "held",
        "held_time",
        "passive",
        "rehashes",
        "reported_twice",
        "segments_in",
        "segments_out",
        "short",
        "short_time",
        "time_out_recoveries",
        "time_out_since",
        "time_out_time",
        "time_outs",
        "told_again",
    )

    def __init__(self) -> None:
        self.segments_in = self.data_segments_in = 0
        self.segments_out = self.data_segments_out = 0
        #: Segments in that came before their turn.
        self.early_segments = 0
        self.data_segments_resent = self.bytes_resent = 0
        #: SYNs and lone FINs, each once; and what segments on the way became more when they became smaller, or fewer
        #: when small ones were sent again as one.
        self.controls = 0
        #: When data were sent last, once a FIN was sent alone; else 0.
        self.data_sent_at = 0.0
        #: A listener made the connection.
        self.passive = False
        #: Segments of ours that the peer acknowledged with a sign that packets were marked (RFC 3168: ECE).
        self.delivered_marked = 0
        #: Segments that the peer said had come twice (DSACK).
        self.reported_twice = 0
        #: Segments that were told to have come twice, or, by a peer that reneged or has no SACK, not to have after all.
        self.told_again = 0
        #: Retransmission time-outs; series of them, and how long those took until an acknowledgment came.
        self.time_outs = self.time_out_recoveries = 0
        #: Those after which Linux asks for another path: all but those of a listener's handshake.
        self.rehashes = 0
        self.time_out_time = 0.0
        self.time_out_since: float | None = None
        self.busy_time = 0.0
        self._busy_since: float | None = None
        self.held = False
        self.held_time = self._held_since = 0.0
        self.short = False
        self.short_time = self._short_since = 0.0

    def timed_out(self, now: float, *, again: bool) -> None:
        self.time_outs += 1
        self.rehashes += 1
        if not again:
            self.time_out_recoveries += 1
            self.time_out_since = now

    def recovered(self, now: float) -> None:
        """Something was acknowledged."""
        self.time_out_time = self.timed_out_until(now)
        self.time_out_since = None

    def timed_out_until(self, now: float) -> float:
        """The time spent between time-outs and the next acknowledgment, up to now."""
        return self.time_out_time + (now - self.time_out_since if self.time_out_since is not None else 0.0)

    def begin_busy(self, now: float) -> None:
        self._busy_since = now

    def end_busy(self, now: float) -> None:
        """Harmless when repeated."""
        self.busy_time = self.busy_until(now)
        self._busy_since = None

    def busy_until(self, now: float) -> float:
        """The time spent busy, up to now."""
        return self.busy_time + (now - self._busy_since if self._busy_since is not None else 0.0)

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
