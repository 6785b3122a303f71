"""How much memory for receiving a connection needs: what its user reads in a round trip, twice, and more while that
grows (dynamic right-sizing, as Linux does it; tcp_moderate_rcvbuf)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import output, window
from .sequence import MASK

if TYPE_CHECKING:
    from .connection import Connection


class RightSizing:
    """What is measured of a connection that receives data.

    ``space``: the most that its user has read in a round trip, in bytes. ``rtt``: the round trip as the receiver sees
    it, in seconds, 0 before the first measurement.
    """

    __slots__ = ("echo", "read_since", "read_to", "rtt", "space", "window_end", "window_since")

    def __init__(self, c: Connection) -> None:
        now = c.tcp.scheduler.now
        self.space = window.initial_space(c)
        self.read_to = c.rcv_nxt - c.readable
        self.read_since = now
        self.rtt = 0.0
        #: The timestamp that was echoed last.
        self.echo = 0
        #: Without timestamps: a window that the peer has been offered takes a round trip to be filled.
        self.window_end = 0
        self.window_since = now


def arrived(c: Connection, size: int, echo: int) -> None:
    """``size`` bytes of data came in order; ``echo`` is the timestamp that they echo, or 0."""
    sizing = measure(c, size, echo)
    if c.rcv_nxt >= sizing.window_end:
        now = c.tcp.scheduler.now
        if sizing.window_end:
            round_trip = max(now - sizing.window_since, 1e-6)
            if not sizing.rtt or round_trip < sizing.rtt:
                sizing.rtt = round_trip
        sizing.window_end = c.rcv_nxt + c.rcv_adv - c.rcv_acked
        sizing.window_since = now


def measure(c: Connection, size: int, echo: int) -> RightSizing:
    """``size`` bytes of data came, in order or not; ``echo`` is the timestamp that they echo, or 0: how long ago was
    that?"""
    sizing = c.right_sizing
    if sizing is None:
        sizing = c.right_sizing = RightSizing(c)
    if echo and echo != sizing.echo:
        sizing.echo = echo
        if size >= c.rcv_mss:
            sample = (output.timestamp(c) - echo) & MASK
            if 0 < sample < 1 << 24:
                _measured(c, sizing, sample / 1000, size)
    return sizing


def _measured(c: Connection, sizing: RightSizing, sample: float, size: int) -> None:
    if not sizing.rtt or sample < sizing.rtt:
        sizing.rtt = sample
    elif c.readable == size:  # else the user may be why the peer waited
        sizing.rtt += (sample - sizing.rtt) / 8


def user_read(c: Connection, sizing: RightSizing, at: int) -> None:
    """Once in a round trip, see how much that was: as on Linux up to the end of the first segment read, which is at the
    number ``at``; what waits after it was not read in time."""
    now = c.tcp.scheduler.now
    if not sizing.rtt or now - sizing.read_since < sizing.rtt:
        return
    copied = at - sizing.read_to - (c.rcv_nxt - c.at_end - at)
    if copied > sizing.space:
        before, sizing.space = sizing.space, copied
        want(c, copied, before)
    sizing.read_to = at
    sizing.read_since = now


def want(c: Connection, copied: int, before: int) -> None:
    """Have memory for twice what the user reads in a round trip: we are always one late. In slow start the next one
    brings more by as much again. What is early has to be kept, too."""
    settings = c.tcp.settings
    if not settings.moderate_receive_buffer or c.options.receive_buffer:
        return
    wanted = 2 * copied
    wanted += 2 * (wanted * (copied - before) // before)
    if c.reassembly is not None and len(c.reassembly):
        wanted += c.reassembly.end - c.rcv_nxt
    memory = min((wanted << 8) // c.rcv_ratio, settings.max_receive_buffer)
    if memory > c.rcv_buffer:
        c.rcv_buffer = memory
        most = window.full_space(c)
        c.rcv_clamp = min(most, c.options.window_clamp or most)
