"""The strategies draw what they promise: scapy reads the frames as we mean them, hosts stand them, topologies carry."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from netower.app import strategies
from netower.app.strategies import DrawnFrame, Topology
from netower.link.packet import Packet
from netower.link.wire import Wire
from netower.stack import Host
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

LAYERS = {
    "tcp": (strategies.tcp_frames, TCP),
    "udp": (strategies.udp_frames, UDP),
    "icmp": (strategies.icmp_frames, ICMP),
    "arp": (strategies.arp_frames, ARP),
}


def rebuilt(frame: bytes) -> bytes:
    """The frame with every length and checksum as scapy computes it."""
    packet = Ether(frame)
    for layer, fields in ((IP, ("len", "chksum")), (UDP, ("len", "chksum")), (TCP, ("chksum",)), (ICMP, ("chksum",))):
        part = packet.getlayer(layer)
        # What an error quotes is not ours to mend.
        if part is not None and type(part) is layer:
            for field in fields:
                part.delfieldval(field)
    return bytes(packet)


@pytest.mark.parametrize("protocol", LAYERS)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_valid_frames_are_valid(protocol: str, data: Any) -> None:
    drawn, layer = LAYERS[protocol]
    frame = data.draw(drawn("10.0.0.1", "10.0.0.2"))
    packet = Ether(frame)
    assert packet.haslayer(layer)
    if protocol == "arp":
        assert (packet[ARP].psrc, packet[ARP].pdst) == ("10.0.0.1", "10.0.0.2")
    else:
        assert (packet[IP].src, packet[IP].dst) == ("10.0.0.1", "10.0.0.2")
        assert packet[IP].len == len(frame) - 14
    assert rebuilt(frame) == frame  # (a sum of 0 can be written in two ways: these examples have none)
    assert repr(frame).startswith(f"<{protocol} ")
    assert frame.hex() in repr(frame)


@given(st.data())
def test_ports_and_addresses_that_are_given_are_there(data: Any) -> None:
    packet = Ether(data.draw(strategies.udp_frames("10.0.0.1", "10.0.0.2", 5, 7)))
    assert (packet[UDP].sport, packet[UDP].dport) == (5, 7)
    packet = Ether(data.draw(strategies.tcp_frames("10.0.0.1", "10.0.0.2", 5, 7)))
    assert (packet[TCP].sport, packet[TCP].dport) == (5, 7)


@given(strategies.addresses(), strategies.addresses("192.168.1.0/30"), strategies.link_addresses())
def test_addresses(anywhere: str, near: str, station: bytes) -> None:
    assert socket.inet_pton(socket.AF_INET, anywhere)[0] not in (0, 127, *range(224, 256))
    assert near in ("192.168.1.1", "192.168.1.2")
    assert len(station) == 6
    assert not station[0] & 1


def receiver() -> tuple[Host, Any]:
    """A host at 10.0.0.2, and the other end of its wire."""
    wire = Wire(addresses=(b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2"))
    host = Host("receiver")
    host.attach(wire.ends[1], "10.0.0.2/24")
    return host, wire.ends[0]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.one_of(
            strategies.frames("10.0.0.1", "10.0.0.2"),
            strategies.nearly_valid_frames(strategies.frames("10.0.0.1", "10.0.0.2")),
        ),
        max_size=5,
    )
)
def test_a_host_stands_every_frame(frames: list[DrawnFrame]) -> None:
    host, end = receiver()
    listening = host.calls.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind((bytes(4), 7))
    listening.listen(5)
    for number, frame in enumerate(frames):
        end.send_packet(Packet([b"\x02\0\0\0\0\2" + frame[6:]]))
        host.advance(float(number))
        host.pump()
    host.advance(1000.0)
    host.pump()


@given(strategies.nearly_valid_frames())
def test_nearly_valid_frames_say_what_is_wrong(frame: DrawnFrame) -> None:
    assert frame.defect
    assert frame.defect in repr(frame)


@pytest.mark.parametrize("kind", ["truncated", "bit", "IPv4's", "TCP's", "UDP's", "ICMP's", "ARP's"])
def test_nearly_valid_frames_are_of_every_kind(kind: str) -> None:
    find(
        strategies.nearly_valid_frames(),
        lambda frame: frame.defect.startswith(kind),
        settings=settings(max_examples=5000, database=None, phases=[Phase.generate]),
    )


# -- topologies


@settings(max_examples=30, deadline=None)
@given(topology=strategies.topologies(conditions=strategies.wire_conditions(most_loss=5)), data=st.data())
def test_every_host_reaches_every_other(topology: Topology, data: Any) -> None:
    one, other = data.draw(st.permutations(topology.hosts))[:2]
    with topology.build(seed=data.draw(st.integers(0, 5))) as network:
        server = network[other].host.calls.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.bind((bytes(4), 7))
        server.listen(5)
        client = network[one].host.calls.socket(socket.AF_INET, socket.SOCK_STREAM)
        address = socket.inet_pton(socket.AF_INET, network[other].address)
        with pytest.raises(BlockingIOError):
            client.connect((address, 7))
        network.run(until="2min")
        client.connect((address, 7))


def test_topologies_shrink_to_two_hosts_on_a_wire() -> None:
    quiet = settings(derandomize=True, database=None)
    assert repr(find(strategies.topologies(), lambda _: True, settings=quiet)) == "[h1 - h2]"
    routed = find(strategies.topologies(), lambda topology: bool(topology.routers), settings=quiet)
    assert repr(routed) == "[h1 - r1; h2 - r1]"
    lossy = find(
        strategies.topologies(),
        lambda topology: any("loss" in conditions for *_, conditions in topology.wires),
        settings=quiet,
    )
    assert repr(lossy) == "[h1 - h2 (loss 1%)]"


def test_a_topology_builds_the_same_network_each_time() -> None:
    topology = find(strategies.topologies(), lambda topology: len(topology.wires) > 3)
    with topology.build() as first, topology.build() as second:
        assert [node.addresses for node in first.nodes.values()] == [node.addresses for node in second.nodes.values()]
        assert list(first.wires) == list(second.wires)
