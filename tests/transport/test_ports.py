"""The port registry: who may have which port beside whom."""

from __future__ import annotations

import errno
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netower.transport.ports import EPHEMERAL, PortRegistry

ANY = bytes(4)
HERE = bytes([10, 0, 0, 2])
THERE = bytes([10, 0, 0, 3])


@pytest.fixture
def ports() -> PortRegistry:
    return PortRegistry(Random(1))


def refused(number: int) -> pytest.RaisesExc[OSError]:
    return pytest.raises(OSError, check=lambda error: error.errno == number)


def test_a_port_is_taken_on_its_address_only(ports: PortRegistry) -> None:
    assert ports.bind(HERE, 80, "a") == 80
    assert ports.bind(THERE, 80, "b") == 80
    with refused(errno.EADDRINUSE):
        ports.bind(HERE, 80, "c")
    ports.release("a")
    assert ports.bind(HERE, 80, "c") == 80


@pytest.mark.parametrize(("first", "second"), [(ANY, HERE), (HERE, ANY), (ANY, ANY)])
def test_the_wildcard_overlaps_every_address(ports: PortRegistry, first: bytes, second: bytes) -> None:
    ports.bind(first, 80, "a")
    with refused(errno.EADDRINUSE):
        ports.bind(second, 80, "b")


@pytest.mark.parametrize("option", ["reuse", "reuseport"])
def test_sharing_a_port_takes_the_option_on_both(ports: PortRegistry, option: str) -> None:
    ports.bind(HERE, 80, "a", **{option: True})
    with refused(errno.EADDRINUSE):
        ports.bind(HERE, 80, "b")
    with refused(errno.EADDRINUSE):
        ports.bind(HERE, 80, "b", reuse=option != "reuse", reuseport=option != "reuseport")
    assert ports.bind(HERE, 80, "b", **{option: True}) == 80


def test_a_port_that_is_listened_on_is_not_reused(ports: PortRegistry) -> None:
    ports.bind(HERE, 80, "a", reuse=True)
    ports.bind(ANY, 80, "b", reuse=True)
    ports.listen(HERE, 80, "listener a")
    with refused(errno.EADDRINUSE):
        ports.bind(HERE, 80, "c", reuse=True)
    with refused(errno.EADDRINUSE):
        ports.listen(ANY, 80, "listener b")
    ports.release("listener a")
    ports.listen(ANY, 80, "listener b")


def test_two_may_listen_with_reuseport(ports: PortRegistry) -> None:
    for name in "ab":
        ports.bind(HERE, 80, name, reuseport=True)
        ports.listen(HERE, 80, f"listener {name}")


@pytest.mark.parametrize("reuse", [False, True])
def test_time_wait_holds_the_port_unless_it_is_reused(ports: PortRegistry, reuse: bool) -> None:
    ports.bind(ANY, 80, "server", reuse=reuse)
    ports.listen(ANY, 80, "listener")
    ports.share(HERE, 80, "connection")
    ports.hold("connection", "time-wait")
    ports.release("listener")
    ports.release("server")
    with refused(errno.EADDRINUSE):
        ports.bind(ANY, 80, "next")
    assert ports.bind(THERE, 80, "elsewhere") == 80
    ports.release("elsewhere")
    if reuse:
        assert ports.bind(ANY, 80, "next", reuse=True) == 80
    ports.release("time-wait")
    ports.release("next")
    assert ports.bind(ANY, 80, "next") == 80


def test_an_owner_has_one_port(ports: PortRegistry) -> None:
    ports.bind(HERE, 80, "a")
    with refused(errno.EINVAL):
        ports.bind(HERE, 81, "a")
    assert ports.port_of("a") == 80
    assert ports.port_of("b") == 0


def test_amended_terms_count_from_then_on(ports: PortRegistry) -> None:
    ports.bind(ANY, 80, "a")
    ports.amend("a", address=HERE)
    assert ports.bind(THERE, 80, "b") == 80
    ports.amend("a", reuse=True)
    assert ports.bind(HERE, 80, "c", reuse=True) == 80


def test_ephemeral_ports_lie_in_the_range_and_do_not_follow_each_other(ports: PortRegistry) -> None:
    bound = [ports.bind(ANY, 0, n) for n in range(50)]
    connected = [ports.connect(HERE, (bytes([10, 9, 9, n]), 80), f"c{n}", lambda port: False) for n in range(50)]
    for chosen in bound, connected:
        assert all(EPHEMERAL[0] <= port <= EPHEMERAL[1] for port in chosen)
        assert len(set(chosen)) == 50
        assert sum(abs(one - other) < 100 for one, other in pairwise(chosen)) < 5


def test_bind_without_a_port_fails_only_when_all_are_taken() -> None:
    ports = PortRegistry(Random(2), ephemeral=(50000, 50009))
    assert {ports.bind(ANY, 0, n, reuse=True) for n in range(10)} == set(range(50000, 50010))
    with refused(errno.EADDRINUSE):
        ports.bind(HERE, 0, "more", reuse=True)
    ports.release(3)
    ports.bind(HERE, 0, "more")


def test_connections_to_different_places_share_ports() -> None:
    ports = PortRegistry(Random(3), ephemeral=(50000, 50003))
    connections: set[tuple[int, int]] = set()
    for server in range(5):
        for n in range(4):
            port = ports.connect(HERE, (THERE, server), (server, n), lambda p, s=server: (p, s) in connections)
            connections.add((port, server))
    assert len(connections) == 20
    with refused(errno.EADDRNOTAVAIL):
        ports.connect(HERE, (THERE, 0), "more", lambda p: (p, 0) in connections)


def test_a_connection_takes_no_port_that_was_bound() -> None:
    ports = PortRegistry(Random(4), ephemeral=(50000, 50001))
    bound = ports.bind(ANY, 0, "bound")
    for n in range(3):
        assert ports.connect(HERE, (THERE, n), n, lambda port: False) != bound


OWNERS = st.integers(0, 12)
ADDRESSES = st.sampled_from([ANY, HERE, THERE])
STEPS = st.lists(st.tuples(OWNERS, ADDRESSES, st.integers(1, 2), st.booleans(), st.booleans()), max_size=40)


def overlap(one: bytes, other: bytes) -> bool:
    return one == other or ANY in (one, other)


@given(STEPS)
def test_binds_agree_with_a_list_of_all_claims(steps: list[tuple[int, bytes, int, bool, bool]]) -> None:
    """The rule as one sentence over all pairs, against the registry's grouped claims; a bound owner's step releases."""
    ports = PortRegistry(Random(5))
    held: dict[int, tuple[bytes, int, bool, bool]] = {}
    for owner, address, port, reuse, reuseport in steps:
        if owner in held:
            ports.release(owner)
            del held[owner]
            continue
        free = all(
            port != p or not overlap(address, a) or (reuse and r) or (reuseport and rp) for a, p, r, rp in held.values()
        )
        if free:
            assert ports.bind(address, port, owner, reuse=reuse, reuseport=reuseport) == port
            held[owner] = (address, port, reuse, reuseport)
        else:
            with refused(errno.EADDRINUSE):
                ports.bind(address, port, owner, reuse=reuse, reuseport=reuseport)
        assert len(ports) == len(held)
    for owner in held:
        ports.release(owner)
    assert len(ports) == 0
    assert ports.bind(ANY, 1, "last") == 1
