"""What is told of a connection beside a stamp (SOF_TIMESTAMPING_OPT_STATS): netlink attributes, a number each."""

from __future__ import annotations

import sys
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from .info import read_tcp_info, tcp_info

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = Struct("=HH")  # length with this head, and kind
_ALIGNMENT: Final = 4
#: Each attribute's kind (TCP_NLA_…, include/uapi/linux/tcp.h), its size, and what TCP_INFO calls it, in Linux's order.
_ATTRIBUTES: Final = (
    (1, 8, "busy_time"),
    (2, 8, "rwnd_limited"),
    (3, 8, "sndbuf_limited"),
    (4, 8, "data_segs_out"),
    (5, 8, "total_retrans"),
    (6, 8, "pacing_rate"),
    (7, 8, "delivery_rate"),
    (8, 4, "snd_cwnd"),
    (9, 4, "reordering"),
    (10, 4, "min_rtt"),
    (11, 1, "retransmits"),
    (12, 1, "app_limited"),
    (15, 4, "snd_ssthresh"),
    (16, 4, "delivered"),
    (17, 4, "delivered_ce"),
    (13, 4, "queued"),
    (14, 1, "ca_state"),
    (18, 8, "bytes_sent"),
    (19, 8, "bytes_retrans"),
    (20, 4, "dsack_dups"),
    (21, 4, "reord_seen"),
    (22, 4, "rtt"),
    (23, 2, "rehash"),
    (24, 4, "notsent_bytes"),
    (25, 8, "departure"),
    (27, 4, "rehash"),
)
_APP_LIMITED: Final = 1


def statistics(socket: Any, going: int = 0) -> bytes:
    """The attributes of a stream socket with a connection. Of a packet of ``going`` bytes that goes out just now the
    segments count, the bytes do not yet, as on Linux."""
    values = read_tcp_info(tcp_info(socket))
    count = -(-going // socket.connection.mss)
    values["data_segs_out"] += count
    values["delivered"] += count
    values["notsent_bytes"] += going
    values["app_limited"] = values["flags"] & _APP_LIMITED
    values["queued"] = socket.unacknowledged
    values["departure"] = round(socket.calls.host.scheduler.now * 1e9)
    return b"".join(_attribute(kind, size, values[name]) for kind, size, name in _ATTRIBUTES)


def _attribute(kind: int, size: int, value: int) -> bytes:
    value &= (1 << 8 * size) - 1
    return _HEAD.pack(_HEAD.size + size, kind) + value.to_bytes(size, sys.byteorder) + bytes(-size % _ALIGNMENT)


def read_statistics(data: bytes) -> Iterator[tuple[int, int]]:
    """Kinds and values."""
    while len(data) >= _HEAD.size:
        length, kind = _HEAD.unpack_from(data)
        yield kind, int.from_bytes(data[_HEAD.size : length], sys.byteorder)
        data = data[max(length + -length % _ALIGNMENT, _HEAD.size) :]
