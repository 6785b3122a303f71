"""TCP options on the wire (RFC 9293 §3.2, RFC 7323, RFC 2018)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

import construct

from ...link.wireformat import fixed_part

if TYPE_CHECKING:
    from ...link.packet import Buffer

END: Final = 0
NOP: Final = 1
MSS: Final = 2
WINDOW_SCALE: Final = 3
SACK_PERMITTED: Final = 4
SACK: Final = 5
TIMESTAMPS: Final = 8
#: RFC 2385, RFC 5925.
SIGNATURES: Final = frozenset((19, 29))
FAST_OPEN: Final = 34
#: RFC 4727; and what begins the Fast Open option in its experimental form (RFC 7413 appendix A).
EXPERIMENT: Final = 254
_FAST_OPEN_MAGIC: Final = b"\xf9\x89"

#: RFC 7323 §2.3: a larger shift is taken as this one.
MAX_WINDOW_SHIFT: Final = 14
#: RFC 7413 §4.1.1: an even number of bytes between 4 and 16, or none.
_COOKIE_SIZES: Final = frozenset((0, 4, 6, 8, 10, 12, 14, 16))

_SackBlock: Final = construct.Struct("left" / construct.Int32ub, "right" / construct.Int32ub)
_Timestamps: Final = construct.Struct("value" / construct.Int32ub, "echo_reply" / construct.Int32ub)
_VALUES: Final = {
    MSS: construct.Int16ub,
    WINDOW_SCALE: construct.Int8ub,
    SACK_PERMITTED: construct.Pass,
    SACK: construct.GreedyRange(_SackBlock),
    TIMESTAMPS: _Timestamps,
}
#: The length of an option counts its kind and itself.
_Length: Final = construct.ExprAdapter(construct.Int8ub, construct.obj_ - 2, construct.obj_ + 2)

#: One option, for whoever wants to see it in full (a dissector, tests).
TcpOption: Final = construct.Struct(
    "kind" / construct.Int8ub,
    "value"
    / construct.If(
        construct.this.kind > NOP,
        construct.Prefixed(
            _Length,
            construct.Switch(construct.this.kind, _VALUES, default=construct.GreedyBytes),
        ),
    ),
)

_SACK_BLOCK: Final = fixed_part(_SackBlock)
_TIMESTAMPS: Final = fixed_part(_Timestamps)
#: The whole of an MSS option: kind, length, value.
_MSS: Final = Struct(">BBH")
#: NOP, NOP, kind 8, length 10: how nearly every segment of nearly every system starts its options.
TIMESTAMPS_ALIGNED: Final = 0x0101080A
#: That word, value and echo: the timestamps option as a whole number of words.
ALIGNED: Final = Struct(">I" + _TIMESTAMPS.format[1:])

_SACK_PERMITTED_FIRST: Final = bytes((SACK_PERMITTED, 2))
_SACK_PERMITTED_PADDED: Final = bytes((NOP, NOP, SACK_PERMITTED, 2))


class Options:
    """What a segment's options say; None (or empty) is what is not there."""

    __slots__ = (
        "fast_open",
        "fast_open_experimental",
        "mss",
        "sack",
        "sack_permitted",
        "signed",
        "timestamp",
        "timestamp_echo",
        "window_shift",
    )

    def __init__(self) -> None:
        self.mss: int | None = None
        self.window_shift: int | None = None
        self.sack_permitted = False
        self.sack: list[tuple[int, int]] = []
        self.timestamp: int | None = None
        self.timestamp_echo = 0
        #: A Fast Open cookie, empty for a request (RFC 7413 §4.1.1).
        self.fast_open: bytes | None = None
        self.fast_open_experimental = False
        #: The segment is signed with a key, which nobody here has.
        self.signed = False


def parse(data: Buffer, start: int, end: int) -> Options:
    """Read the options between ``start`` and ``end``.

    Unknown options are skipped by their length (RFC 9293 §3.2, MUST-6); with a nonsensical length, nothing that follows
    can be known, and the rest is ignored (MUST-7).
    """
    options = Options()
    if end - start == ALIGNED.size:
        kind, stamp, echo = ALIGNED.unpack_from(data, start)
        if kind == TIMESTAMPS_ALIGNED:  # nothing else, as mostly
            options.timestamp, options.timestamp_echo = stamp, echo
            return options
    while start < end:
        kind = data[start]
        if kind == NOP:
            start += 1
            continue
        if kind == END or start + 1 >= end:
            break
        size = data[start + 1]
        if size < 2 or start + size > end:
            break
        _parse_one(options, data, kind, start + 2, size - 2)
        start += size
    return options


def _parse_one(options: Options, data: Buffer, kind: int, start: int, size: int) -> None:
    if kind == TIMESTAMPS and size == 8:
        options.timestamp, options.timestamp_echo = _TIMESTAMPS.unpack_from(data, start)
    elif kind == MSS and size == 2:
        options.mss = int.from_bytes(data[start : start + 2])
    elif kind == WINDOW_SCALE and size == 1:
        options.window_shift = min(data[start], MAX_WINDOW_SHIFT)
    elif kind == SACK_PERMITTED and size == 0:
        options.sack_permitted = True
    elif kind == SACK and size % 8 == 0:
        options.sack = [_SACK_BLOCK.unpack_from(data, start + at) for at in range(0, size, 8)]
    elif kind == FAST_OPEN and size in _COOKIE_SIZES:
        options.fast_open = bytes(data[start : start + size])
    elif kind == EXPERIMENT and size - 2 in _COOKIE_SIZES and data[start : start + 2] == _FAST_OPEN_MAGIC:
        options.fast_open = bytes(data[start + 2 : start + size])
        options.fast_open_experimental = True
    elif kind in SIGNATURES:
        options.signed = True


def build_syn(
    mss: int,
    window_shift: int | None,
    timestamps: tuple[int, int] | None,
    fast_open: bytes | None = None,
    *,
    sack: bool = False,
    experimental: bool = False,
) -> bytes:
    """The options of a SYN, padded to whole words. ``experimental``: the form of the Fast Open option."""
    options = _MSS.pack(MSS, 4, mss)
    if sack:
        options += _SACK_PERMITTED_FIRST if timestamps is not None else _SACK_PERMITTED_PADDED
    if timestamps is not None:
        aligned = build_timestamps(*timestamps)
        options += aligned[2:] if sack else aligned  # SACK-permitted takes the place of the padding
    if window_shift is not None:
        options += bytes((NOP, WINDOW_SCALE, 3, window_shift))
    if fast_open is not None:
        kind, value = (EXPERIMENT, _FAST_OPEN_MAGIC + fast_open) if experimental else (FAST_OPEN, fast_open)
        options += bytes((kind, 2 + len(value), *value))
        options = options.ljust(-(-len(options) // 4) * 4, b"\1")
    return options


def build_timestamps(stamp: int, echo: int) -> bytes:
    """The timestamps option (RFC 7323 §3.2) alone, padded to whole words."""
    return ALIGNED.pack(TIMESTAMPS_ALIGNED, stamp, echo)


def build_sack(blocks: list[tuple[int, int]]) -> bytes:
    """The SACK option (RFC 2018 §3), padded to whole words."""
    head = bytes((NOP, NOP, SACK, 2 + 8 * len(blocks)))
    return head + b"".join([_SACK_BLOCK.pack(left & 0xFFFFFFFF, right & 0xFFFFFFFF) for left, right in blocks])
