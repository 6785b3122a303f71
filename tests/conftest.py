"""What all tests share: a network namespace for those that talk to the kernel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from netower.app.namespace import network_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

# No test may fail since the machine is busy.
settings.register_profile("netower", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("netower")


def forbidden(reason: object) -> None:
    """End a live test that this machine cannot run: a skip, but a failure in CI, where nothing live may go untested."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must run the live tests: {reason}")
    pytest.skip(str(reason))


@pytest.fixture
def namespace() -> Iterator[int]:
    """A network namespace that the test alone is in, with loopback up; its descriptor, for `namespace.inside`.

    A file whose tests share one namespace overrides this fixture with one of a wider scope.
    """
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        forbidden("no TAP can be made: there is no /dev/net/tun, or it is not ours to open")
    try:
        context = network_namespace()
        descriptor = context.__enter__()
    except PermissionError as error:
        forbidden(error)
    try:
        yield descriptor
    finally:
        context.__exit__(None, None, None)


@pytest.fixture
def droppable_privileges() -> None:
    """For tests with a process that gives up being root, for which there must be somebody else to be."""
    with open("/proc/self/uid_map") as ranges:
        others = sum(int(line.split()[2]) for line in ranges) > 1
    if os.geteuid() != 0 or not others:
        pytest.skip("only root, outside of a user namespace, can become somebody else")


@pytest.fixture(autouse=True)
def _live_tests_have_a_namespace(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("live"):
        request.getfixturevalue("namespace")
