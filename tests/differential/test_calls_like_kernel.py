"""The same scripts of calls on the kernel's sockets and on ours: results and readiness alike after each step."""

from __future__ import annotations

import socket as kernel
import struct
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from netower.app.namespace import network_namespace

from ..conftest import forbidden
from .sides import Step, compare

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

INT = struct.Struct("=i")
LINGER = struct.Struct("=ii")
IP_MTU_DISCOVER, IP_RECVERR, IP_MTU = 10, 11, 14


@pytest.fixture(scope="module")
def namespace() -> Iterator[int]:
    try:
        with network_namespace() as descriptor:
            yield descriptor
    except PermissionError as error:
        forbidden(error)


_bases = count(1100, 5)


def stream() -> Step:
    return ("socket", kernel.AF_INET, kernel.SOCK_STREAM, 0)


def datagram() -> Step:
    return ("socket", kernel.AF_INET, kernel.SOCK_DGRAM, 0)


HOME = "127.0.0.1"


def connected(port: int) -> list[Step]:
    """0 listens, 1 connects, 2 is accepted."""
    return [
        stream(),
        ("bind", 0, HOME, port),
        ("listen", 0, 5),
        stream(),
        ("connect", 1, HOME, port),
        ("connect", 1, HOME, port),
        ("accept", 0),
    ]


RECEIVE = [("receive", number, 100, 0) for number in (1, 2)]
SENDS = [("send", number, b"data") for number in (1, 2)]
NAMES = [(name, number) for number in (0, 1, 2) for name in ("name", "peer")]
ERRORS = [("get", number, kernel.SOL_SOCKET, kernel.SO_ERROR, 4) for number in (0, 1, 2)]
ABORT = LINGER.pack(1, 0)
SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK = 0x541B, 0x5411, 0x894B, 0x8905

SCRIPTS: dict[str, list[Step]] = {
    "an exchange": [*NAMES, *SENDS, *RECEIVE, *RECEIVE, ("connect", 1, HOME, 0), ("accept", 0), *NAMES],
    "peeking": [("send", 1, b"abcdef"), ("receive", 2, 3, kernel.MSG_PEEK), ("receive", 2, 3, 0), *RECEIVE],
    "empty sends and receives": [("send", 1, b""), ("receive", 2, 0, 0), *SENDS, ("receive", 2, 0, 0)],
    "half-close": [("shutdown", 1, 1), *RECEIVE, *SENDS, *RECEIVE, *RECEIVE, ("close", 2), *RECEIVE, *NAMES],
    "both half-close": [("shutdown", 1, 1), ("shutdown", 2, 1), *RECEIVE, *SENDS, *NAMES, ("shutdown", 1, 1), *ERRORS],
    "shut down for reading": [("shutdown", 1, 0), ("send", 2, b"x"), *RECEIVE, *RECEIVE, *SENDS],
    "shut down both ways": [("shutdown", 1, 2), *RECEIVE, *NAMES, *ERRORS],
    "shut down nonsense": [("shutdown", 1, 3), ("shutdown", 0, 1), ("accept", 0), ("shutdown", 0, 0), ("accept", 0)],
    "close": [("close", 1), *RECEIVE, *SENDS, *SENDS, *RECEIVE, *NAMES, *ERRORS],
    "close with unread data": [*SENDS, ("close", 1), *RECEIVE, *RECEIVE, *SENDS, *SENDS, *NAMES],
    "linger zero": [("set", 1, kernel.SOL_SOCKET, kernel.SO_LINGER, ABORT), ("close", 1), *ERRORS, *RECEIVE, *SENDS],
    "reset while sending": [
        ("set", 1, kernel.SOL_SOCKET, kernel.SO_LINGER, ABORT),
        ("close", 1),
        *SENDS,
        *SENDS,
        *RECEIVE,
        ("connect", 2, HOME, 1),
    ],
    "reset while unread": [
        ("send", 1, b"last words"),
        ("set", 1, kernel.SOL_SOCKET, kernel.SO_LINGER, ABORT),
        ("close", 1),
        *RECEIVE,
        *RECEIVE,
        *RECEIVE,
    ],
    "the listener closes": [("close", 0), *SENDS, *RECEIVE, stream(), ("connect", 3, HOME, 1), *NAMES],
    "what waits to be sent": [
        *(("ioctl", number, request) for number in (0, 1, 2) for request in (SIOCINQ, SIOCOUTQ, SIOCOUTQNSD)),
        *SENDS,
        *(("ioctl", number, request) for number in (1, 2) for request in (SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK)),
        ("ioctl", 1, 0x1234),
    ],
    "bind again": [("bind", 1, HOME, 0), ("bind", 0, HOME, 0), stream(), ("bind", 3, HOME, 0), ("bind", 3, HOME, 0)],
    "listen again": [("listen", 0, 1), ("listen", 1, 1), ("listen", 2, 1), *NAMES],
    "accept from others": [("accept", 1), ("accept", 2), stream(), ("accept", 3)],
}

FRESH: dict[str, list[Step]] = {
    "a fresh stream": [
        stream(),
        ("name", 0),
        ("peer", 0),
        ("send", 0, b"x"),
        ("receive", 0, 10, 0),
        ("accept", 0),
        ("shutdown", 0, 1),
        ("send", 0, b"x"),
        ("shutdown", 0, 0),
        ("receive", 0, 10, 0),
    ],
    "a refused connect": [
        stream(),
        ("connect", 0, HOME, 1),
        ("peer", 0),
        ("connect", 0, HOME, 1),
        ("name", 0),
        ("connect", 0, HOME, 1),
        ("get", 0, kernel.SOL_SOCKET, kernel.SO_ERROR, 4),
        ("get", 0, kernel.SOL_SOCKET, kernel.SO_ERROR, 4),
        ("connect", 0, HOME, 1),
        ("connect", 0, HOME, 1),
        ("receive", 0, 10, 0),
        ("connect", 0, HOME, 1),
        ("send", 0, b"x"),
        ("send", 0, b"x"),
        ("receive", 0, 10, 0),
    ],
    "listening unbound": [
        stream(),
        ("listen", 0, 1),
        ("name", 0),
        ("receive", 0, 1, 0),
        ("send", 0, b"x"),
        ("peer", 0),
    ],
    "bind elsewhere": [
        stream(),
        ("bind", 0, "192.0.2.1", 0),
        ("bind", 0, "127.3.2.1", 0),
        ("name", 0),
        ("listen", 0, 1),
        stream(),
        ("connect", 1, "192.0.2.1", 80),
        ("connect", 1, "255.255.255.255", 80),
        ("connect", 1, "224.0.0.1", 80),
        stream(),
        ("bind", 2, "255.255.255.255", 0),
        datagram(),
        ("bind", 3, "192.0.2.1", 0),
        ("bind", 3, "255.255.255.255", 0),
        ("name", 3),
    ],
    "sockets there are not": [
        ("socket", kernel.AF_INET, kernel.SOCK_STREAM, kernel.IPPROTO_UDP),
        ("socket", kernel.AF_INET, kernel.SOCK_DGRAM, kernel.IPPROTO_TCP),
        ("socket", kernel.AF_INET, kernel.SOCK_SEQPACKET, 0),
        ("socket", kernel.AF_INET, 9, 0),
        ("socket", kernel.AF_INET, 14, 0),
        ("socket", kernel.AF_INET, kernel.SOCK_STREAM, 300),
        ("socket", 999, kernel.SOCK_STREAM, 0),
    ],
    "a fresh datagram socket": [
        datagram(),
        ("name", 0),
        ("peer", 0),
        ("send", 0, b"x"),
        ("receive", 0, 10, 0),
        ("listen", 0, 1),
        ("accept", 0),
        ("shutdown", 0, 1),
        ("send_to", 0, b"x", HOME, 1),
        ("shutdown", 0, 2),
    ],
    "datagrams": [
        datagram(),
        datagram(),
        ("bind", 0, HOME, 999),
        ("bind", 0, HOME, 998),
        ("send_to", 1, b"one", HOME, 999),
        ("name", 1),
        ("receive", 0, 10, 0),
        ("receive", 0, 10, 0),
        ("connect", 1, HOME, 999),
        ("name", 1),
        ("peer", 1),
        ("send", 1, b"longer"),
        ("receive", 0, 3, 0),
        ("receive", 0, 3, 0),
        ("send", 1, b""),
        ("receive", 0, 3, 0),
        ("close", 0),
        ("send", 1, b"x"),
        ("send", 1, b"x"),
        ("send", 1, b"x"),
        ("receive", 1, 1, 0),
        ("receive", 1, 1, 0),
        ("shutdown", 1, 0),
        ("receive", 1, 1, 0),
        ("shutdown", 1, 1),
        ("send", 1, b"x"),
    ],
    "datagrams that cannot go": [
        datagram(),
        ("send_to", 0, b"x", HOME, 0),
        ("send_to", 0, b"x", "192.0.2.1", 9),
        ("send_to", 0, bytes(65508), HOME, 9),
        ("send_to", 0, bytes(65507), HOME, 9),
        ("send_to", 0, b"x", "127.255.255.255", 9),
        ("connect", 0, "192.0.2.1", 9),
        ("connect", 0, "127.255.255.255", 9),
        ("set", 0, kernel.SOL_SOCKET, kernel.SO_BROADCAST, INT.pack(1)),
        ("connect", 0, "127.255.255.255", 9),
        ("send", 0, b"x"),
    ],
    "to the wildcard": [
        stream(),
        ("bind", 0, "0.0.0.0", 997),
        ("listen", 0, 1),
        stream(),
        ("connect", 1, "0.0.0.0", 997),
        ("connect", 1, "0.0.0.0", 997),
        ("peer", 1),
        ("name", 1),
        ("accept", 0),
        ("name", 2),
        datagram(),
        ("connect", 3, "0.0.0.0", 9),
        ("peer", 3),
    ],
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_connections(script: list[Step]) -> None:
    compare([*connected(next(_bases)), *script])


@pytest.mark.parametrize("script", FRESH.values(), ids=FRESH.keys())
def test_other_sockets(script: list[Step]) -> None:
    compare(script)


REUSE = (kernel.SOL_SOCKET, kernel.SO_REUSEADDR, INT.pack(1))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("who", [1, 2])
def test_binding_a_port_in_time_wait(first: bool, second: bool, who: int) -> None:
    """Whoever of the two closes first (1: the client, 2: the server) rests in TIME-WAIT."""
    port = next(_bases)
    compare(
        [
            stream(),
            *([("set", 0, *REUSE)] if first else []),
            ("bind", 0, HOME, port),
            ("listen", 0, 5),
            stream(),
            ("connect", 1, HOME, port),
            ("accept", 0),
            ("close", who),
            ("receive", 3 - who, 1, 0),
            ("close", 3 - who),
            ("close", 0),
            stream(),
            *([("set", 3, *REUSE)] if second else []),
            ("bind", 3, HOME, port),
            ("listen", 3, 1),
        ]
    )


@pytest.mark.parametrize("reuse", [[], [0], [1], [0, 1]], ids=str)
@pytest.mark.parametrize("option", [kernel.SO_REUSEADDR, kernel.SO_REUSEPORT])
@pytest.mark.parametrize("make", [stream, datagram])
@pytest.mark.parametrize("addresses", [(HOME, HOME), ("0.0.0.0", HOME), (HOME, "127.0.0.2")])
def test_binding_a_port_twice(reuse: list[int], option: int, make: Any, addresses: tuple[str, str]) -> None:
    port = next(_bases)
    options = [("set", number, kernel.SOL_SOCKET, option, INT.pack(1)) for number in reuse]
    binds = [("bind", number, address, port) for number, address in enumerate(addresses)]
    listens = [("listen", 0, 1), ("listen", 1, 1)] if option == kernel.SO_REUSEADDR else []
    compare([make(), make(), *options, *binds, *listens])


INTEGERS = [
    (level, name)
    for level, names in {
        kernel.SOL_SOCKET: [
            *("SO_REUSEADDR", "SO_TYPE", "SO_ERROR", "SO_DONTROUTE", "SO_BROADCAST", "SO_KEEPALIVE", "SO_OOBINLINE"),
            *("SO_REUSEPORT", "SO_RCVLOWAT", "SO_SNDLOWAT", "SO_ACCEPTCONN", "SO_PROTOCOL", "SO_DOMAIN"),
        ],
        kernel.IPPROTO_TCP: [
            *("TCP_NODELAY", "TCP_CORK", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_SYNCNT", "TCP_MAXSEG"),
            *("TCP_USER_TIMEOUT", "TCP_LINGER2", "TCP_NOTSENT_LOWAT"),
        ],
        kernel.IPPROTO_IP: ["IP_TTL", "IP_TOS"],
    }.items()
    for name in names
]
NUMBERS = {"IP_MTU_DISCOVER": IP_MTU_DISCOVER, "IP_RECVERR": IP_RECVERR, "IP_MTU": IP_MTU}


@pytest.mark.parametrize("make", [stream, datagram])
@pytest.mark.parametrize(("level", "name"), [*INTEGERS, *((kernel.IPPROTO_IP, name) for name in NUMBERS)])
def test_options_that_are_numbers(make: Any, level: int, name: str) -> None:
    number: int = NUMBERS.get(name) or getattr(kernel, name)
    script = [make(), ("get", 0, level, number, 4)]
    for value in (1, 0, 2, 5, 200, 300, 40000, *([] if name == "SO_RCVLOWAT" else [-1, -5])):
        script += [("set", 0, level, number, INT.pack(value)), ("get", 0, level, number, 4)]
    script += [("set", 0, level, number, value) for value in (b"", b"\1", b"\1\0\0", INT.pack(1) + b"more")]
    script += [("get", 0, level, number, size) for size in (1, 2, 8)]
    compare(script)


@pytest.mark.parametrize("make", [stream, datagram])
def test_other_options(make: Any) -> None:
    sol = kernel.SOL_SOCKET
    script: list[Step] = [make()]
    for option in kernel.SO_RCVBUF, kernel.SO_SNDBUF:
        for value in 1, 5000, 100_000, 200_000:
            script += [("set", 0, sol, option, INT.pack(value)), ("get", 0, sol, option, 4)]
    for value in LINGER.pack(1, 5), LINGER.pack(0, 7), LINGER.pack(9, 0), LINGER.pack(1, 5) + b"x", bytes(7), b"":
        script += [("set", 0, sol, kernel.SO_LINGER, value), ("get", 0, sol, kernel.SO_LINGER, 8)]
    script += [("get", 0, level, 12345, 4) for level in (sol, kernel.IPPROTO_IP, kernel.IPPROTO_TCP, 77)]
    script += [("set", 0, level, 12345, INT.pack(1)) for level in (sol, kernel.IPPROTO_IP, kernel.IPPROTO_TCP, 77)]
    compare(script)


def test_the_congestion_control_has_a_name() -> None:
    tcp, name = kernel.IPPROTO_TCP, kernel.TCP_CONGESTION
    compare(
        [
            stream(),
            ("set", 0, tcp, name, b"reno"),
            ("get", 0, tcp, name, 16),
            ("get", 0, tcp, name, 64),
            ("get", 0, tcp, name, 3),
            ("set", 0, tcp, name, b"nobody"),
            ("set", 0, tcp, name, b""),
        ]
    )


# scripts that hypothesis draws

SOCKETS = st.integers(0, 3)
PORTS = st.sampled_from([0, 1, 2])
SOL = kernel.SOL_SOCKET
QUIET = [
    st.tuples(st.just("bind"), SOCKETS, st.sampled_from([HOME, "0.0.0.0"]), PORTS),
    st.tuples(st.just("listen"), SOCKETS, st.just(3)),
    st.tuples(st.just("connect"), SOCKETS, st.just(HOME), st.sampled_from([1, 2])),
    st.tuples(st.just("accept"), SOCKETS),
    st.tuples(st.just("receive"), SOCKETS, st.sampled_from([1, 100]), st.sampled_from([0, kernel.MSG_PEEK])),
    st.tuples(st.just("shutdown"), SOCKETS, st.just(1)),
    st.tuples(st.just("close"), SOCKETS),
    st.tuples(st.just("name"), SOCKETS),
    st.tuples(st.just("peer"), SOCKETS),
    st.tuples(st.just("get"), SOCKETS, st.just(SOL), st.just(kernel.SO_ERROR), st.just(4)),
    st.tuples(st.just("set"), SOCKETS, st.just(SOL), st.just(kernel.SO_LINGER), st.just(ABORT)),
    st.tuples(st.just("set"), SOCKETS, *map(st.just, REUSE)),
]
SEND = st.tuples(st.just("send"), SOCKETS, st.sampled_from([b"", b"x", b"hello"]))
SHUTDOWN = st.tuples(st.just("shutdown"), SOCKETS, st.integers(0, 2))
STEPS = st.one_of(*QUIET, SEND)


#: The rest of the calls, on a connection: 0 listens, 1 has connected, 2 was accepted.
ENDS = st.integers(1, 2)
MSG_ERRQUEUE, MSG_ZEROCOPY, SO_PEEK_OFF, SO_ZEROCOPY, SO_TIMESTAMP, TCP_INQ = 0x2000, 0x4000000, 42, 60, 29, 36
RECEIVE_FLAGS = st.sampled_from(
    [
        *(0, kernel.MSG_PEEK, kernel.MSG_TRUNC, kernel.MSG_WAITALL, kernel.MSG_PEEK | kernel.MSG_TRUNC),
        *(kernel.MSG_OOB, kernel.MSG_OOB | kernel.MSG_PEEK, MSG_ERRQUEUE),
    ]
)
SETTINGS = st.sampled_from(
    [
        *((SOL, kernel.SO_OOBINLINE, INT.pack(value)) for value in (0, 1)),
        *((SOL, SO_PEEK_OFF, INT.pack(value)) for value in (-1, 0, 1)),
        *((SOL, kernel.SO_RCVLOWAT, INT.pack(value)) for value in (1, 4)),
        *((SOL, option, INT.pack(1)) for option in (SO_ZEROCOPY, SO_TIMESTAMP)),
        (kernel.IPPROTO_TCP, TCP_INQ, INT.pack(1)),
        (SOL, kernel.SO_LINGER, ABORT),
    ]
)
MORE = [
    st.tuples(st.just("receive"), SOCKETS, st.sampled_from([1, 3, 100]), RECEIVE_FLAGS),
    st.tuples(st.just("message"), SOCKETS, st.sampled_from([1, 100]), RECEIVE_FLAGS),
    st.tuples(st.just("send_with"), ENDS, st.sampled_from([b"a", b"longer"]), st.sampled_from([0, MSG_ZEROCOPY])),
    st.tuples(st.just("send_with"), ENDS, st.sampled_from([b"!", b"urgent"]), st.just(kernel.MSG_OOB)),
    st.tuples(st.just("ioctl"), ENDS, st.sampled_from([SIOCINQ, SIOCATMARK])),
    st.tuples(st.just("disconnect"), st.just(1)),
    st.builds(lambda number, setting: ("set", number, *setting), ENDS, SETTINGS),
]


def ordinary(script: list[Step]) -> list[Step]:
    """The script with one urgent byte for each end at most: where Linux has two, it may drop the first."""
    urgent, kept = set(), []
    for step in script:
        if step[0] == "send_with" and step[3] == kernel.MSG_OOB:
            if step[1] in urgent:
                continue
            urgent.add(step[1])
        kept.append(step)
    return kept


def placed(script: list[Step], port: int) -> list[Step]:
    """The script with ports of its own, since TIME-WAIT outlives an example, and without the one thing that is Linux's
    alone: a socket that was shut down for writing before it connects sends a FIN, but only if it connects to itself.
    """
    placed, shut = [], set()
    for step in script:
        if step[0] == "shutdown":
            shut.add(step[1])
        if step[0] in ("bind", "connect") and step[3]:
            step = (*step[:3], port + step[3])
        if step[0] != "connect" or step[1] not in shut:
            placed.append(step)
    return placed


DRAWN = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@DRAWN
@given(st.lists(STEPS, max_size=25))
def test_drawn_scripts_from_nothing(script: list[Step]) -> None:
    compare([stream(), stream(), stream(), *placed(script, next(_bases))])


@DRAWN
@given(st.lists(STEPS, max_size=20))
def test_drawn_scripts_on_a_connection(script: list[Step]) -> None:
    port = next(_bases)
    compare([*connected(port + 1), *placed(script, port)])


@DRAWN
@given(st.lists(st.one_of(*QUIET, SHUTDOWN), max_size=20), st.booleans())
def test_drawn_scripts_that_shut_down_in_any_way(script: list[Step], connect: bool) -> None:
    port = next(_bases)
    start = connected(port + 1) if connect else [stream(), stream(), stream()]
    compare([*start, *placed(script, port)])


@DRAWN
@given(st.lists(st.one_of(*QUIET, *MORE, SEND, SHUTDOWN), max_size=20))
def test_drawn_scripts_of_all_calls(script: list[Step]) -> None:
    port = next(_bases)
    compare([*connected(port + 1), *placed(ordinary(script), port)])


@DRAWN
@given(st.lists(st.one_of(*QUIET, SEND, SHUTDOWN), max_size=20))
def test_drawn_scripts_on_datagram_sockets(script: list[Step]) -> None:
    compare([datagram(), datagram(), datagram(), *placed(script, next(_bases))])
