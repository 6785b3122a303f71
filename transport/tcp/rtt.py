"""The round-trip time, and the time-outs that follow from it (RFC 6298)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .settings import TcpSettings, Timing

#: What a timer may be late, in seconds: a tail loss probe waits that much longer.
GRANULARITY: Final = 0.002
#: The time-out where the handshake was no measurement, in seconds (RFC 6298 §5.7).
FALL_BACK: Final = 3.0
#: How long a tail loss probe waits while no round trip has been measured, in seconds (RFC 8985 §7.2).
UNMEASURED: Final = 1.0


class RoundTrip:
    """Smoothed round-trip time and its variation, in seconds; ``srtt`` is 0 before the first measurement.

    Each acknowledgment may be a measurement, as RFC 7323 appendix G wants it weighed: the variation that counts for the
    time-out rises at once, and falls once for each window of data. As Linux has it, it is never less than the shortest
    time-out, which stands for RFC 6298's clock granularity.
    """

    __slots__ = (
        "_round_end",
        "_tail_probes",
        "_variation",
        "_widest",
        "backoff",
        "latest",
        "limits",
        "pto",
        "rto",
        "rttvar",
        "shortest",
        "srtt",
    )

    def __init__(self, initial_rto: float, limits: TcpSettings | Timing) -> None:
        #: Has the bounds of the time-out, ``min_rto`` and ``max_rto``.
        self.limits = limits
        self.srtt = 0.0
        #: The mean deviation.
        self.rttvar = initial_rto / 4
        self.shortest = inf
        self.latest = 0.0
        #: The time-out as it is now: doubled for each of the ``backoff`` time-outs since the last measurement (which
        #: probes of a closed window count in, too).
        self.rto = initial_rto
        self.backoff = 0
        #: When to probe for a lost tail (RFC 8985 §7.2), or 0 while such probes are off.
        self.pto = 0.0
        self._tail_probes = False
        #: Four times the deviation, as the time-out has it; the widest of this round, which ends at ``_round_end``.
        self._variation = self._widest = 0.0
        self._round_end = 0

    def follow_tails(self, wanted: bool) -> None:
        """Switch tail loss probes on or off."""
        self._tail_probes = wanted
        pto = 2 * self.srtt + GRANULARITY if self.srtt else UNMEASURED
        self.pto = min(pto, self.rto) if wanted else 0.0

    def measured(self, sample: float, una: int, nxt: int) -> None:
        """A segment that was sent once was acknowledged after ``sample`` seconds; SND.UNA and SND.NXT are ``una`` and
        ``nxt`` by now."""
        if sample < self.shortest:
            self.shortest = sample
        self.latest = sample
        srtt = self.srtt
        if srtt:  # RFC 6298 §2.3
            error = sample - srtt
            self.srtt = srtt = srtt + error / 8
            deviation = self.rttvar
            if error < 0:  # a round trip that becomes shorter is no reason to wait longer: widen by an eighth only
                error = -error - deviation
                if error > 0:
                    error /= 8
            else:
                error -= deviation
            self.rttvar = deviation = deviation + error / 4
            width = 4 * deviation
            if width > self._widest:
                self._widest = width
                if width > self._variation:
                    self._variation = width
            if una > self._round_end:  # a window of data was acknowledged: the variation may fall
                if self._widest < self._variation:
                    self._variation -= (self._variation - self._widest) / 4
                self._round_end = nxt
                self._widest = self.limits.min_rto
        else:
            srtt = self._begin(sample, nxt, self.limits.min_rto)
        self.backoff = 0
        rto = srtt + self._variation
        longest = self.limits.max_rto
        if rto > longest:
            rto = longest
        self.rto = rto
        if self._tail_probes:
            pto = 2 * srtt + GRANULARITY
            self.pto = pto if pto < rto else rto

    def follow(self, latest: float) -> None:
        """Of what was acknowledged with the last sample, the part that was sent last took ``latest`` seconds."""
        self.latest = latest
        if latest < self.shortest:
            self.shortest = latest

    def _begin(self, sample: float, nxt: int, least: float) -> float:
        """The first sample (RFC 6298 §2.2)."""
        self.srtt = max(sample, 1e-6)
        self.rttvar = sample / 2
        self._variation = self._widest = max(2 * sample, least)
        self._round_end = nxt
        return self.srtt

    def fall_back(self, backoff: int) -> None:
        """No measurement came from the handshake (RFC 6298 §5.7), in which there were ``backoff`` time-outs."""
        self.rto = self._variation = self._widest = FALL_BACK
        self.rttvar = FALL_BACK / 4
        self.backoff = backoff

    def back_off(self) -> None:
        """A time-out (RFC 6298 §5.5): wait twice as long next time."""
        self.backoff += 1
        self.rto = min(2 * self.rto, self.limits.max_rto)

    def take_back(self, initial_rto: float) -> None:
        """The last time-out was no sign of congestion: undo what it did to the next (RFC 6069 §4.1)."""
        self.backoff -= 1
        shortest = self.srtt + self._variation if self.srtt else initial_rto
        self.rto = min(max(shortest, self.limits.min_rto) * (1 << self.backoff), self.limits.max_rto)

    def forget_back_off(self) -> None:
        """The time-out as the round trips alone would have it."""
        self.backoff = 0
        self.rto = min(max(self.srtt + self._variation, self.limits.min_rto), self.limits.max_rto)
