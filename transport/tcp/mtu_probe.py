"""Finding the largest segments that a path carries by sending larger ones (RFC 4821), as Linux does it.

Between the size that is known to pass and the one that may, a single segment of the size in the middle goes out now
and then. It goes when nothing is wrong and enough is written to tell its loss from other losses (§7.4), and takes a
segment of the window with it. If it arrives, its size is the one that is known to pass, and that of segments from now
on (§7.6.1); if it is lost, its data are sent again as usual, and the window does not suffer (§7.6.2). Where the search
has come to an end, it begins anew after some minutes (§7.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import flight, output, sizes
from .header import ACK, PSH
from .pieces import PUSH, RECORD, SHIFT

if TYPE_CHECKING:
    from .connection import Connection
    from .pieces import Pieces
    from .scoreboard import Scoreboard

#: What `probe` has to say: nothing more goes for now; go on.
WAIT: Final = 0
GO_ON: Final = 1
#: The least window, in segments, with which it is tried.
_LEAST_WINDOW: Final = 11


class Search:
    """The search of one connection. Sizes are of segments with the options that every one has, in bytes: ``low``
    passes, ``high`` may; ``size``: that of the probe on its way, which begins at ``start``, or 0."""

    __slots__ = ("begun_at", "end", "high", "low", "size", "start")

    def __init__(self, c: Connection) -> None:
        self.low = c.tcp.settings.base_mss + sizes.options(c)
        self.high = c.peer_mss
        self.size = self.start = self.end = 0
        self.begun_at = c.tcp.scheduler.now


def begin(c: Connection) -> None:
    """The handshake is over. Who has connected begins with small segments; who was connected to, with those of the
    path, until a probe has arrived."""
    if c.tcp.settings.mtu_probing < ALWAYS:
        return
    c.search = Search(c)
    if not c.counts.passive:  # as on Linux, by what the SYN offered
        c.mss_limit = c.tcp.settings.base_mss + (sizes.TIMESTAMPS if c.tcp.settings.timestamps else 0)
        c.use_path(c.path)


#: The value of tcp_mtu_probing with which it is not only done where a black hole was found.
ALWAYS: Final = 2


def probe(c: Connection, pieces: Pieces, search: Search, quota: int) -> int:
    """Data are about to be sent, for which the congestion window has room for ``quota`` segments: perhaps a probe comes
    first."""
    settings, mss = c.tcp.settings, c.mss
    if search.size or not _in_order(c) or c.congestion.cwnd < _LEAST_WINDOW * mss or not pieces.queue:
        return GO_ON
    options, header = sizes.options(c), _header(c)
    high = min(search.high, c.path.mtu - header)
    size = (high + search.low + 2 * header) // 2 - header - options
    reordering = settings.reordering if c.rack is None else c.rack.reordering
    needed = size + (reordering + 1) * mss
    if high - search.low < settings.mtu_probe_threshold:
        _begin_anew(c, search)
        return GO_ON
    window = c.snd_una + c.snd_wnd - c.snd_nxt
    if c.unsent < needed or c.snd_wnd < needed:
        return GO_ON
    if window < needed or (quota < 2 and c.snd_una < c.snd_nxt):
        return WAIT
    first = pieces.queue[pieces.head]
    if first & RECORD or pieces.first(c.snd_nxt, size) < size:
        return GO_ON
    _send(c, pieces, search, size)
    return GO_ON


def _in_order(c: Connection) -> bool:
    board = c.board
    return not c.recovering and not c.telling and (board is None or (board.intact and board.reducing < 0))


def _header(c: Connection) -> int:
    return sizes.HEADERS[len(c.remote[0])]


def _send(c: Connection, pieces: Pieces, search: Search, size: int) -> None:
    start, mss, step, flags = c.snd_nxt, c.mss, c.tso_size, ACK
    search.start, search.end = start, start + size
    search.size = size + sizes.options(c)
    first = pieces.queue[pieces.head]
    if search.end == first >> SHIFT:
        flags = ACK | PSH if first & PUSH else ACK
        pieces.drop_first()
    pieces.packets.append(search.end << 1 | bool(flags & PSH))
    pieces.count_short(search.end, mss - size)  # it counts as one segment
    c.snd_nxt = search.end
    c.mss = c.tso_size = size  # in one piece
    output.transmit(c, start, size, flags)
    c.mss, c.tso_size = mss, step
    c.congestion.cwnd -= mss
    c.tcp.counters["tcp.mtu_probes"] += 1


def acknowledged(c: Connection, search: Search, ack: int) -> None:
    """If ``ack`` acknowledges the probe, all segments may be as large. The window stays what it is in bytes."""
    if not search.size or ack < search.end:
        return
    control, header = c.congestion, _header(c)
    segments = control.cwnd // c.mss * (c.mss + sizes.options(c) + header) // (search.size + header)
    control.cwnd = max(segments, 1) * c.mss
    c.mss_limit = search.low = search.size
    search.size = 0
    before = c.mss
    c.use_path(c.path)
    flight.keep_count(c, before)


def lost(c: Connection, search: Search, board: Scoreboard) -> bool:
    """A loss was found: whether it is that of the probe. Then nobody is to blame."""
    if not search.size or c.snd_una != search.start or board.after_timeout or board.reducing >= 0:
        return False
    search.high = search.size - 1
    search.size = 0
    c.congestion.cwnd += c.mss
    board.lose(search.start, search.end)
    board.after_timeout = True
    c.recover = c.snd_max
    return True


def shrink(c: Connection) -> None:
    """Not even the segments that we have pass, or so it seems (§7.7)."""
    settings, search = c.tcp.settings, c.search
    if search is None:
        search = c.search = Search(c)
    else:
        low = (search.low - sizes.options(c)) // 2
        search.low = max(min(low, settings.base_mss), settings.mtu_probe_floor) + sizes.options(c)
    c.mss_limit, before = search.low, c.mss
    c.use_path(c.path)
    flight.keep_count(c, before)


def _begin_anew(c: Connection, search: Search) -> None:
    """There is nothing more to find out; but the path may have changed by now (RFC 4821 §7.3)."""
    now = c.tcp.scheduler.now
    if now - search.begun_at >= c.tcp.settings.mtu_probe_interval:
        search.low = c.mss + sizes.options(c)
        search.high = c.peer_mss
        search.begun_at = now
