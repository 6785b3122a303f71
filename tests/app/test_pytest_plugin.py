"""The pytest plugin, as pytest runs it in processes of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

Run = "Callable[..., pytest.RunResult]"

PROGRAMS = """
import asyncio

import pytest


async def serve():
    async def greet(reader, writer):
        writer.write(b"hello")
        writer.close()
    await asyncio.start_server(greet, port=7)


async def ask():
    reader, writer = await asyncio.open_connection("server", 7)
    answer = await reader.read()
    writer.close()
    return answer
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Runs pytest on a file of tests that begins with the programs; without other plugins but those named."""

    def run(tests: str, *options: str, plugins: tuple[str, ...] = ()) -> pytest.RunResult:
        pytester.makepyfile(test_it=PROGRAMS + tests)
        others = [name for name in ("asyncio", "anyio") if name not in plugins]
        switches = [word for name in others for word in ("-p", f"no:{name}")]
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *switches, *options)

    return run


def test_async_and_plain_tests(run: Run) -> None:
    result = run(
        """
        async def test_on_a_host_of_its_own(network):
            network.host("server")
            network.wire("test", "server", delay="20ms")
            network.start("server", serve)
            assert await ask() == b"hello"
            assert 0.08 <= asyncio.get_running_loop().time() < 0.2

        @pytest.fixture
        def client(network):
            network.wire(network.host("client"), network.host("server"), delay="20ms")
            network.start("server", serve)
            return network["client"]

        class TestClass:
            @pytest.mark.netower(on="client")
            @pytest.mark.parametrize("number", [1, 2])
            async def test_on_another(self, network, client, number):
                assert await ask() == b"hello"
                assert "test" not in network.nodes

        def test_plain(network, client):
            assert network.run(ask(), on=client) == b"hello"

        @pytest.mark.netower(until="1min")
        @pytest.mark.xfail(raises=RuntimeError, strict=True)
        async def test_bounded(network):
            await asyncio.sleep(100)

        @pytest.mark.netower(on="nobody")
        @pytest.mark.xfail(raises=ValueError, strict=True)
        async def test_on_nobody(network):
            pass
        """.replace("\n        ", "\n")
    )
    result.assert_outcomes(passed=4, xfailed=2)


def test_a_failure_tells_its_story(run: Run) -> None:
    tests = """
def test_loss(network):
    network.wire(network.host("client"), network.host("server"), delay="20ms", loss="25%")
    network.start("server", serve)
    network.run(ask(), on="client")
    assert network.run(ask(), on="client") == b"something else"
"""
    result = run(tests, "--netower-seed", "7")
    result.assert_outcomes(failed=1)
    output = result.stdout.str()
    assert re.search(r"seed 7, at \d+\.\d+ s of virtual time, after \d+ events", output)
    assert re.search(r"the last \d+ of \d+ segments; 0 is \d+\.\d+ s:", output)
    assert output.count("SYN seq=0") >= 2
    assert re.search(r"│◀─+ .*ack=1 .*len=5.*│", output)
    assert re.search(r"client-server: .*\bloss \d", output)
    folder = re.search(r"captures: (\S+)", output)
    assert folder is not None
    assert {path.name for path in Path(folder[1]).iterdir()} == {
        "client.pcap",
        "server.pcap",
        "client-server.wire.pcap",
    }
    assert "again: pytest 'test_it.py::test_loss' --netower-seed '7'" in output
    again = run(tests, "--netower-seed", "7").stdout.str()
    assert re.findall(r"(?:seed 7, at|│).*", again) == re.findall(r"(?:seed 7, at|│).*", output)


def test_a_test_that_passes_says_nothing(run: Run) -> None:
    result = run("def test_quiet(network): network.host('client')", "-rA")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*virtual time*")


def test_repeating_with_other_seeds(run: Run) -> None:
    tests = """
async def test_seed(network, netower_seed):
    assert network.seed == netower_seed
    print("seed is", repr(netower_seed))
    assert netower_seed != 6

def test_without(): pass
"""
    result = run(tests, "--netower-repeat", "3", "--netower-seed", "5", "-rA")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines_random(["seed is 5", "seed is 6", "seed is 7"])
    result.stdout.fnmatch_lines_random(["FAILED test_it.py::test_seed[[]seed-6[]]*"])
    result.stdout.fnmatch_lines(["again: pytest 'test_it.py::test_seed' --netower-seed '6'"])
    result = run(tests, "--netower-repeat", "2", "--netower-seed", "word", "-rA")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines_random(["seed is 'word'", "seed is 'word-2'"])


@pytest.mark.parametrize("repeat", ["0", "-1", "many"])
def test_nonsense_is_misuse(run: Run, repeat: str) -> None:
    result = run("", f"--netower-repeat={repeat}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


OTHERS = """
import sys

@pytest.mark.{mark}
async def test_theirs():
    assert "netower" not in type(asyncio.get_running_loop()).__module__

@pytest.mark.{mark}
async def test_theirs_with_a_network(network):
    assert "netower" not in type(asyncio.get_running_loop()).__module__

async def test_ours(network):
    network.wire(network.host("server"), "test")
    network.start("server", serve)
    assert await ask() == b"hello"
    assert "netower" in type(asyncio.get_running_loop()).__module__
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_beside_pytest_asyncio(run: Run, mode: str) -> None:
    pytest.importorskip("pytest_asyncio")
    options = ("-o", "asyncio_default_fixture_loop_scope=function", "-o", f"asyncio_mode={mode}")
    result = run(OTHERS.format(mark="asyncio"), *options, plugins=("asyncio",))
    result.assert_outcomes(passed=3)


def test_beside_anyio(run: Run) -> None:
    pytest.importorskip("anyio")
    tests = OTHERS.format(mark="anyio") + "\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n"
    run(tests, plugins=("anyio",)).assert_outcomes(passed=3)
