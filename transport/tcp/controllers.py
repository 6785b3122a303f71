"""The congestion controllers there are, by the names of TCP_CONGESTION, and how a connection comes by one."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from . import pacing
from .bbr import Bbr
from .congestion import CongestionControl, Reno, Sender
from .cubic import Cubic
from .delivery import DeliveryRate
from .pacing import Pacer

if TYPE_CHECKING:
    from collections.abc import Callable

    from .connection import Connection

#: What makes one takes the initial window in bytes, and whose it is.
CONTROLLERS: Final[dict[str, Callable[[int, Sender], CongestionControl]]] = {
    "bbr": Bbr,
    "cubic": lambda initial, sender: Cubic(initial),
    "reno": lambda initial, sender: Reno(initial),
}


def start(c: Connection) -> None:
    """The peer's segment size is known: data may be sent, up to the initial window (RFC 6928)."""
    settings = c.tcp.settings
    c.congestion = CONTROLLERS[c.options.congestion or settings.congestion](settings.initial_window * c.mss, c)
    _follow(c)


def change(c: Connection) -> None:
    """TCP_CONGESTION on a living connection: the new controller goes on with the window there is."""
    old, name = c.congestion, c.options.congestion
    if name and name != old.name:
        c.congestion = CONTROLLERS[name](old.cwnd, c)
        c.congestion.ssthresh = old.ssthresh
    _follow(c)


def _follow(c: Connection) -> None:
    """Have what the controller, and the user, ask for: samples of the delivery rate, pacing."""
    control = c.congestion
    if control.samples or c.tcp.settings.measure_rates:
        measure_rate(c)
    if c.pacer is None and min(control.pacing_rate, c.options.max_pacing_rate) < inf:
        c.pacer = Pacer()


def measure_rate(c: Connection) -> None:
    """Measure the delivery rate from now on."""
    if c.rate is None:
        c.rate = DeliveryRate(c.snd_max, c.tcp.scheduler.now, begun=c.pieces is not None or not c.counts.passive)
        c.rate.pace = pacing.rate(c)
