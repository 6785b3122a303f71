"""The retransmission time-out (RFC 6298)."""

from __future__ import annotations


class RoundTrip:
    """Smoothed round-trip time and its variation, in seconds; ``srtt`` is 0 before the first measurement."""

    __slots__ = ("rto", "rttvar", "srtt")

    def __init__(self, initial_rto: float) -> None:
        self.srtt = 0.0
        self.rttvar = 0.0
        #: Without any back-off, which is the retransmission's affair.
        self.rto = initial_rto

    def measured(self, sample: float, shortest: float, longest: float) -> None:
        """A segment that was sent once was acknowledged after ``sample`` seconds."""
        if self.srtt:  # RFC 6298 §2.3
            self.rttvar += (abs(self.srtt - sample) - self.rttvar) / 4
            self.srtt += (sample - self.srtt) / 8
        else:  # RFC 6298 §2.2
            self.srtt = max(sample, 1e-6)
            self.rttvar = sample / 2
        self.rto = min(max(self.srtt + 4 * self.rttvar, shortest), longest)
