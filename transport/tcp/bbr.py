"""BBR, version 1: congestion control by a model of the path rather than by its losses.

Theory of operation
===================
The model is two numbers: the bandwidth of the bottleneck, which is the largest delivery rate of the last ten rounds,
and the round trip without queues, which is the shortest of the last ten seconds. Their product is what the path holds.
BBR paces at the bandwidth, and lets no more be on the way than about twice the product. To see more bandwidth takes a
queue, and to see a shorter round trip takes none, so it takes turns (`Mode`):

- STARTUP doubles the rate each round until it brings no more bandwidth: the pipe is full. DRAIN empties the queue which
  that has made.
- PROBE_BW sends somewhat faster for a round trip, as there may be more by now; then somewhat slower, to drain what did
  not get through; then six round trips at the bandwidth.
- PROBE_RTT, where ten seconds showed no round trip as short as the shortest, has almost nothing on the way for 200 ms.

This follows draft-cardwell-iccrg-bbr-congestion-control-00 (July 2017), whose sections are cited below, with the paper
in ACM Queue 14(5) of 2016. Where Linux's version 1 differs, this does the same: one percent less than the bandwidth is
paced, the window has room for acknowledgments that come together, and a round trip as short as the shortest does not
put off PROBE_RTT. Linux's detection of policers is left out.
"""

from __future__ import annotations

from enum import Enum
from math import inf, log
from typing import TYPE_CHECKING, Final

from . import pacing
from .congestion import UNLIMITED
from .windowed import MaxFilter

if TYPE_CHECKING:
    from .congestion import Sender
    from .delivery import DeliveryRate

_HIGH: Final = 2 / log(2)
#: The gains of PROBE_BW's phases, a round trip each (§4.3.4).
_CYCLE: Final = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
_WINDOW_GAIN: Final = 2.0
#: Rounds that the filters remember (§4.1.1), and seconds that a round trip counts (§4.1.2).
_ROUNDS: Final = 10
_RTT_LIFE: Final = 10.0
_PROBE_RTT_TIME: Final = 0.2
#: The smallest window, in segments.
_LEAST: Final = 4
#: The pipe is full when the bandwidth has not grown by this in so many rounds (§4.3.2).
_GROWTH: Final = 1.25
_FULL_ROUNDS: Final = 3
#: The part of the bandwidth that is paced.
_MARGIN: Final = 0.99
#: Acknowledgments that come together get room for so many seconds of data at most.
_AGGREGATION: Final = 0.1
#: A round trip to begin with where none is known, in seconds.
_FIRST_RTT: Final = 0.001


class Mode(Enum):
    """A state, its pacing gain and the gain of its window (§4.3); PROBE_BW's own gain is the cycle's."""

    STARTUP = (_HIGH, _HIGH)
    DRAIN = (1 / _HIGH, _HIGH)
    PROBE_BW = (0.0, _WINDOW_GAIN)
    PROBE_RTT = (1.0, 1.0)


class Bbr:
    """``bandwidth`` and ``pacing_rate`` are in bytes/s, ``min_rtt`` in seconds."""

    __slots__ = (
        "_bandwidths",
        "_conserving",
        "_cycle_began",
        "_epoch",
        "_epoch_acked",
        "_extra",
        "_full",
        "_full_rounds",
        "_idle",
        "_initial",
        "_min_rtt_at",
        "_phase",
        "_prior",
        "_probe_round",
        "_probe_until",
        "_round_ends",
        "_round_started",
        "_rounds",
        "_seen_rtt",
        "_trouble",
        "cwnd",
        "filled",
        "min_rtt",
        "mode",
        "pacing_rate",
        "ssthresh",
    )

    name = "bbr"
    samples = True

    def __init__(self, initial: int, sender: Sender) -> None:
        now = sender.now
        self.cwnd = self._initial = self._prior = initial
        self.ssthresh = UNLIMITED
        self.mode = Mode.STARTUP
        self._bandwidths = MaxFilter(_ROUNDS)
        self.min_rtt, self._min_rtt_at = sender.rtt.shortest, now
        self._seen_rtt = sender.rtt.srtt > 0
        self.pacing_rate = _HIGH * _MARGIN * initial / (sender.rtt.srtt or _FIRST_RTT)
        # Rounds are counted by what was delivered when their first segment left (§4.1.1).
        self._rounds = self._round_ends = 0
        self._round_started = False
        self.filled = False
        self._full, self._full_rounds = 0.0, 0
        self._phase, self._cycle_began = 0, now
        #: PROBE_RTT lasts until this, 0 before the window is small, and for a round.
        self._probe_until, self._probe_round = 0.0, False
        self._idle = False
        #: Whether the last acknowledgment was in recovery, and whether this is the first round of one.
        self._trouble = self._conserving = False
        # What was acknowledged since the epoch began, and how much more than the bandwidth explains.
        self._epoch, self._epoch_acked = now, 0
        self._extra = MaxFilter(_ROUNDS)

    @property
    def bandwidth(self) -> float:
        return self._bandwidths.maximum

    @property
    def pacing_gain(self) -> float:
        return _CYCLE[self._phase] if self.mode is Mode.PROBE_BW else self.mode.value[0]

    @property
    def cwnd_gain(self) -> float:
        return self.mode.value[1]

    # -- what happens ------------------------------------------------------------------------------------------------

    def sampled(self, sample: DeliveryRate, mss: int, sender: Sender) -> None:
        """BBRUpdateOnACK (§3.2): the model first, then what follows from it."""
        now = sender.now
        self._update_bandwidth(sample)
        self._update_aggregation(sample, now)
        self._update_phase(sample, mss, now)
        self._check_full(sample)
        self._check_drained(sample, mss, sender)
        self._update_round_trip(sample, mss, sender)
        self._set_pacing(sender)
        self._set_window(sample, mss)

    def acknowledged(self, size: int, mss: int, ack: int, sender: Sender) -> None:
        """Samples tell more."""

    def lost(self, flight: int, mss: int) -> None:
        """The window stays, but for what the first round of recovery does."""
        self._save_window()

    def settle(self) -> None:
        """`sampled` finds out."""

    def timed_out(self, flight: int, mss: int, *, again: bool) -> None:
        self._save_window()
        self._trouble = True
        self._full, self._full_rounds = 0.0, 0
        self._round_started = True
        self._conserving = False

    def undo(self, cwnd: int, ssthresh: int) -> None:
        """The window comes back with the next acknowledgment; what looked like a full pipe may have been the loss."""
        self._full, self._full_rounds = 0.0, 0

    def idle(self, initial: int) -> None:
        """The model stays as it is, and pacing keeps what is sent from being a burst."""

    def measured(self, round_trip: float, now: float) -> None:
        """Samples tell it."""

    def resumed(self, pause: float, now: float) -> None:
        """`restarted` is what matters."""

    def restarted(self, sender: Sender) -> None:
        """§4.3.4, restarting from idle: at the bandwidth, for there is no queue to drain or to fill."""
        self._idle = True
        self._epoch, self._epoch_acked = sender.now, 0
        if self.mode is Mode.PROBE_BW:
            self.pacing_rate = self.bandwidth * _MARGIN
        elif self.mode is Mode.PROBE_RTT:
            self._leave_probe_rtt(sender)

    # -- the model ---------------------------------------------------------------------------------------------------

    def _update_bandwidth(self, sample: DeliveryRate) -> None:
        """§4.1.1. What the user limited says nothing, unless it is more than was known."""
        self._round_started = False
        if sample.interval <= 0:
            return
        if sample.prior_delivered >= self._round_ends:
            self._round_ends = sample.delivered
            self._rounds += 1
            self._round_started = True
            self._conserving = False
        rate = sample.size / sample.interval
        if not sample.app_limited or rate >= self.bandwidth:
            self._bandwidths.put(self._rounds, rate)

    def _update_aggregation(self, sample: DeliveryRate, now: float) -> None:
        """How much more is acknowledged at times than the bandwidth explains, as some links and receivers let
        acknowledgments come together."""
        if sample.acked <= 0 or sample.interval <= 0:
            return
        expected = self.bandwidth * (now - self._epoch)
        if self._epoch_acked <= expected:
            self._epoch, self._epoch_acked = now, 0
            expected = 0.0
        self._epoch_acked += sample.acked
        self._extra.put(self._rounds, min(self._epoch_acked - expected, self.cwnd))

    def _update_phase(self, sample: DeliveryRate, mss: int, now: float) -> None:
        """§4.3.4: whether it is time for the next phase of PROBE_BW."""
        if self.mode is not Mode.PROBE_BW:
            return
        gain = _CYCLE[self._phase]
        over = now - self._cycle_began > self.min_rtt
        if gain > 1:
            over = over and (sample.lost > 0 or sample.prior_inflight >= self._inflight(gain, mss))
        elif gain < 1:
            over = over or sample.prior_inflight <= self._inflight(1.0, mss)
        if over:
            self._phase = (self._phase + 1) % len(_CYCLE)
            self._cycle_began = now

    def _check_full(self, sample: DeliveryRate) -> None:
        """§4.3.2: the pipe is full when more data on the way do not arrive any faster."""
        if self.filled or not self._round_started or sample.app_limited:
            return
        if self.bandwidth >= self._full * _GROWTH:
            self._full, self._full_rounds = self.bandwidth, 0
            return
        self._full_rounds += 1
        self.filled = self._full_rounds >= _FULL_ROUNDS

    def _check_drained(self, sample: DeliveryRate, mss: int, sender: Sender) -> None:
        """§4.3.3."""
        if self.mode is Mode.STARTUP and self.filled:
            self.mode = Mode.DRAIN
        if self.mode is Mode.DRAIN and sample.inflight <= self._inflight(1.0, mss):
            self._enter_probe_bw(sender)

    def _enter_probe_bw(self, sender: Sender) -> None:
        """§4.3.4: in any phase but the one that drains, so that flows do not keep step."""
        self.mode = Mode.PROBE_BW
        self._phase = (2 + sender.random.randrange(len(_CYCLE) - 1)) % len(_CYCLE)
        self._cycle_began = sender.now

    def _update_round_trip(self, sample: DeliveryRate, mss: int, sender: Sender) -> None:
        """§4.1.2, §4.3.5."""
        now = sender.now
        expired = now > self._min_rtt_at + _RTT_LIFE
        if sample.rtt < inf and (sample.rtt < self.min_rtt or expired):
            self.min_rtt, self._min_rtt_at = sample.rtt, now
        if expired and not self._idle and self.mode is not Mode.PROBE_RTT:
            self._save_window()
            self.mode = Mode.PROBE_RTT
            self._probe_until = 0.0
        if self.mode is Mode.PROBE_RTT:
            self._probe_round_trip(sample, mss, sender)
        if sample.acked > 0:
            self._idle = False

    def _probe_round_trip(self, sample: DeliveryRate, mss: int, sender: Sender) -> None:
        sample.limit(sample.inflight)  # so small a window says nothing about the bandwidth
        if self._probe_until:
            self._probe_round = self._probe_round or self._round_started
            if self._probe_round:
                self._leave_probe_rtt(sender)
        elif sample.inflight <= _LEAST * mss:
            self._probe_until = sender.now + _PROBE_RTT_TIME
            self._probe_round = False
            self._round_ends = sample.delivered

    def _leave_probe_rtt(self, sender: Sender) -> None:
        if not self._probe_until or sender.now <= self._probe_until:
            return
        self._min_rtt_at = sender.now
        self.cwnd = max(self.cwnd, self._prior)
        if self.filled:
            self._enter_probe_bw(sender)
        else:
            self.mode = Mode.STARTUP

    # -- what follows from it ----------------------------------------------------------------------------------------

    def _set_pacing(self, sender: Sender) -> None:
        """§4.2.1."""
        if not self._seen_rtt and sender.rtt.srtt:
            self._seen_rtt = True
            self.pacing_rate = _HIGH * _MARGIN * self.cwnd / sender.rtt.srtt
        rate = self.pacing_gain * self.bandwidth * _MARGIN
        if rate and (self.filled or rate > self.pacing_rate):
            self.pacing_rate = rate

    def _inflight(self, gain: float, mss: int, extra: float = 0.0) -> int:
        """§4.2.3: how much on the way fills the path ``gain`` times; whole segments, an even number of them, and room
        for those that wait here, in the network card and at the receiver for being sent or acknowledged together."""
        if self.min_rtt == inf:
            return self._initial
        least = 1 if self.pacing_rate < pacing.SLOW else 2
        train = max(int(min(self.pacing_rate * pacing.TRAIN, pacing.LARGEST)) // mss, least)
        segments = int((gain * self.bandwidth * self.min_rtt + extra) / mss) + 1 + 3 * train
        segments += segments % 2
        if self.mode is Mode.PROBE_BW and not self._phase:
            segments += 2  # or the smallest windows would not probe
        return segments * mss

    def _set_window(self, sample: DeliveryRate, mss: int) -> None:
        """§4.2.3."""
        acked = max(sample.acked, 0)
        if acked and not self._recovers(sample, mss, acked):
            extra = min(self._extra.maximum, self.bandwidth * _AGGREGATION) if self.filled else 0.0
            target = self._inflight(self.cwnd_gain, mss, extra)
            if self.filled:
                self.cwnd = min(self.cwnd + acked, target)
            elif self.cwnd < target or sample.delivered < self._initial:
                self.cwnd += acked
            self.cwnd = max(self.cwnd, _LEAST * mss)
        if self.mode is Mode.PROBE_RTT:
            self.cwnd = min(self.cwnd, _LEAST * mss)

    def _recovers(self, sample: DeliveryRate, mss: int, acked: int) -> bool:
        """The window of the first round of a recovery, which lets go no more than arrives; and that after it."""
        if sample.lost > 0:
            self.cwnd = max(self.cwnd - sample.lost, mss)
        trouble = sample.recovering or sample.after_timeout
        if sample.recovering and not self._trouble:
            self._conserving = True
            self._round_ends = sample.delivered
            self.cwnd = sample.inflight + acked
        elif self._trouble and not trouble:
            self._conserving = False
            self.cwnd = max(self.cwnd, self._prior)
        self._trouble = trouble
        if self._conserving:
            self.cwnd = max(self.cwnd, sample.inflight + acked)
        return self._conserving

    def _save_window(self) -> None:
        """Before recovery or PROBE_RTT: what to come back to."""
        if self._trouble or self.mode is Mode.PROBE_RTT:
            self._prior = max(self._prior, self.cwnd)
        else:
            self._prior = self.cwnd
