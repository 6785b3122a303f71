"""Explicit Congestion Notification (RFC 3168): a router that is about to drop packets marks them instead.

The two ends agree on it in the handshake. From then on new data are sent with the codepoint ECT(0) in the IP header,
which a router may turn into CE; nothing else is, since its loss would not be noticed, or would say something else (RFC
3168 §6.1.4 to 6.1.6). A receiver that finds CE sets ECE in all it sends until it sees CWR. A sender that finds ECE
reduces its window, as for a loss but with nothing to send again, at most once for each window of data (the state that
Linux calls CWR), and sets CWR in the next new data.

All of it is in one number of the connection, ``Connection.ecn``, which is 0 without ECN; and, for the time in which the
window shrinks, in its scoreboard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import acks, recovery
from .header import ACK, CWR, ECE
from .state import State

if TYPE_CHECKING:
    from ...link.packet import Packet
    from .connection import Connection
    from .scoreboard import Scoreboard
    from .segment import Segment

# Bits of ``Connection.ecn``:
#: Both ends speak ECN (or we have asked, and wait for the answer).
AGREED: Final = 1
#: The segment that is being sent gets this codepoint, ECT(0).
CAPABLE: Final = 2
#: The peer has sent ECT or CE at some time.
SEEN: Final = 4
#: A packet came with CE, and no CWR since: tell the peer (ECE).
ECHOING: Final = 8
#: The window was reduced: tell the peer (CWR).
REDUCED: Final = 16

#: Values of the setting (tcp_ecn): ask for it when connecting; agree when asked.
ASK: Final = 1

_CODEPOINT: Final = 3
_CE: Final = 3
_USUAL: Final = (2, 1)
#: The bits of the header beyond CWR, one of which asks for Accurate ECN (RFC 9768 §3.1.1).
_BEYOND: Final = 0xF00
#: Segments that are acknowledged at once when CE comes up, since the peer's window may be very small soon.
_QUICK_ACKS: Final = 2


def codepoint(packet: Packet) -> int:
    """The ECN field of a received packet: 0 not ECN-capable, 1 ECT(1), 2 ECT(0), 3 CE (RFC 3168 §5)."""
    octet: int = packet.buffers[0][packet.network + 1]
    return (octet if len(packet.source) == 4 else octet >> 4) & _CODEPOINT


# -- the handshake (RFC 3168 §6.1.1) ---------------------------------------------------------------------------------


def syn_flags(c: Connection, *, again: bool) -> int:
    """ECE and CWR of the SYN, or SYN and ACK, that is being sent; ``again``: not for the first time."""
    if c.state is not State.SYN_SENT:
        c.ecn &= ~CAPABLE
        return ECE if c.ecn else 0
    settings = c.tcp.settings
    if settings.ecn != ASK:
        return 0
    if again and (settings.ecn_fallback or not c.ecn):
        c.ecn = 0  # §6.1.1.1: ECN may be why there was no answer. Who sent one SYN without it must not send ECT.
        return 0
    c.ecn = AGREED
    return ECE | CWR


def syn_arrives(c: Connection, segment: Segment) -> None:
    """The peer's SYN, or SYN and ACK: whether ECN is agreed upon."""
    flags = segment.flags & (ECE | CWR)
    if segment.flags & ACK:
        if flags != ECE:  # both: a peer that just reflects what we sent
            c.ecn = 0
    elif c.state is State.SYN_SENT:
        if flags != ECE | CWR:
            c.ecn = 0
    elif flags == ECE | CWR and c.tcp.settings.ecn and (segment.flags & _BEYOND or not codepoint(segment.packet)):
        # A SYN has no ECT (§6.1.1), unless it asks for Accurate ECN, which falls back to this (RFC 9768 §3.1.2).
        c.ecn = AGREED


# -- receiving -------------------------------------------------------------------------------------------------------


def is_usual(c: Connection, packet: Packet) -> bool:
    """Whether data came as ECN-capable as they were sent, without a mark."""
    if codepoint(packet) not in _USUAL:
        return False
    c.ecn |= SEEN
    return True


def data_arrives(c: Connection, packet: Packet) -> None:
    """Data, in order or not, came in ``packet``: look for CE (RFC 3168 §6.1.3)."""
    found = codepoint(packet)
    if found == _CE:
        if not c.ecn & ECHOING:
            acks.enter_quick(c, _QUICK_ACKS if c.ato else c.tcp.settings.quick_acks)  # as many as after first data
        c.ecn |= SEEN | ECHOING
        c.tcp.counters["tcp.congestion_experienced"] += 1
    elif found:
        c.ecn |= SEEN
    elif c.ecn & SEEN:  # of a peer that sends ECT: probably sent again
        acks.enter_quick(c, _QUICK_ACKS)


def flags_arrive(c: Connection, segment: Segment) -> None:
    """An acceptable acknowledgment has ECE or CWR, and is about to be processed.

    CWR is taken from segments without data too, as on Linux: some peers send it so, and would get ECE for ever.
    """
    if segment.flags & CWR:
        c.ecn &= ~ECHOING
        if segment.length:
            c.must_acknowledge = True
    if segment.flags & ECE and c.snd_una <= segment.ack and c.snd_una < c.snd_max:
        board = recovery.board_of(c)
        board.echo = True
        if segment.ack == c.snd_una and not (c.sack and segment.options.sack):
            progress(c, board, 0)


def progress(c: Connection, board: Scoreboard, delivered: int) -> None:
    """An acknowledgment that told of ``delivered`` bytes: it may end the reduction, and begin one (``board.echo``)."""
    if 0 <= board.reducing < c.snd_una:
        board.reducing = -1
        c.congestion.settle()
    if not board.echo:
        return
    board.echo = False
    c.counts.delivered_marked += -(-delivered // c.mss)
    if c.undo is not None:
        c.undo.ssthresh = 0  # not to be taken back any more
    if c.recovering or board.after_timeout or board.reducing >= 0:
        return
    control = c.congestion
    board.tail_end = 0
    if c.undo is not None:
        c.undo.marker = -1
    board.reducing = c.snd_max
    board.prr.start(control.cwnd)
    control.lost(control.cwnd, c.mss)  # RFC 3168 §6.1.2
    reduced(c)
    c.tcp.counters["tcp.congestion_echoed"] += 1
    c.mark()


# -- sending ---------------------------------------------------------------------------------------------------------


def flags(c: Connection, start: int, size: int) -> int:
    """ECE and CWR of a segment with ``size`` bytes from ``start``; sets CAPABLE for it."""
    state = c.ecn & ~CAPABLE
    found = ECE if state & ECHOING else 0
    if size and start >= c.snd_max:  # RFC 3168 §6.1.5: nothing that is sent again
        if state & REDUCED:
            state -= REDUCED
            found |= CWR
        state |= CAPABLE
    c.ecn = state
    return found


def reduced(c: Connection) -> None:
    """The window was reduced, for whatever reason: CWR goes out with the next new data (RFC 3168 §6.1.2)."""
    if c.ecn:
        c.ecn |= REDUCED
