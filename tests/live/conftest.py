"""A stack over a TAP against the kernel: one namespace and one stack for the tests of a file, where that will do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from netower.app.namespace import network_namespace

from ..conftest import forbidden
from .sides import Side, Stack, tower, two_kernels

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def namespace() -> Iterator[int]:
    try:
        with network_namespace() as descriptor:
            yield descriptor
    except PermissionError as error:
        forbidden(error)


@pytest.fixture(scope="module")
def ours(namespace: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """Our stack, and the kernel as its peer."""
    with tower(namespace, tmp_path_factory.mktemp("stack") / "stack.sock") as side:
        yield side


@pytest.fixture(scope="module")
def theirs(namespace: int) -> Iterator[Side]:
    """The same with the kernel on both sides."""
    with two_kernels() as side:
        yield side


@pytest.fixture(scope="module", params=["ours", "theirs"])
def side(request: pytest.FixtureRequest) -> Side:
    """Either: what holds for the program must hold on both."""
    found: Side = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def stack(ours: Side) -> Stack:
    assert ours.stack
    return ours.stack
