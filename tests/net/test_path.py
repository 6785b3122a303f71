"""Paths: which way a packet takes, from which address, and when there is none."""

from __future__ import annotations

import errno

import pytest
from netower.link import Loopback, Offloads, Packet, Wire
from netower.net.address import parse
from netower.net.internet import Internet
from netower.net.settings import NetSettings
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether


@pytest.fixture
def host(network) -> Internet:
    """Two subnets, of which one has two addresses, a point-to-point link without any, and loopback."""
    host = network.host()
    network.attach(host, Loopback(), "127.0.0.1/8")
    network.attach(host, Wire().ends[0], "10.0.1.1/24", "10.0.9.1/24")
    network.attach(host, Wire(mtu=9000).ends[0], "10.0.2.1/24")
    network.attach(host, Wire(ethernet=False).ends[0])
    host.routes.add("default", via="10.0.2.254")
    host.routes.add("10.5.0.0/16", via="10.0.9.254")
    host.routes.add("10.6.0.0/16", interface="tun0")
    return host


@pytest.mark.parametrize(
    ("destination", "source", "interface", "next_hop"),
    [
        ("10.0.1.7", "10.0.1.1", "eth0", "10.0.1.7"),
        ("10.0.9.7", "10.0.9.1", "eth0", "10.0.9.7"),
        ("10.5.1.1", "10.0.9.1", "eth0", "10.0.9.254"),
        ("8.8.8.8", "10.0.2.1", "eth1", "10.0.2.254"),
        ("10.6.1.1", "10.0.1.1", "tun0", "10.6.1.1"),
        ("127.0.0.1", "127.0.0.1", "lo", "127.0.0.1"),
        ("127.9.9.9", "127.0.0.1", "lo", "127.9.9.9"),
        ("10.0.2.1", "10.0.2.1", "lo", "10.0.2.1"),
        ("224.0.0.5", "10.0.2.1", "eth1", "224.0.0.5"),
        ("255.255.255.255", "10.0.2.1", "eth1", "255.255.255.255"),
        ("10.0.1.255", "10.0.1.1", "eth0", "10.0.1.255"),
    ],
)
def test_the_way(host: Internet, destination: str, source: str, interface: str, next_hop: str) -> None:
    path = host.path(parse(destination))
    assert (path.source, path.interface.name, path.next_hop) == (parse(source), interface, parse(next_hop))
    assert path.destination == parse(destination)
    assert path.mtu == {"eth0": 1500, "eth1": 9000, "lo": 65535, "tun0": 1500}[interface]
    assert path.broadcast == destination.endswith(".255")
    assert path.offloads == path.interface.link.offloads
    assert host.path(parse(destination), bytes(4)) is path


def test_a_source_may_be_chosen(host: Internet) -> None:
    path = host.path(parse("10.0.1.7"), parse("10.0.2.1"))
    assert (path.source, path.interface.name) == (parse("10.0.2.1"), "eth0")
    assert host.path(parse("255.255.255.255"), parse("10.0.1.1")).interface.name == "eth0"
    assert host.path(parse("10.0.1.1"), parse("127.0.0.1")).source == parse("127.0.0.1")


@pytest.mark.parametrize(
    ("destination", "source", "code"),
    [
        ("0.0.0.0", None, errno.EINVAL),
        ("0.1.2.3", None, errno.EINVAL),
        ("240.0.0.1", None, errno.EINVAL),
        ("8.8.8.8", "127.0.0.1", errno.EINVAL),
        ("8.8.8.8", "10.0.1.2", errno.EADDRNOTAVAIL),
        ("::1", None, errno.EAFNOSUPPORT),
        ("8.8.8.8", "::1", errno.EAFNOSUPPORT),
    ],
)
def test_no_way(host: Internet, destination: str, source: str | None, code: int) -> None:
    with pytest.raises(OSError) as caught:
        host.path(parse(destination), parse(source) if source else None)
    assert caught.value.errno == code


@pytest.mark.parametrize("destination", ["10.0.0.1", "127.0.0.1", "255.255.255.255", "224.0.0.1"])
def test_a_host_without_interfaces_reaches_nothing(network, destination: str) -> None:
    with pytest.raises(OSError) as caught:
        network.host().path(parse(destination))
    assert caught.value.errno == errno.ENETUNREACH


def test_whose_an_address_is(host: Internet) -> None:
    assert host.is_local(parse("10.0.1.1"))
    assert host.is_local(parse("127.3.2.1"))
    for address in ("10.0.1.2", "127.255.255.255", "::1"):
        assert not host.is_local(parse(address))
    assert host.is_broadcast(parse("255.255.255.255"))
    assert host.is_broadcast(parse("10.0.9.255"))
    assert host.is_broadcast(parse("127.255.255.255"))
    assert not host.is_broadcast(parse("10.5.255.255"))
    assert not host.is_broadcast(bytes(16))


def test_detaching_an_interface(host: Internet, sink) -> None:
    path = host.path(parse("10.0.1.7"))
    eth0 = next(interface for interface in host.interfaces if interface.name == "eth0")
    host.register(99, sink)
    path.send(Packet([b"waiting.."]), 99)
    host.detach(eth0)
    assert [failure.errno for failure in sink.failures] == [errno.EHOSTUNREACH]
    assert not path.valid
    assert not host.is_local(parse("10.0.1.1"))
    assert not host.is_broadcast(parse("10.0.1.255"))
    assert host.path(parse("10.0.1.7")).interface.name == "eth1"
    eth0.neighbors.set(parse("10.0.1.7"), bytes(6))
    path.send(Packet([b"late"]), 99)
    assert host.counters["link.detached"] > 0
    assert host.attach(Wire().ends[0], "10.0.1.1/24").name == "eth0"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.3.1/33", ValueError),
        ("nonsense", ValueError),
        ("10.0.3.0/24", ValueError),
        ("10.0.3.255/24", ValueError),
        ("224.0.0.1/4", ValueError),
        ("0.0.0.0/0", ValueError),
        ("fe80::1/64", ValueError),
        ("10.0.1.1/24", OSError),
    ],
)
def test_addresses_that_no_host_can_have(host: Internet, address: str, expected: type[Exception]) -> None:
    with pytest.raises(expected, match=address.split("/")[0]):
        host.attach(Wire().ends[0], address)
    assert len(host.interfaces) == 4


def test_names_and_sizes_of_links(host: Internet) -> None:
    with pytest.raises(OSError, match="eth0") as caught:
        host.attach(Wire().ends[0], name="eth0")
    assert caught.value.errno == errno.EEXIST
    with pytest.raises(ValueError, match="67"):
        host.attach(Wire(mtu=67).ends[0])
    twice = host.attach(Wire().ends[0], "10.7.0.1/24", "10.7.0.2/24", name="x")
    assert [str(own) for own in twice.addresses] == ["10.7.0.1/24", "10.7.0.2/24"]
    assert host.attach(Wire().ends[0], "10.8.0.1/31", "10.8.0.4/32").addresses[0].broadcast is None


def test_groups_need_no_neighbor(network) -> None:
    host = network.host()
    sent = network.attach(host, Wire().ends[0], "10.0.0.1/24").sent
    sent.clear()
    for destination in ("255.255.255.255", "10.0.0.255", "224.1.129.3"):
        host.path(parse(destination)).send(Packet([b"all"]), 99)
    assert [Ether(frame).dst for frame in sent] == ["ff:ff:ff:ff:ff:ff"] * 2 + ["01:00:5e:01:81:03"]


@pytest.mark.parametrize("loopback", [False, True])
def test_a_broadcast_is_heard_by_its_sender_too(network, sink, loopback: bool) -> None:
    first, second = network.host(), network.host()
    if loopback:
        network.attach(first, Loopback(), "127.0.0.1/8")
    network.connect(first, "10.0.0.1/24", second, "10.0.0.2/24")
    first.register(99, sink)
    second.register(99, sink)
    first.path(parse("10.0.0.255")).send(Packet([b"hear", b"me"]), 99)
    network.settle()
    assert sink.payloads == [b"hearme"] * 2
    assert {packet.source for packet in sink.packets} == {parse("10.0.0.1")}


def test_headers_are_what_was_asked_for(network) -> None:
    host = network.host()
    sent = network.attach(host, Wire().ends[0], "10.0.0.1/24").sent
    host.interfaces[0].neighbors.set(parse("10.0.0.2"), b"\2\0\0\0\0\2")
    sent.clear()
    path = host.path(parse("10.0.0.2"))
    path.send(Packet([b"atomic"]), 99, hop_limit=7, traffic_class=0xB8)
    for _ in range(3):
        path.send(Packet([bytes(7)]), 99, dont_fragment=False)
    packets = [Ether(frame)[IP] for frame in sent]
    for packet in packets:
        again = packet.copy()
        del again.chksum, again.len
        assert bytes(IP(bytes(again))) == bytes(packet)
    assert (packets[0].ttl, packets[0].tos, packets[0].flags, packets[0].id) == (7, 0xB8, "DF", 0)
    idents = [packet.id for packet in packets[1:]]
    assert idents == [(idents[0] + step) & 0xFFFF for step in range(3)]
    assert {str(packet.flags) for packet in packets[1:]} == {""}


def test_the_memory_of_paths_is_bounded(network) -> None:
    host = network.host(NetSettings(path_cache=10))
    network.attach(host, Wire(offloads=Offloads.CHECKSUM).ends[0], "10.0.0.1/8")
    paths = [host.path(bytes([10, 1, 0, last])) for last in range(1, 30)]
    assert [path.valid for path in paths] == [False] * 19 + [True] * 10
    for path in paths[-10:]:
        host.lower_mtu(path.destination, 1000)
    assert host.path(paths[-1].destination).mtu == 1000
    assert host.lower_mtu(parse("10.2.2.2"), 1000) == 0
    more = [host.path(bytes([10, 2, 0, last])) for last in range(1, 11)]
    for path in more:
        assert host.lower_mtu(path.destination, 900) == 900
    assert host.path(paths[-1].destination).mtu == 1500


def test_a_path_alone_asks_for_no_neighbor(network) -> None:
    host = network.host()
    sent = network.attach(host, Wire().ends[0], "10.0.0.1/24").sent
    sent.clear()
    path = host.path(parse("10.0.0.2"))
    path.confirm()
    assert (sent, len(host.interfaces[0].neighbors)) == ([], 0)
    path.send(Packet([b"now"]), 99)
    assert (len(sent), len(host.interfaces[0].neighbors)) == (1, 1)
