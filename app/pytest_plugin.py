"""The pytest plugin: tests on a simulated network. pytest loads it wherever netower is installed.

::

    import asyncio

    async def serve():
        async def greet(reader, writer):
            writer.write(b"hello")
            writer.close()
        await asyncio.start_server(greet, port=7)

    async def test_greeting(network):
        network.host("server")
        network.wire("test", "server", delay="20ms", loss="10%")
        network.start("server", serve)
        reader, _ = await asyncio.open_connection("server", 7)
        assert await reader.read() == b"hello"

An ``async def`` test that asks for ``network``, and is not marked for another plugin (asyncio, anyio, trio), runs on
the network's event loop: on the host ``test``, which is made for it, or on another if it is marked, for example
``@pytest.mark.netower(on="client", until="1h", wall="10s")``; bounds as those of `Network.run`. Where ``network`` is
somebody's own fixture that returns a `Network`, all the same is true of it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from ..stack.network import Network

#: Marks of the plugins that run a test's coroutine themselves.
_OTHERS: Final = frozenset({"asyncio", "anyio", "trio"})
_HOST: Final = "test"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("netower", "simulated networks")
    group.addoption("--netower-seed", default="0", metavar="SEED", help="the seed of all chance (default: 0)")
    group.addoption(
        "--netower-repeat",
        type=_count,
        default=1,
        metavar="N",
        help="run each test that asks for a network N times, with other seeds",
    )


def _count(written: str) -> int:
    if not written.isdecimal() or int(written) < 1:
        raise ValueError(written)
    return int(written)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "netower(on, until, events, wall): the host of the network that an async test runs on, and its bounds",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "netower_seed" in metafunc.fixturenames and metafunc.config.getoption("--netower-repeat") > 1:
        seeds = _seeds(metafunc.config)
        metafunc.parametrize("netower_seed", seeds, indirect=True, ids=[f"seed-{seed}" for seed in seeds])


def _seeds(config: pytest.Config) -> list[int | str]:
    """The seed that was asked for, and those after it. Written as a number it is a number."""
    seed, times = config.getoption("--netower-seed"), config.getoption("--netower-repeat")
    if seed.removeprefix("-").isdecimal():
        return [int(seed) + number for number in range(times)]
    return [seed, *(f"{seed}-{number}" for number in range(2, times + 1))]


@pytest.fixture
def netower_seed(request: pytest.FixtureRequest) -> int | str:
    """The seed of this run of the test."""
    seed: int | str = getattr(request, "param", None) or _seeds(request.config)[0]
    return seed


@pytest.fixture
def network(netower_seed: int | str, tmp_path: Path) -> Iterator[Network]:
    """A simulated network with nothing on it, `netower.stack.Network`. Its captures are in the test's ``tmp_path``."""
    from ..stack.network import Network

    with Network(seed=netower_seed, pcap=tmp_path / "captures") as network:
        yield network


def _network_of(item: pytest.Item) -> Network | None:
    """What the test got as ``network``, if that is one of ours."""
    found = getattr(item, "funcargs", {}).get("network")
    if type(found).__module__.startswith("netower.") and type(found).__name__ == "Network":
        return found  # importing the class here would cost every run of pytest its time
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    network = _network_of(pyfuncitem)
    # Not pyfuncitem.obj: pytest-asyncio, if it is told to take all, has put another function there.
    test = getattr(pyfuncitem.instance or pyfuncitem.module, pyfuncitem.originalname, None)
    if network is None or not inspect.iscoroutinefunction(test) or _is_anothers(pyfuncitem, test):
        return None
    mark = pyfuncitem.get_closest_marker("netower")
    options: dict[str, Any] = dict(mark.kwargs) if mark is not None else {}
    if "on" not in options:
        options["on"] = _HOST
        if _HOST not in network.nodes:
            network.host(_HOST)
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    network.run(test(**arguments), **options)
    return True


def _is_anothers(item: pytest.Function, test: Any) -> bool:
    """Whether the test, its class or its module was marked for another plugin by whoever wrote it."""
    marks: list[Any] = []
    for owner in (test, item.cls, item.module):
        written = getattr(owner, "pytestmark", [])
        marks += written if isinstance(written, list) else [written]
    return any(mark.name in _OTHERS for mark in marks)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    network = _network_of(item)
    if network is not None and report.failed and report.when == "call":
        from .story import tell

        report.sections.append(("Simulated network", "\n".join([*tell(network), _again(item, network)])))
    return report


def _again(item: pytest.Item, network: Network) -> str:
    test = item.nodeid if item.config.getoption("--netower-repeat") == 1 else item.nodeid.partition("[")[0]
    return f"again: pytest '{test}' --netower-seed '{network.seed}'"
