"""A declaration and the struct that is derived from it read the same."""

from __future__ import annotations

import struct

import construct
import pytest
from hypothesis import given
from hypothesis import strategies as st
from netower.link.capture import PCAP_RECORD, PcapRecord
from netower.link.ethernet import ETHERNET, EthernetHeader
from netower.link.tap import OFFLOAD_HEADER, OffloadHeader
from netower.link.wireformat import fixed_part

HEADERS = [(EthernetHeader, ETHERNET), (OffloadHeader, OFFLOAD_HEADER), (PcapRecord, PCAP_RECORD)]


@given(header=st.sampled_from(HEADERS), data=st.binary(min_size=32, max_size=32))
def test_both_readings_agree_on_any_bytes(header: tuple[construct.Struct, struct.Struct], data: bytes) -> None:
    declaration, fast = header
    parsed = declaration.parse(data)
    values = tuple(parsed[field.name] for field in declaration.subcons)
    assert fast.unpack_from(data) == values
    assert fast.pack(*values) == declaration.build(parsed) == data[: fast.size]


def test_fields_of_bits_become_one_integer() -> None:
    declaration = construct.Struct(
        "bits" / construct.BitStruct("version" / construct.Nibble, "length" / construct.Nibble),
        "magic" / construct.Const(0x1234, construct.Int16ub),
        "kind" / construct.Enum(construct.Int8ub, one=1),
        "zero" / construct.Default(construct.Int32ub, 0),
        "address" / construct.Bytes(4),
        "rest" / construct.GreedyBytes,
    )
    fast = fixed_part(declaration)
    assert fast.format == ">BHBL4s"
    header = declaration.build(
        {"bits": {"version": 4, "length": 5}, "kind": "one", "address": b"\n\0\0\1", "rest": b"more"}
    )
    assert fast.unpack_from(header) == (0x45, 0x1234, 1, 0, b"\n\0\0\1")


def test_declarations_without_a_struct_are_refused() -> None:
    with pytest.raises(TypeError, match="byte orders"):
        fixed_part(construct.Struct("a" / construct.Int16ub, "b" / construct.Int16ul))
    with pytest.raises(TypeError, match="no word"):
        fixed_part(construct.Struct("a" / construct.Int16ub[3]))
