"""The receive window: how much the peer may send (RFC 9293 §3.8.6), in the way of Linux.

Theory of operation
===================
The user lends a connection memory, ``rcv_buffer`` bytes. Data cost more than their size: `cost` is what a segment takes
in Linux's accounts, and ``rcv_ratio`` (in 256ths) the part of it that is data, by the largest segments seen. So

    window <= (rcv_buffer - what waits, with its cost) * rcv_ratio

The window offered has two more bounds: ``rcv_clamp``, the most there will ever be, and ``rcv_ssthresh``, which starts
low and grows with each segment that turns out to be worth its memory. The right edge, ``rcv_adv``, never moves back
(SHOULD-14), and moves on only by what is worth it (§3.8.6.2.2). How the memory grows with what the user reads is
`right_sizing`.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from . import acks, right_sizing, sizes
from .options import MAX_WINDOW_SHIFT
from .state import State

if TYPE_CHECKING:
    from .connection import Connection
    from .reassembly import Reassembly

_RATIO_BITS: Final = 8
_HALF: Final = 1 << _RATIO_BITS - 1
_UNSCALED: Final = 65535
_SIGNED: Final = 32767
#: What Linux keeps beside a packet, in front of it and behind; and the smallest piece of memory that it takes for one.
_BESIDE: Final = 256
_AROUND: Final = 64 + 320
_HEADERS: Final = 40
_LEAST_PIECE: Final = 576
_PAGE: Final = 4096
#: What is larger than this is scattered over pages.
_LINEAR: Final = _PAGE + 320
#: TCP_INIT_CWND: what a peer sends in its first round trip.
_INITIAL_SEGMENTS: Final = 10
_LEAST_CLAMP: Final = 1152
_TINY_MSS: Final = 88
#: What waits where nothing does: an empty deque takes 600 bytes, and most connections are idle.
NOTHING: Final[deque[memoryview]] = deque(maxlen=0)
NOTHING_KEPT: Final[list[tuple[int, int]]] = []


@lru_cache(maxsize=1024)
def cost(size: int) -> int:
    """The memory that a segment of ``size`` bytes counts for, TCP's options with them."""
    piece = size + _HEADERS + _AROUND
    if piece <= _PAGE:
        return (1 << (piece - 1).bit_length() if piece > _LEAST_PIECE else _LEAST_PIECE) + _BESIDE
    return -(-piece // _PAGE) * _PAGE + _BESIDE


@lru_cache(maxsize=1024)
def _cost_and_tail(size: int) -> tuple[int, int]:
    """The same, and what such a segment leaves of its memory to others; pages leave nothing."""
    memory, piece = cost(size), size + _HEADERS + _AROUND
    return memory, memory - _BESIDE - piece if piece < _LINEAR else 0


def charge(c: Connection, size: int, options: int) -> None:
    """In-order data of ``size`` bytes wait, that came with so many bytes of TCP options. What was left of the memory of
    those before may be enough for them."""
    if c.readable <= size:
        c.rcv_charge, c.rcv_tail = _cost_and_tail(size + options)
    elif size <= c.rcv_tail:
        c.rcv_tail -= size
    else:
        memory, c.rcv_tail = _cost_and_tail(size + options)
        _keep(c, c.rcv_nxt - size, memory)


def charge_early(reassembly: Reassembly, start: int, size: int, options: int) -> None:
    """The same of data that came before their turn, with sequence numbers from ``start`` on."""
    if size <= reassembly.tail and start == reassembly.tail_end:
        reassembly.tail -= size
    else:
        memory, reassembly.tail = _cost_and_tail(size + options)
        reassembly.charge += memory
    reassembly.tail_end = start + size


def charge_again(c: Connection, size: int, memory: int, *, apart: bool) -> None:
    """Data of ``size`` bytes that were early are the next to wait; ``apart``: others have a part of them, too."""
    if size <= c.rcv_tail and not apart:
        c.rcv_tail -= size
    else:
        c.rcv_tail = _cost_and_tail(size)[1]
        _keep(c, c.rcv_nxt, memory)


def _keep(c: Connection, start: int, memory: int) -> None:
    if c.kept:
        c.kept.append((start, memory))
    else:
        c.kept = [(0, c.rcv_charge), (start, memory)]
    c.rcv_charge += memory


def _release(c: Connection) -> None:
    """Memory is free again when all that has been in it was read."""
    at, kept, count = c.rcv_nxt - c.readable - c.at_end, c.kept, 0
    while count + 1 < len(kept) and kept[count + 1][0] <= at:
        c.rcv_charge -= kept[count][1]
        count += 1
    del kept[:count]


def space(c: Connection) -> int:
    """How much data there is room for."""
    used = c.rcv_charge
    if c.reassembly is not None:
        used += c.reassembly.charge
    return max(c.rcv_buffer - used, 0) * c.rcv_ratio >> _RATIO_BITS


def used(c: Connection) -> int:
    """The memory that received data take."""
    return c.rcv_charge + (c.reassembly.charge if c.reassembly is not None else 0)


def full_space(c: Connection) -> int:
    """How much data there were room for if none waited."""
    return c.rcv_buffer * c.rcv_ratio >> _RATIO_BITS


# -- from the SYN on ---------------------------------------------------------------------------------------------------


def configure(c: Connection, mss: int = 0) -> None:
    """Choose the window that our SYN offers, in whole segments (of ``mss`` bytes), and its scale, from options and
    settings."""
    settings, options = c.tcp.settings, c.options
    c.rcv_buffer = options.receive_buffer or settings.receive_buffer
    c.rcv_ratio = _HALF
    offered, clamp = first(c, mss)
    c.rcv_shift = c.rcv_tail = 0
    if c.rcv_scaling:
        most = min(max(offered, settings.max_receive_buffer, settings.user_receive_buffer), clamp)
        c.rcv_shift = min(max(most.bit_length() - 16, 0), MAX_WINDOW_SHIFT)
    c.rcv_clamp = min(clamp, _UNSCALED << c.rcv_shift)
    c.rcv_ssthresh = offered if c.rcv_scaling else min(offered, _UNSCALED)
    c.rcv_adv = c.rcv_acked + c.rcv_ssthresh


def first(c: Connection, mss: int = 0) -> tuple[int, int]:
    """The window that our SYN offers; and the most that there will ever be."""
    options = c.options
    full = (options.receive_buffer or c.tcp.settings.receive_buffer) * _HALF >> _RATIO_BITS
    clamp = options.window_clamp or _UNSCALED << MAX_WINDOW_SHIFT
    if options.receive_buffer:
        clamp = min(clamp, full)
    mss = mss or c.announced_mss - (sizes.options(c) if c.state is State.SYN_RECEIVED else 0)
    offered = min(full, clamp)
    if offered > mss:
        offered -= offered % mss
    if c.tcp.settings.signed_windows:
        offered = min(offered, _SIGNED)
    if segments := c.tcp.settings.initial_receive_window:
        offered = min(offered, segments * mss)
    return offered, clamp


def start(c: Connection, irs: int) -> None:
    """The peer's initial sequence number is known: its stream begins after it."""
    offered = c.rcv_adv - c.rcv_acked
    c.irs = irs
    c.rcv_nxt = c.rcv_acked = irs + 1
    c.rcv_adv = c.rcv_nxt + offered


def unscaled(c: Connection) -> None:
    """The peer does not know window scaling (RFC 7323 §2.2)."""
    c.rcv_scaling = False
    c.rcv_shift = 0
    c.rcv_clamp = min(c.rcv_clamp, _UNSCALED)


def open_up(c: Connection) -> None:
    """Data may come: with all options known, the rest is decided."""
    most, mss = full_space(c), c.advertised_mss
    c.rcv_clamp = min(c.rcv_clamp, most)
    if c.rcv_clamp > 2 * mss and c.rcv_clamp + mss > most:
        c.rcv_clamp = max(2 * mss, most - mss)
    c.rcv_ssthresh = min(c.rcv_ssthresh, c.rcv_clamp)
    c.rcv_mss = max(min(mss, c.mss, (c.rcv_adv - c.rcv_acked) // 2, acks.LEAST_MSS), _TINY_MSS)


def initial_space(c: Connection) -> int:
    """What the user is expected to read in the first round trip."""
    return min(c.rcv_ssthresh, c.rcv_adv - c.rcv_acked, _INITIAL_SEGMENTS * c.advertised_mss)


def options_changed(c: Connection) -> None:
    """SO_RCVBUF may have been set."""
    c.rcv_buffer = c.options.receive_buffer or c.rcv_buffer


def make_room_for(self: Connection, size: int) -> None:
    """The user waits until ``size`` bytes are there (SO_RCVLOWAT): have memory for them, unless he has set its size."""
    needed = (size << _RATIO_BITS) // self.rcv_ratio
    if not self.options.receive_buffer and needed > self.rcv_buffer:
        self.rcv_buffer = needed
        self.rcv_clamp = max(self.rcv_clamp, size)


def clamp(self: Connection, most: int) -> None:
    """Offer no more than ``most`` bytes from now on, and not only until the window grows (TCP_WINDOW_CLAMP)."""
    most = max(most, _LEAST_CLAMP)
    if most < self.rcv_clamp:
        self.rcv_ssthresh = min(self.rcv_ssthresh, most)
    elif most > self.rcv_clamp:
        self.rcv_ssthresh = max(self.rcv_ssthresh, min(self.rcv_adv - self.rcv_acked, most))
    self.rcv_clamp = most


# -- what goes out -----------------------------------------------------------------------------------------------------


def select(c: Connection) -> int:
    """The window that there is room for, without regard to what was offered before."""
    free = full = full_space(c)
    if c.rcv_charge or c.reassembly is not None:
        free = space(c)
    if full > c.rcv_clamp:
        full = c.rcv_clamp
    shift = c.rcv_shift
    if free < full >> 1:
        c.quick = 0
        free = free >> shift << shift
        if free < full_space(c) >> 4 or free < min(c.rcv_mss, full):
            return 0
    if free > c.rcv_ssthresh:
        free = c.rcv_ssthresh
    elif shift and c.tcp.settings.shrink_window:
        free = free >> shift << shift
    if shift:
        return -(-free >> shift) << shift
    mss = min(c.rcv_mss, full)
    window = c.rcv_adv - c.rcv_acked
    if window <= free - mss or window > free:
        return free - free % mss
    if mss == full and free > window + (full >> 1):
        return free
    return window


def offer(c: Connection) -> int:
    """The window field of a segment that goes out now."""
    offered, shift = c.rcv_adv - c.rcv_nxt, c.rcv_shift
    window = 0 if offered >= c.rcv_ssthresh and not c.quick else select(c)
    if window < offered:
        if shift and c.tcp.settings.shrink_window:
            window = _shrunk(c)
        else:
            window = -(-offered >> shift) << shift
    c.rcv_adv = c.rcv_nxt + window
    field = window >> shift
    largest = _UNSCALED if shift or not c.tcp.settings.signed_windows else _SIGNED
    return field if field < largest else largest


def _shrunk(c: Connection) -> int:
    """What there is room for, although more was offered, in units of the window's scale."""
    shift, full = c.rcv_shift, min(full_space(c), c.rcv_clamp)
    free = space(c) >> shift << shift
    if free < full >> 1:
        c.quick = 0
        if free < full_space(c) >> 4 or free < min(c.rcv_mss, full) or not free:
            return 0
    return min(free, -(-c.rcv_ssthresh >> shift) << shift)


# -- what comes in -----------------------------------------------------------------------------------------------------


def rescale(c: Connection, size: int, options: int) -> None:
    """The peer sends larger segments than before, this one with ``size`` bytes, and so many of TCP options: how much of
    the memory is data?"""
    ratio = max((size << _RATIO_BITS) // cost(size + options), 1)
    if ratio != c.rcv_ratio:
        if c.right_sizing is None:
            c.right_sizing = right_sizing.RightSizing(c)
        c.rcv_ratio = ratio
        clamp(c, full_space(c))
        c.right_sizing.space = min(c.right_sizing.space, c.rcv_clamp)


def grow(c: Connection, size: int, options: int) -> None:
    """Data of ``size`` bytes came, with so many of TCP options; if they were worth their memory, the peer may send more
    while there is room."""
    room = min(c.rcv_clamp, space(c)) - c.rcv_ssthresh
    if room <= 0:
        return
    memory = cost(size + options) * c.rcv_ratio >> _RATIO_BITS
    step = 2 * c.advertised_mss if memory <= size else _cautious_step(c, memory, size)
    if step:
        c.rcv_ssthresh += min(room, max(step, 2 * size))
        c.quick |= 1


def _cautious_step(c: Connection, memory: int, size: int) -> int:
    """For small segments, which cost more: the larger the window already, the better they have to be."""
    memory >>= 1
    window = (c.tcp.settings.max_receive_buffer * c.rcv_ratio >> _RATIO_BITS) >> 1
    while c.rcv_ssthresh <= window:
        if memory <= size:
            return 2 * c.rcv_mss
        memory >>= 1
        window >>= 1
    return 0


def make_room(c: Connection) -> bool:
    """Whether more data may be kept, although what waits takes all the memory by Linux's accounts: that grows with it,
    unless the user has set its size. What does not fit is dropped, and the window closed."""
    used = c.rcv_charge + (c.reassembly.charge if c.reassembly is not None else 0)
    c.quick = 0
    if not c.options.receive_buffer:
        c.rcv_buffer = max(c.rcv_buffer, min(used, c.tcp.settings.max_receive_buffer))
    if used <= c.rcv_buffer:
        return True
    c.rcv_ssthresh = min(c.rcv_clamp, 2 * c.advertised_mss)
    _collapse(c)
    used = c.rcv_charge + (c.reassembly.charge if c.reassembly is not None else 0)
    if used <= c.rcv_buffer:
        return True
    c.tcp.counters["tcp.no_room"] += 1
    return False


def _collapse(c: Connection) -> None:
    """Small segments are put together where their memory is worth less than that of the largest."""
    if c.rcv_charge * c.rcv_ratio >> _RATIO_BITS > c.readable:
        c.rcv_charge = min(c.rcv_charge, c.readable)
        c.kept = NOTHING_KEPT
    if c.reassembly is not None:
        c.reassembly.charge = min(c.reassembly.charge, c.reassembly.size)


# -- what is read ------------------------------------------------------------------------------------------------------


def consume(self: Connection, size: int) -> None:
    """RECEIVE (RFC 9293 §3.10.3): the first ``size`` bytes of ``received`` are read and leave it; the window may open.

    Raises IndexError for more than ``readable``.
    """
    start = self.rcv_nxt - self.readable - self.at_end
    piece = min(size, self.kept[1][0] - start) if len(self.kept) > 1 else size
    if size == self.readable:
        self.received.clear()
        self.received = NOTHING
        self.kept = NOTHING_KEPT
        self.readable = self.rcv_charge = 0
    else:
        _take_off(self.received, size)
        self.readable -= size
        _release(self)
    if self.right_sizing is not None:
        right_sizing.user_read(self, self.right_sizing, start + piece)
    if self.rcv_nxt == self.rcv_acked or not acks.read(self):
        _update(self)


def _take_off(received: deque[memoryview], size: int) -> None:
    while size:
        first = received[0]
        if len(first) > size:
            received[0] = first[size:]
            return
        size -= len(first)
        received.popleft()


def _update(c: Connection) -> None:
    """A window update is due when it at least doubles what the peer has left (as on Linux)."""
    offered = c.rcv_adv - c.rcv_nxt
    if 2 * offered <= c.rcv_clamp and not c.at_end and not c.receive_ended:
        window = select(c)
        if window and window >= 2 * offered:
            c.must_acknowledge = True
            c.mark()
