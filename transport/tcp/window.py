"""The receive window: how much the peer may send (RFC 9293 §3.8.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import acks
from .options import MAX_WINDOW_SHIFT

if TYPE_CHECKING:
    from .connection import Connection


def configure(c: Connection) -> None:
    """Set the receive buffer's size from options and settings, and before the handshake the scale that goes with it."""
    settings = c.tcp.settings
    fixed = c.options.receive_buffer
    clamp = c.options.window_clamp
    limit = fixed or settings.max_receive_buffer
    if clamp:
        limit = min(limit, clamp)
    if not c.rcv_nxt and c.rcv_scaling:
        c.rcv_shift = min((limit >> 16).bit_length(), MAX_WINDOW_SHIFT)
    c.rcv_limit = min(limit, 65535 << c.rcv_shift)
    if fixed or not c.rcv_nxt:
        c.rcv_space = fixed or settings.receive_buffer
    c.rcv_space = min(c.rcv_space, c.rcv_limit)


def start(c: Connection, irs: int) -> None:
    """The peer's initial sequence number is known: its stream begins after it."""
    c.irs = irs
    c.rcv_nxt = c.rcv_acked = irs + 1
    c.rcv_adv = c.rcv_nxt + min(c.rcv_space, 65535)  # the window of a SYN is not scaled (RFC 7323 §2.2)
    c.rcv_grow_at = c.rcv_nxt + c.rcv_space


def offer(c: Connection) -> int:
    """The window field of a segment that goes out now.

    The right edge moves only to the right (RFC 9293 §3.8.6, SHOULD-14), and only by a step worth it
    (§3.8.6.2.2). Rounding by the scale may show the peer up to a unit less than what is accepted.
    """
    edge = c.rcv_nxt + c.rcv_space - c.readable
    step = edge - c.rcv_adv
    if step > 0 and (step >= c.rcv_mss or step * 2 >= c.rcv_space):
        c.rcv_adv = edge
    field = (c.rcv_adv - c.rcv_nxt) >> c.rcv_shift
    return field if field < 65536 else 65535


def consume(self: Connection, size: int) -> None:
    """RECEIVE (RFC 9293 §3.10.3): the first ``size`` bytes of ``received`` are read and leave it; the window may open.

    Raises IndexError for more than ``readable``.
    """
    received = self.received
    left = size
    while left:
        first = received[0]
        if len(first) > left:
            received[0] = first[left:]
            break
        left -= len(first)
        received.popleft()
    self.readable -= size
    if self.rcv_nxt >= self.rcv_grow_at:
        _grow(self)
    # A window update is due when it at least doubles what the peer has left (as Linux does).
    offered = self.rcv_adv - self.rcv_nxt
    edge = self.rcv_nxt + self.rcv_space - self.readable
    if edge - self.rcv_adv >= max(offered, min(self.rcv_space >> 1, 2 * self.rcv_mss)) and not self.at_end:
        self.must_acknowledge = True
        self.mark()
    elif self.rcv_nxt != self.rcv_acked:
        acks.read(self)


def _grow(c: Connection) -> None:
    """A whole window has come in and its reader keeps up: let the peer send twice as much at a time."""
    if c.readable * 2 < c.rcv_space < c.rcv_limit and not c.options.receive_buffer:
        c.rcv_space = min(c.rcv_space * 2, c.rcv_limit)
    c.rcv_grow_at = c.rcv_nxt + c.rcv_space
