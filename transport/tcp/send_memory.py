"""What a connection takes from its user before it is acknowledged: the send buffer, in the accounts of Linux.

Data cost more than their size: each piece of them does (pieces.py), whether it waits or is on the way. While pieces
cost less than ``snd_limit`` another one may be begun; one that was begun is filled up, whatever it costs then. So the
last piece is full when no more is taken, and what leaves it meanwhile makes room in it. Unless the user has chosen the
limit (SO_SNDBUF) it follows the congestion window: memory for twice of it, so that a round trip's data wait already.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from . import segmentation
from .pieces import RECORD, SHIFT
from .state import SENDING

if TYPE_CHECKING:
    from .connection import Connection

#: Room for so much, in bytes, is plenty.
_PLENTY: Final = 1 << 19
#: More than what the packets cost that go out meanwhile.
_OUTSIDE: Final = 1 << 16
#: What a piece costs beside its data, in bytes.
_BESIDE: Final = 832
#: For what the window takes, memory is reckoned in pieces of one segment: what is around it, and beside.
_AROUND: Final = 192 + 320
_APART: Final = 256
_LEAST_SEGMENTS: Final = 10
_WINDOWS: Final = 2
#: The same where the controller leaves more on the way than its window says.
_WINDOWS_BY_RATE: Final = 3


def held(c: Connection) -> int:
    """What everything costs that was written and not acknowledged, in bytes."""
    pieces, size = c.pieces, c.buffer.end - c.buffer.start
    if not size or pieces is None:
        return size
    packets = pieces.packets
    count = len(packets) - bisect_right(packets, c.snd_una << 1 | 1) + len(pieces.queue) - pieces.head
    if pieces.written:
        _, cut = pieces.last(c.snd_nxt)
        count += -(-(c.buffer.end - cut) // c.size_goal)
    return size + count * _BESIDE


def _held_at_most(c: Connection) -> int:
    """What `held` is not above: quickly known."""
    pieces, size = c.pieces, c.buffer.end - c.buffer.start
    if not size or pieces is None:
        return size
    return size + (len(pieces.packets) + len(pieces.queue) + size // c.size_goal + 1) * _BESIDE


def _limit(c: Connection) -> int:
    """What may be held. While losses are repaired nothing leaves the buffer, and the window is to be filled all the
    same: what has arrived early counts less, up to half of the limit (a peer may lie)."""
    limit, board = c.snd_limit, c.board
    if board is None or c.options.send_buffer or not board.sacked.size:
        return limit
    return limit + min(board.sacked.size, limit >> 1)


def takes(c: Connection, size: int) -> bool:
    """Whether a small write, of ``size`` bytes, is taken for sure, as nothing waits to be sent: quickly known."""
    if size > c.mss or c.snd_nxt < c.buffer.end or c.state not in SENDING or c.fin_queued:
        return False
    if c.options.notsent_low_water or c.tcp.settings.notsent_low_water:
        return False
    return c.buffer.start == c.buffer.end or _held_at_most(c) < _limit(c)


def room(c: Connection) -> int:
    """How many bytes a write would take; of more than it is wise to write at once, it need not be said exactly."""
    limit, goal = _limit(c), c.size_goal
    least = limit - _held_at_most(c)
    if least >= _PLENTY:
        return (least - _OUTSIDE) // (goal + _BESIDE) * goal
    now, unsent = segmentation.sendable(c), c.unsent
    spare = _spare(c, now)
    left = limit - held(c) - spare
    if left <= 0:
        return spare
    packet = max(min(segmentation.largest(c), c.congestion.cwnd // c.mss >> 1), 1) * c.mss
    if now and unsent:  # what goes out costs as much as it has packets, what still waits as it has pieces
        going = min(now, unsent + spare)
        left += (-(-unsent // goal) - -(-(unsent + spare - going) // goal) - -(-going // packet)) * _BESIDE
        now -= going
    return spare + _begun(c, now, left, packet) if left > 0 else spare


def _begun(c: Connection, now: int, left: int, packet: int) -> int:
    """How many bytes the pieces hold that may be begun with so much memory ``left``, while ``now`` bytes go out. A
    piece that is full goes out in a packet, or its first packet does and is filled up again, until the peer should hand
    over what it has: then all of it goes."""
    goal = c.size_goal
    step = goal if packet >= goal else goal + ((c.max_snd_wnd >> 1) - goal + packet) // packet * packet
    gone = min(now // step, -(-left // (step + step * _BESIDE // packet))) * step
    left -= gone + -(-gone // packet) * _BESIDE
    if left <= 0:
        return gone
    now -= gone
    left -= now + -(-now // packet) * _BESIDE
    return gone + now + max(-(-left // (goal + _BESIDE)), 1) * goal


def _spare(c: Connection, now: int) -> int:
    """How many bytes are missing to fill the last piece that waits, when ``now`` bytes have gone that can."""
    pieces = c.pieces
    if pieces is None or not (pieces.queue or pieces.written):
        return 0
    begin, _ = pieces.last(c.snd_nxt)
    last = pieces.written[-1] if pieces.written else pieces.queue[-1]
    waiting = (last >> SHIFT) - max(begin, c.snd_nxt + now)
    return 0 if waiting <= 0 or last & RECORD else -waiting % c.size_goal


def writable(c: Connection) -> bool:
    """Whether a writer should be woken: there is room for half of what is held, so that it is not woken for every few
    bytes."""
    used = held(c)
    return used < c.snd_limit and (c.snd_limit - used) * 2 >= used


def crowded(c: Connection) -> bool:
    """Whether a writer has filled two thirds, and is to be told when there is room again."""
    limit = c.snd_limit * 2
    return _held_at_most(c) * 3 > limit and held(c) * 3 > limit


def follow(c: Connection) -> None:
    """The congestion window is known, or was in the way: does the buffer hold enough for it?"""
    if c.options.send_buffer:
        return
    control, settings, mss = c.congestion, c.tcp.settings, c.mss
    piece = max(c.peer_mss, mss) + _AROUND
    segments = max(control.cwnd // mss, _LEAST_SEGMENTS, settings.reordering + 1)
    windows = _WINDOWS_BY_RATE if control.samples else _WINDOWS
    wanted = windows * segments * ((1 << (piece - 1).bit_length()) + _APART)
    if wanted > c.snd_limit:
        c.snd_limit = max(c.snd_limit, min(wanted, settings.max_send_buffer))
