"""The IPv4 header (RFC 791 §3.1)."""

from __future__ import annotations

from typing import Final

import construct

from ..link.wireformat import fixed_part

Ipv4Header: Final = construct.Struct(
    "version_ihl" / construct.BitStruct("version" / construct.Nibble, "ihl" / construct.Nibble),
    "traffic_class" / construct.Int8ub,
    "total_length" / construct.Int16ub,
    "identification" / construct.Int16ub,
    "fragment"
    / construct.BitStruct(
        "reserved" / construct.Flag,
        "dont_fragment" / construct.Flag,
        "more_fragments" / construct.Flag,
        "offset" / construct.BitsInteger(13),
    ),
    "hop_limit" / construct.Int8ub,
    "protocol" / construct.Int8ub,
    "checksum" / construct.Int16ub,
    "source" / construct.Bytes(4),
    "destination" / construct.Bytes(4),
    "options" / construct.Bytes(lambda header: header.version_ihl.ihl * 4 - 20),
)
#: The fixed part for the fast path: version and IHL, traffic class, total length, identification, flags and fragment
#: offset, hop limit, protocol, checksum, source, destination.
IPV4: Final = fixed_part(Ipv4Header)
HEADER_SIZE: Final = IPV4.size

#: Version 4, and a header of five words: no options.
PLAIN: Final = 0x45
DONT_FRAGMENT: Final = 0x4000
MORE_FRAGMENTS: Final = 0x2000
#: The fragment offset, in units of 8 bytes, and how to see whether a datagram is a fragment at all.
OFFSET_MASK: Final = 0x1FFF
FRAGMENT_MASK: Final = MORE_FRAGMENTS | OFFSET_MASK

#: Every link must take packets of this size (RFC 791 §3.2): the largest header, and eight bytes.
MIN_MTU: Final = 68

#: No total length is larger.
MAX_SIZE: Final = 65535
