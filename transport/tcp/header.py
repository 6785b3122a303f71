"""The TCP header on the wire (RFC 9293 §3.1)."""

from __future__ import annotations

from struct import Struct
from typing import Final

import construct

from ...link.wireformat import fixed_part
from ...net.protocols import TCP as TCP

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
CWR: Final = 0x80

TcpHeader: Final = construct.Struct(
    "source_port" / construct.Int16ub,
    "destination_port" / construct.Int16ub,
    "sequence_number" / construct.Int32ub,
    "acknowledgment_number" / construct.Int32ub,
    "offset_and_flags"
    / construct.BitStruct(
        "data_offset" / construct.BitsInteger(4),
        "reserved" / construct.BitsInteger(4),
        "cwr" / construct.Flag,
        "ece" / construct.Flag,
        "urg" / construct.Flag,
        "ack" / construct.Flag,
        "psh" / construct.Flag,
        "rst" / construct.Flag,
        "syn" / construct.Flag,
        "fin" / construct.Flag,
    ),
    "window" / construct.Int16ub,
    "checksum" / construct.Int16ub,
    "urgent_pointer" / construct.Int16ub,
)

#: The same for the fast path: source and destination port, sequence and acknowledgment number, data offset (upper four
#: bits) and flags (lower eight), window, checksum, urgent pointer.
HEADER: Final = fixed_part(TcpHeader)
HEADER_SIZE: Final = HEADER.size
CHECKSUM_OFFSET: Final = 16
SEQUENCE_NUMBER_OFFSET: Final = 4
SEQUENCE_NUMBER: Final = Struct(">I")

_NAMES: Final = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (PSH, "PSH"), (ACK, "ACK"), (URG, "URG"), (ECE, "ECE"),
    (CWR, "CWR"))  # fmt: skip


def flag_names(flags: int) -> str:
    """``SYN,ACK``: the flags as people write them."""
    return ",".join(name for bit, name in _NAMES if flags & bit)
