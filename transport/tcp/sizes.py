"""How large segments and packets are (RFC 9293 §3.7.1), by the path's MTU and the peer's windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import pacing, sack
from .congestion import UNLIMITED
from .state import OPENING, State

if TYPE_CHECKING:
    from ...net.path import Path
    from .congestion import CongestionControl
    from .connection import Connection

#: Header, without options, of a TCP segment in an IP packet, by the length of the address.
HEADERS: Final = {4: 40, 16: 60}
#: The timestamps option with its padding.
TIMESTAMPS: Final = 12
#: A peer with a window no larger than this (TCP_MSS_DEFAULT) gets all of it in one segment, in bytes.
_TINY_WINDOW: Final = 536
#: IPv4's longest packet.
_MAX_PACKET: Final = 65535
#: The most payload that is handed down as one packet where the link segments it: a packet with all its headers.
_MAX_PAYLOAD: Final = 65483
_LEAST: Final = 48
#: What is said at least in a SYN, as on Linux (min_adv_mss): no path is as narrow as that.
_LEAST_SAID: Final = 256
#: Segments of this size and smaller take no SACK blocks along.
_ROOMY: Final = 128
#: Where the peer may not know yet which segments we take.
_NEGOTIATING: Final = OPENING | {State.CLOSED, State.LISTEN}


def use_path(self: Connection, path: Path) -> None:
    """Send along ``path`` from now on.

    ``announced_mss`` is the MSS option of our SYN: what the path's first hop carries, without options (RFC 6691);
    ``advertised_mss`` is what of that is left beside the options that every segment has. They are what they were once
    the peer was told; and so is, as on Linux, what of the user's maximum (TCP_MAXSEG) holds for what we send.
    """
    self.path = path
    limit = _limit(self)
    room = options(self)
    if self.state in _NEGOTIATING:
        if self.snd_nxt == self.iss:
            self.announced_mss = announce(self)
        self.advertised_mss = self.announced_mss - room
        self.peer_mss = min(self.peer_mss, self.options.maxseg or self.peer_mss)
    before = self.mss if self.congestion.cwnd else 0
    if self.mss_limit:
        limit = min(limit, self.mss_limit)
    # A peer that claims to take next to nothing must not make us send a packet for each octet: whatever has an IP takes
    # packets of 68 bytes (RFC 791 §3.2).
    self.full_mss = max(min(self.peer_mss, limit), self.tcp.settings.min_mss) - room
    choose(self)
    if before and before != self.mss:
        _keep_segments(self.congestion, before, self.mss)
    words = self.local[0] + self.remote[0]
    self.pseudo_sum = (int.from_bytes(words) + 6) % 65535


def _limit(c: Connection) -> int:
    """What the path carries in a packet beside its headers."""
    return min(c.path.mtu, _MAX_PACKET) - HEADERS[len(c.remote[0])]


def announce(c: Connection) -> int:
    """The MSS that our SYN is to tell now."""
    most = c.tcp.settings.advertised_mss or max(_limit(c), _LEAST_SAID)
    return min(c.options.maxseg or most, most)


def options(c: Connection) -> int:
    """What of each segment the options take that every one has, in bytes."""
    return TIMESTAMPS if c.timestamps else 0


def widen(self: Connection, window: int) -> None:
    """The peer's window is ``window``, more than ever: segments and packets may be larger."""
    before, self.max_snd_wnd = self.max_snd_wnd, window
    mss = self.mss
    if mss < self.full_mss or not before:
        choose(self)
        _keep_segments(self.congestion, mss, self.mss)
    elif before < 2 * pacing.LARGEST:
        half = window >> 1 if window > _TINY_WINDOW else window
        self.size_goal = (half // mss or 1) * mss if half < pacing.LARGEST else pacing.LARGEST // mss * mss


def _keep_segments(control: CongestionControl, before: int, mss: int) -> None:
    """Segments have another size than ``before``: as on Linux the windows stay as many of them as they were."""
    half = before >> 1
    control.cwnd = (control.cwnd * mss + half) // before
    if control.ssthresh < UNLIMITED:
        control.ssthresh = (control.ssthresh * mss + half) // before


def choose(c: Connection) -> None:
    """As on Linux: a segment, and a packet, is at most half of the largest window that the peer ever had, so that it
    never has to wait for the last bit of room (RFC 9293 §3.8.6.2.1)."""
    most = c.max_snd_wnd
    most = (most >> 1 if most > _TINY_WINDOW else most) or _MAX_PAYLOAD
    c.mss = mss = min(c.full_mss, max(most, _LEAST)) - c.option_room
    c.size_goal = max(min(most, pacing.LARGEST) // mss, 1) * mss
    offload = int(c.path.offloads) & (2 if len(c.remote[0]) == 4 else 4)  # a flag costs more than an int
    c.tso_size = _MAX_PAYLOAD // mss * mss if offload else mss


def leave_room(c: Connection) -> None:
    """Make segments as much smaller as the SACK blocks need that are to be told with them (as on Linux)."""
    room = sack.size(c)
    if room == c.option_room:
        return
    before = c.mss
    if before + c.option_room > _ROOMY:
        c.option_room = room
        choose(c)
        _keep_segments(c.congestion, before, c.mss)
