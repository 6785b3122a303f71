"""Fast Open of one connection (RFC 7413 §4): data in the SYN, and connections used before their handshake is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import arrival, controllers, flight, mtu_probe, send_memory, sizes, timeouts, window
from .fast_open import CLIENT_WITHOUT_COOKIE, SERVER, WITHOUT_COOKIE
from .header import HEADER_SIZE
from .recovery import board_of

if TYPE_CHECKING:
    from .connection import Connection
    from .listener import Listener
    from .segment import Segment

#: Bits of `Connection.fast_open`: our SYN had the option; it had data; data of a SYN were taken; a listener has opened
#: it early; the option has its experimental form (RFC 7413 appendix A); and why data were not taken, by TCP_INFO's
#: numbers of the reasons.
ASKED: Final = 1
SENT: Final = 2
TAKEN: Final = 4
CHILD: Final = 8
EXPERIMENTAL: Final = 16
FAILURE_SHIFT: Final = 5
_NO_COOKIE: Final = 1 << FAILURE_SHIFT
_NOT_ACKNOWLEDGED: Final = 2 << FAILURE_SHIFT
_SENT_AGAIN: Final = 3 << FAILURE_SHIFT
#: What options may take of a segment, in bytes.
_OPTIONS_SPACE: Final = 40
#: So many time-outs with nothing heard are taken for a black hole.
_SUSPICIOUS: Final = 2

# -- the client


def prepare(c: Connection) -> None:
    """A SYN is going to ask for a cookie; or to wait for data and take them along, where there is a cookie."""
    tcp = c.tcp
    settings = tcp.settings
    if tcp.fast_open.paused(tcp.scheduler.now, settings.fast_open_pause):
        return
    if settings.fast_open & CLIENT_WITHOUT_COOKIE or c.options.fast_open_no_cookie:
        c.early = True
        return
    c.fast_open = ASKED
    known = tcp.fast_open.recall(c.remote[0])
    if known is not None and known.experimental:
        c.fast_open = ASKED | EXPERIMENTAL
    c.cookie = known.cookie if known is not None else b""
    c.early = bool(c.cookie)
    if not c.early:
        c.fast_open |= _NO_COOKIE


def room(c: Connection) -> int:
    """How much data our SYN takes along, in bytes (RFC 7413 §4.2.1)."""
    known = c.tcp.fast_open.recall(c.remote[0])
    size = sizes.announce(c)
    return max(min(size, known.mss if known is not None and known.mss else size) - _OPTIONS_SPACE, 0)


def take_along(c: Connection) -> int:
    """Our SYN goes out: how many bytes of data go with it."""
    c.early = False
    size = min(c.buffer.end - c.iss - 1, room(c))
    if size:
        c.fast_open |= SENT
        c.counts.data_segments_out += 1
        assert c.pieces is not None
        c.pieces.packets.append(c.iss + 1 + size << 1 | 1)
    return size


def answered(c: Connection, segment: Segment) -> bool:
    """A SYN and ACK has opened the connection: remember the server's cookie (RFC 7413 §4.1.3), and send data that were
    not taken again at once (§4.2.2). Whether the segment is taken whole, with its data and its FIN."""
    flags = c.fast_open
    if not flags & (ASKED | SENT):
        return False  # as on Linux: the peer will send it again
    if flags & ASKED:
        _learn(c, segment)
    c.cookie = None
    if c.snd_una < c.snd_max:
        c.fast_open |= _SENT_AGAIN if c.retransmissions else _NOT_ACKNOWLEDGED
        board = board_of(c)
        c.counts.controls += flight.segments(c, c.snd_una, c.snd_max) - 1  # that went out as one
        board.lose_everything(c.snd_una, c.snd_max)
        board.after_timeout = True
        c.recover = c.snd_max
        return False
    if flags & SENT:
        c.fast_open = flags | TAKEN
        c.tcp.fast_open.resume()
    _take(c, segment)
    return True


def _take(c: Connection, segment: Segment) -> None:
    """Data came with a SYN: as on Linux they are read, but say nothing of how the peer sends."""
    payload = segment.payload[: c.rcv_adv - c.rcv_nxt]
    segment.payload = segment.payload[len(payload) :]
    segment.seq += len(payload)
    if payload:
        arrival.deliver(c, payload)
        window.charge(c, len(payload), segment.header_size - HEADER_SIZE)


def _learn(c: Connection, segment: Segment) -> None:
    flags, options = c.fast_open, segment.options
    tried = 0
    if options.fast_open is None and not flags & SENT and not c.retransmissions:
        tried = 2 if flags & EXPERIMENTAL else 1
    c.tcp.fast_open.remember(
        c.remote[0],
        options.mss or c.peer_mss,
        options.fast_open or b"",
        experimental=options.fast_open_experimental,
        tried=tried,
    )


def timed_out(c: Connection, *, for_good: bool) -> None:
    """The retransmission timer of a connection whose SYN was not an ordinary one fired."""
    suspicious = c.retries == _SUSPICIOUS or (c.retries < _SUSPICIOUS and for_good)
    if suspicious and c.fast_open & ASKED and not c.counts.data_segments_in:
        c.tcp.fast_open.pause(c.tcp.scheduler.now)


# -- the server


def open_early(c: Connection, segment: Segment, listener: Listener) -> None:
    """A SYN may ask for a cookie, or have one and data with it, which are taken at once (RFC 7413 §4.2.2)."""
    cookie, payload, mode = segment.options.fast_open, segment.payload, c.tcp.settings.fast_open
    if not mode & SERVER or not (payload or cookie is not None) or not listener.takes_early():
        return
    cookies, keys, client, server = c.tcp.fast_open, listener.options.fast_open_keys, c.remote[0], c.local[0]
    needless = mode & WITHOUT_COOKIE or listener.options.fast_open_no_cookie
    if needless:
        key = 1
    elif cookie is None:
        return
    else:
        key = cookies.judge(cookie, client, server, keys)
    if key:
        c.early = True
        c.fast_open = CHILD | TAKEN if payload else CHILD
        c.advertised_mss = c.announced_mss  # as on Linux, where options are counted when the handshake is over
        controllers.start(c)
        send_memory.follow(c)
        mtu_probe.begin(c)
        window.open_up(c)
        c.counts.data_segments_in += bool(payload)
        _take(c, segment)
        listener.opened_early(c)
    if key != 1:  # none, or an old one: here is a new one
        c.cookie = cookies.cookie(client, server, keys)
        if segment.options.fast_open_experimental:
            c.fast_open |= EXPERIMENTAL


def completed(c: Connection, *, time_outs: int) -> None:
    """The handshake is over; what was sent meanwhile is lost if the SYN and ACK was, twice (as Linux has it)."""
    c.advertised_mss = c.announced_mss - sizes.options(c)
    if time_outs > 1 and c.snd_una < c.snd_max:
        timeouts.enter_loss(c, board_of(c))
