"""Simulated networks: how they are built, and the clock."""

from __future__ import annotations

import itertools
import re
import socket
import textwrap
from typing import TYPE_CHECKING, Any

import netower.stack.network
import pytest
from netower.net.address import parse
from netower.stack import Ended, Network

from .programs import Sink, Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def reachable(network: Network, client: str, server: str, within: float = 3.0) -> bool:
    """Whether an echo request is answered."""
    answers: list[Any] = []
    target = parse(network[server].address)
    network[client].host.internet.ping(target, answers.append, timeout=within)
    network.run(until=network.now + within + 0.1)
    return len(answers) == 1 and not hasattr(answers[0], "errno")


def test_the_example_of_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = netower.stack.network.__doc__ or ""
    example = text[text.index("    import asyncio") : text.index("Programs written for asyncio")]
    exec(textwrap.dedent(example), {})
    assert {path.name for path in (tmp_path / "captures").iterdir()} == {
        *(f"{name}.pcap" for name in ("client", "server", "r1")),
        *(f"{name}.wire.pcap" for name in ("client-lan", "r1-lan", "r1-server")),
    }


def test_two_hosts_and_a_wire() -> None:
    network = Network()
    client, server = network.host("client"), network.host("server")
    network.wire("client", "server", delay="20ms")
    sink = Sink(server.host)
    Source(client.host, server, b"hello")
    assert network.run(until=10) is Ended.UNTIL
    assert bytes(sink.data) == b"hello"
    # The server's announcement, which tells its link address; SYN; SYN-ACK; the data.
    assert sink.ended_at == [pytest.approx(4 * 0.02, abs=0.001)]
    assert network.now == 10


def test_addresses_are_given_out_or_given() -> None:
    network = Network()
    network.host("a"), network.host("b"), network.host("c", "10.0.0.7/24"), network.host("d")
    network.switch("lan", "192.168.1.0/24")
    network.wire("a", "b")
    assert network["a"].addresses == ["10.0.1.1"]  # 10.0.0.0/24 is spoken for
    assert network["b"].addresses == ["10.0.1.2"]
    network.wire("c", "d")
    assert network["d"].address == "10.0.0.1"
    network.wire("a", "lan", addresses=("192.168.1.1", None))
    network.wire("b", "lan")
    assert network["a"].addresses == ["10.0.1.1", "192.168.1.1"]
    assert network["b"].addresses == ["10.0.1.2", "192.168.1.2"]
    assert network.lookup("a") == ["10.0.1.1", "192.168.1.1"]
    assert network.name_of("192.168.1.2") == "b"
    assert network.name_of("192.168.1.9") is None
    with pytest.raises(ValueError, match="d"):
        network.lookup("x")


def test_names_are_looked_up_from_where_one_stands() -> None:
    network = Network()
    network.router("r"), network.host("a"), network.host("b")
    network.wire("r", "a"), network.wire("r", "b")
    assert network.lookup("r", "b") == ["10.0.1.1", "10.0.0.1"]


@pytest.mark.parametrize(
    ("message", "build"),
    [
        ("no host, router or switch is called 'x'", lambda n: n.wire("a", "x")),
        ("not 3: a, b, c; use a switch", lambda n: n.wire("a", "b", "c")),
        ("not 1: a", lambda n: n.wire("a")),
        ("both ends of a wire at a", lambda n: n.wire("a", "a")),
        ("there is a 'a' already", lambda n: n.host("a")),
        ("there is a 'lan' already", lambda n: n.router("lan")),
        ("'../x' cannot be a name", lambda n: n.host("../x")),
        ("'' cannot be a name", lambda n: n.switch("")),
        ("'w w' cannot be a name", lambda n: n.wire("a", "b", name="w w")),
        ("there is a wire 'c-lan' already", lambda n: n.wire("a", "b", name="c-lan")),
        ("'10.0.0.300' is not an IPv4 address", lambda n: n.host("d", "10.0.0.300")),
        ("'10.0.0.1/8' is not an IPv4 subnet", lambda n: n.switch("s", "10.0.0.1/8")),
        ("a and c both have 10.1.0.9 on lan", lambda n: n.wire("a", "lan", addresses=("10.1.0.9", None))),
        ("a: 10.2.0.1/32 is not on the subnet 10.1.0.0/24", lambda n: n.wire("a", "lan", addresses=("10.2.0.1", None))),
        ("a: 10.1.0.1/16 is not on the subnet", lambda n: n.wire("a", "lan", addresses=("10.1.0.1/16", None))),
        ("10.1.0.255 is not the address of a host", lambda n: n.wire("a", "lan", addresses=("10.1.0.255", None))),
        ("lan is a switch, and has no address", lambda n: n.wire("a", "lan", addresses=(None, "10.1.0.5"))),
        ("overlaps 10.1.0.0/24 of lan", lambda n: n.wire("a", "b", addresses=("10.1.0.1/16", None))),
        ("another way from lan2 to lan", lambda n: n.wire("lan2", "lan")),
        ("join switches before hosts", lambda n: n.wire(n.switch("s", "10.9.0.0/24"), "lan")),
        ("delay: '20 furlongs' is not", lambda n: n.wire("a", "b", delay="20 furlongs")),
        ("loss: '150%' is more than everything", lambda n: n.wire("a", "b", loss="150%")),
        ("rate: '10ms' is not", lambda n: n.wire("a", "b", rate="10ms")),
        ("queue: 'red' is not", lambda n: n.wire("a", "b", queue="red")),
        ("queue: -1 is neither", lambda n: n.wire("a", "b", queue=-1)),
        ("delay: (1, 2, 3) is not a pair", lambda n: n.wire("a", "b", delay=(1, 2, 3))),
        ("mtu: 60 is less", lambda n: n.wire("a", "b", mtu=60)),
        ("at: 1 has passed", lambda n: n.at(1, print)),
        ("until: 1 has passed", lambda n: n.run(until=1)),
        ("at: 'soon' is not", lambda n: n.at("soon", print)),
        ("'b' is at neither end of the wire c-lan", lambda n: n.wires["c-lan"].set("b", loss=0)),
        ("no wire is called 'x'", lambda n: n.during(5, 6, "x", loss=0)),
        ("during: 5 is before 6", lambda n: n.during(6, 5, "c-lan", loss=0)),
        ("loss: 2 is more", lambda n: n.during(5, 6, "c-lan", loss=2)),
        ("'x'", lambda n: n.partition(["a"], ["x"])),
        ("c is there twice", lambda n: n.partition(["a", "c"], ["c"])),
        ("a has no address", lambda n: n["a"].address),
        ("cannot restart a: it is up", lambda n: n["a"].restart()),
        ("lan is a switch, and has no routes", lambda n: n.route("lan", "default", "a")),
        ("'x' is not an IPv4 address", lambda n: n.route("c", "default", "x")),
        ("'everything' is not an IPv4 subnet", lambda n: n.route("c", "everything", "a")),
    ],
)
def test_what_makes_no_sense_is_a_value_error_that_names_it(message: str, build: Callable[[Network], object]) -> None:
    network = Network()
    network.switch("lan", "10.1.0.0/24"), network.switch("lan2")
    network.wire("lan", "lan2")
    network.host("a"), network.host("b"), network.host("c")
    network.wire("c", "lan", addresses=("10.1.0.9/24", None))
    network.run(until=2)
    with pytest.raises(ValueError, match=re.escape(message)):
        build(network)


def test_a_wire_that_cannot_be_leaves_no_address_behind() -> None:
    network = Network()
    network.switch("lan", "10.1.0.0/24")
    network.host("a", "10.2.0.1/24"), network.host("b")
    with pytest.raises(ValueError, match="300"):
        network.wire("a", "b", addresses=(None, "10.2.0.300"))
    with pytest.raises(ValueError, match="has no address"):
        network.wire("a", "lan", addresses=("10.1.0.5", "10.1.0.6"))
    network.wire("b", "lan", addresses=("10.1.0.5", None))
    assert list(network.wires) == ["b-lan"]
    network.wire("a", "b")
    assert network["a"].addresses == ["10.2.0.1"]
    assert network["b"].addresses == ["10.1.0.5", "10.2.0.2"]


def test_an_unknown_condition_is_a_type_error() -> None:
    network = Network()
    network.host("a"), network.host("b")
    with pytest.raises(TypeError, match="'lose' is no condition of a wire"):
        network.wire("a", "b", lose="1%")  # type: ignore[call-arg]
    assert not network.wires


def test_routes_are_found_over_any_number_of_routers() -> None:
    network = Network()
    for name in ("r1", "r2", "r3"):
        network.router(name)
    network.host("a"), network.host("b")
    for first, second in itertools.pairwise(["a", "r1", "r2", "r3", "b"]):
        network.wire(first, second)
    assert reachable(network, "a", "b")
    assert network["r2"].host.internet.counters["forward.packets"] == 2


def test_a_host_is_no_router() -> None:
    network = Network()
    for name in ("a", "b", "c"):
        network.host(name)
    network.wire("a", "b"), network.wire("b", "c")
    with pytest.raises(OSError, match="no route"):
        network["a"].host.internet.path(parse(network["c"].address))


def test_a_host_between_two_routers_knows_which_is_nearer() -> None:
    network = Network()
    network.router("r1"), network.router("r2")
    for name in ("a", "b", "c"):
        network.host(name)
    network.wire("a", "r1"), network.wire("a", "r2"), network.wire("r1", "b"), network.wire("r2", "c")
    assert reachable(network, "a", "b")
    assert reachable(network, "a", "c")
    assert network["r1"].host.internet.counters["forward.packets"] == 2


def test_a_route_by_hand_comes_first_and_outlives_a_restart() -> None:
    network = Network()
    network.router("r1"), network.router("r2"), network.switch("left"), network.switch("right")
    network.host("a"), network.host("b")
    for router, lan in itertools.product(("r1", "r2"), ("left", "right")):
        network.wire(router, lan)
    network.wire("a", "left"), network.wire("b", "right")
    network.route("a", "default", "r2")
    network.run(until=1)
    network["a"].crash()
    network["a"].restart()
    assert reachable(network, "a", "b")
    assert network["r2"].host.internet.counters["forward.packets"] == 1
    assert network["r1"].host.internet.counters["forward.packets"] == 1


def test_a_host_or_router_that_was_restarted_knows_its_routes() -> None:
    network = Network()
    network.router("r"), network.host("a"), network.host("b")
    network.wire("a", "r"), network.wire("r", "b")
    for name in ("b", "r"):
        network[name].crash()
        assert not reachable(network, "a", "b")
        network[name].restart()
        assert reachable(network, "a", "b")


def test_a_detour_around_what_is_down() -> None:
    network = Network()
    for name in ("r1", "r2", "r3"):
        network.router(name)
    network.host("a"), network.host("b")
    network.wire("a", "r1"), network.wire("b", "r2"), network.wire("r1", "r3"), network.wire("r3", "r2")
    short = network.wire("r1", "r2")
    assert reachable(network, "a", "b")
    assert not network["r3"].host.internet.counters["forward.packets"]
    short.fail()
    assert not reachable(network, "a", "b")
    network.reroute()
    assert reachable(network, "a", "b")
    assert network["r3"].host.internet.counters["forward.packets"] == 2
    network["r3"].crash()
    short.recover()
    network.reroute()
    assert reachable(network, "a", "b")


def test_a_host_reaches_itself() -> None:
    network = Network()
    network.host("a"), network.host("b")
    network.wire("a", "b")
    sink = Sink(network["a"].host)
    Source(network["a"].host, network["a"], b"to myself")
    network.run(until=1)
    assert bytes(sink.data) == b"to myself"


# -- the clock


def test_an_answer_to_a_syn_sent_at_time_zero_is_one_also_after_the_next() -> None:
    with Network(0) as network:
        for name in "client", "server":
            network.host(name)
        network.wire("client", "server", delay="500ms")
        server = network["server"].host.calls.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.bind((bytes(4), 7))
        server.listen(5)
        client = network["client"].host.calls.socket(socket.AF_INET, socket.SOCK_STREAM)
        address = (parse(network["server"].address), 7)
        with pytest.raises(BlockingIOError):
            client.connect(address)
        network.run(until="2.1s")
        client.connect(address)  # the first SYN's answer came when a second one had left


def test_a_run_says_which_bound_ended_it() -> None:
    network = Network()
    network.host("a"), network.host("b")
    network.wire("a", "b")
    network.run(until=1)
    for second in range(2, 10):
        network.at(second, lambda: None)
    assert network.run(until=2) is Ended.UNTIL
    before = network.events
    assert network.run(events=3) is Ended.EVENTS
    assert (network.now, network.events) == (5, before + 3)
    assert network.run(wall=0) is Ended.WALL
    network.at(6, network.stop)
    assert network.run() is Ended.STOPPED
    assert network.now == 6
    assert network.run() is Ended.IDLE
    assert network.now == 9
    assert network.run(until="1min") is Ended.IDLE
    assert network.now == 60


def test_stations_that_answer_at_once_cannot_stop_the_run() -> None:
    network = Network()
    network.host("a"), network.host("b")
    network.wire("a", "b", delay=0)
    ends = [network[name].host.udp.open() for name in ("a", "b")]
    for end, name in zip(ends, ("a", "b"), strict=True):
        end.bind(parse(network[name].address), 7)

        def echo(end: Any = end) -> None:
            while (received := end.receive()) is not None:
                end.send([received[0]], received[1])

        end.observer = echo
    ends[0].send([b"ball"], (parse(network["b"].address), 7))
    assert network.run(until=1, events=1000) is Ended.EVENTS
    assert network.run(until=1, wall=0.01) is Ended.WALL


def test_what_a_program_raises_comes_out_with_its_time() -> None:
    network = Network(seed="mine")
    network.at(3, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError) as caught:
        network.run()
    assert caught.value.__notes__ == ["on the network with seed 'mine', at 3.000000 s of virtual time"]
    assert network.run() is Ended.IDLE


def test_a_scheduled_action_can_be_cancelled() -> None:
    network = Network()
    done: list[int] = []
    network.at(1, done.append, 1).cancel()
    network.at("2s", done.append, 2)
    network.run()
    assert done == [2]


def test_step_by_step() -> None:
    network = Network()
    network.at(3, lambda: None)
    assert network.next_event() == 3
    network.advance(3)
    assert network.next_event() is None
    assert network.now == 3
