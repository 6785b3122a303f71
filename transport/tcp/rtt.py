"""The retransmission time-out (RFC 6298)."""

from __future__ import annotations

from math import inf

#: What a timer may be late, in seconds: a tail loss probe waits that much longer.
_GRANULARITY = 0.002


class RoundTrip:
    """Smoothed round-trip time and its variation, in seconds; ``srtt`` is 0 before the first measurement."""

    __slots__ = ("_tail_probes", "pto", "rto", "rttvar", "shortest", "srtt")

    def __init__(self, initial_rto: float) -> None:
        self.srtt = 0.0
        self.rttvar = 0.0
        self.shortest = inf
        #: Without any back-off, which is the retransmission's affair.
        self.rto = initial_rto
        #: When to probe for a lost tail (RFC 8985 §7.2), or 0 while such probes are off.
        self.pto = 0.0
        self._tail_probes = False

    def follow_tails(self, wanted: bool) -> None:
        """Switch tail loss probes on or off."""
        self._tail_probes = wanted
        self.pto = min(2 * self.srtt + _GRANULARITY, self.rto) if wanted and self.srtt else 0.0

    def measured(self, sample: float, shortest: float, longest: float) -> None:
        """A segment that was sent once was acknowledged after ``sample`` seconds."""
        if sample < self.shortest:
            self.shortest = sample
        if self.srtt:  # RFC 6298 §2.3
            self.rttvar += (abs(self.srtt - sample) - self.rttvar) / 4
            self.srtt += (sample - self.srtt) / 8
        else:  # RFC 6298 §2.2
            self.srtt = max(sample, 1e-6)
            self.rttvar = sample / 2
        # As Linux has it, the variation counts for no less than ``shortest``: RFC 6298's clock granularity.
        self.rto = min(self.srtt + max(4 * self.rttvar, shortest), longest)
        if self._tail_probes:
            self.pto = min(2 * self.srtt + _GRANULARITY, self.rto)
