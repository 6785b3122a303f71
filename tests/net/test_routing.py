"""The routing table, against one that looks at every route."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netower.link import Wire
from netower.net.address import Prefix, parse
from netower.net.internet import Internet
from netower.net.routing import Route, RoutingTable


@pytest.fixture
def host(network) -> Internet:
    host = network.host()
    for number in (1, 2):
        network.attach(host, Wire().ends[0], f"10.0.{number}.1/24")
    return host


def addresses(size: int) -> st.SearchStrategy[bytes]:
    """Addresses that often share prefixes."""
    return st.lists(st.sampled_from([0, 1, 128, 255]), min_size=size, max_size=size).map(bytes)


@st.composite
def prefixes(draw: st.DrawFn, size: int) -> Prefix:
    length = draw(st.integers(0, size * 8))
    value = int.from_bytes(draw(addresses(size)))
    return Prefix((value >> size * 8 - length << size * 8 - length).to_bytes(size), length)


@given(st.data(), st.sampled_from([4, 16]))
@settings(deadline=None)
def test_lookup_finds_what_a_look_at_every_route_finds(data: st.DataObject, size: int) -> None:
    table = RoutingTable([], lambda: None)
    made: dict[tuple[Prefix, int], Route] = {}
    for prefix, metric in data.draw(st.lists(st.tuples(prefixes(size), st.integers(0, 3)), max_size=20)):
        if (prefix, metric) in made:
            if data.draw(st.booleans()):
                table.discard(made.pop((prefix, metric)))
            continue
        route = made[prefix, metric] = Route(prefix, None, metric=metric)  # type: ignore[arg-type]
        table.insert(route)
    assert set(table) == set(made.values())
    assert len(table) == len(made)
    for destination in data.draw(st.lists(addresses(size), min_size=1, max_size=10)):
        fitting = [route for route in made.values() if destination in route.prefix]
        best = max(fitting, key=lambda route: (route.prefix.length, -route.metric), default=None)
        assert table.lookup(destination) == best
    assert table.lookup(bytes(20 - size)) is None


def test_connected_routes_come_and_go_with_interfaces(host: Internet) -> None:
    assert [str(route) for route in host.routes] == ["10.0.1.0/24 dev eth0", "10.0.2.0/24 dev eth1"]
    host.detach(host.interfaces[0])
    assert [str(route) for route in host.routes] == ["10.0.2.0/24 dev eth1"]


def test_a_gateway_names_the_interface(host: Internet) -> None:
    route = host.routes.add("default", via="10.0.2.9", metric=7, mtu=1400)
    assert route.interface is host.interfaces[1]
    assert str(route) == "default via 10.0.2.9 dev eth1 metric 7 mtu 1400"
    assert host.routes.lookup(parse("8.8.8.8")) == route
    assert host.path(parse("8.8.8.8")).mtu == 1400
    assert host.path(parse("8.8.8.8")).source == parse("10.0.2.1")


def test_the_longest_prefix_and_then_the_smallest_metric_wins(host: Internet) -> None:
    host.routes.add("10.9.0.0/16", via="10.0.1.9")
    far = host.routes.add("10.9.9.0/24", via="10.0.2.9", metric=20)
    near = host.routes.add("10.9.9.0/24", interface="eth0", metric=10)
    assert host.routes.lookup(parse("10.9.9.1")) == near
    assert host.routes.remove("10.9.9.0/24", interface=host.interfaces[0]) == near
    assert host.routes.lookup(parse("10.9.9.1")) == far
    host.routes.remove("10.9.9.0/24", via="10.0.2.9")
    assert host.routes.lookup(parse("10.9.9.1")).via == parse("10.0.1.9")


@pytest.mark.parametrize(
    ("destination", "arguments", "named"),
    [
        ("10.1.0.0/99", {"interface": "eth0"}, "10.1.0.0/99"),
        ("nonsense", {"interface": "eth0"}, "nonsense"),
        ("10.1.0.0/16", {"via": "10.0.1"}, "10.0.1"),
        ("10.1.0.0/16", {"via": "fe80::1"}, "fe80::1"),
        ("10.1.0.0/16", {"via": "10.0.1.1"}, "10.0.1.1"),
        ("10.1.0.0/16", {}, "10.1.0.0/16"),
        ("10.1.0.0/16", {"interface": "eth0", "mtu": 20}, "20"),
        ("10.1.0.0/16", {"interface": "eth0", "metric": -1}, "-1"),
    ],
)
def test_nonsense_is_named(host: Internet, destination: str, arguments: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named.replace(".", r"\.")):
        host.routes.add(destination, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("destination", "arguments", "code"),
    [
        ("10.1.0.0/16", {"via": "10.7.7.7"}, errno.ENETUNREACH),
        ("10.1.0.0/16", {"via": "10.0.2.9", "interface": "eth0"}, errno.ENETUNREACH),
        ("10.1.0.0/16", {"interface": "eth7"}, errno.ENODEV),
        ("10.0.1.0/24", {"interface": "eth0"}, errno.EEXIST),
    ],
)
def test_what_cannot_be_done_has_an_errno(
    host: Internet, destination: str, arguments: dict[str, str], code: int
) -> None:
    with pytest.raises(OSError) as caught:
        host.routes.add(destination, **arguments)  # type: ignore[arg-type]
    assert caught.value.errno == code
    with pytest.raises(OSError) as caught:
        host.routes.remove("10.77.0.0/16")
    assert caught.value.errno == errno.ESRCH


def test_a_change_of_routes_makes_paths_invalid(host: Internet) -> None:
    path = host.path(parse("10.0.1.9"))
    assert path.valid
    assert host.path(parse("10.0.1.9")) is path
    host.routes.add("10.0.1.9/32", via="10.0.2.9")
    assert not path.valid
    again = host.path(parse("10.0.1.9"))
    assert again.valid
    assert again.interface is host.interfaces[1]
