"""Ethernet II: frames as scapy builds them, addresses as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netower.link.ethernet import (
    ETHERNET,
    HEADER_SIZE,
    EthernetHeader,
    address_text,
    local_address,
    parse_address,
)
from scapy.layers.l2 import Ether

addresses = st.binary(min_size=6, max_size=6)


@given(destination=addresses, source=addresses, ethertype=st.integers(0x600, 0xFFFF), payload=st.binary(max_size=60))
def test_frames_are_the_ones_scapy_builds(destination: bytes, source: bytes, ethertype: int, payload: bytes) -> None:
    theirs = bytes(Ether(dst=address_text(destination), src=address_text(source), type=ethertype) / payload)
    assert ETHERNET.pack(destination, source, ethertype) + payload == theirs
    header = EthernetHeader.parse(theirs)
    assert (header.destination, header.source, header.type) == (destination, source, ethertype)
    assert theirs[HEADER_SIZE:] == payload


@given(addresses)
def test_addresses_survive_being_written_and_read(address: bytes) -> None:
    text = address_text(address)
    assert parse_address(text) == parse_address(text.upper().replace(":", "-")) == address


@pytest.mark.parametrize(
    "text", ["", "02:00:00:00:00", "02:00:00:00:00:0g", "02:00:00:00:00:00:00", "2:0:0:0:0:1", "02:00:00:00:00:  "]
)
def test_malformed_addresses_are_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is not an Ethernet address"):
        parse_address(text)


@given(st.integers(min_value=0))
def test_made_up_addresses_are_unicast_and_local(number: int) -> None:
    address = local_address(number)
    assert len(address) == 6
    assert address[0] & 0b11 == 0b10
