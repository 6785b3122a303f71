"""The tests of sockets run on both: the kernel's module, and ours on a stack with a loopback interface."""

from __future__ import annotations

import os
import socket as kernel
from typing import TYPE_CHECKING, Any

import netower.stack.socket as netower
import pytest
from netower.stack import client

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def private_stack() -> Iterator[str]:
    """The path of this process' own stack, which goes with the process."""
    path = client.shared().path
    yield path
    os.environ.pop("NETOWER_PATH", None)


@pytest.fixture(params=["kernel", "netower"])
def sockets(request: pytest.FixtureRequest) -> Any:
    """A socket module."""
    if request.param == "kernel":
        return kernel
    request.getfixturevalue("private_stack")
    return netower


@pytest.fixture
def listener(sockets: Any) -> Iterator[Any]:
    """A listening socket of the module under test."""
    with sockets.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


@pytest.fixture
def pair(sockets: Any, listener: Any) -> Iterator[tuple[Any, Any]]:
    """A connection: the client's end, and the server's."""
    with sockets.create_connection(listener.getsockname(), timeout=10) as client_end:
        server_end, _ = listener.accept()
        with server_end:
            server_end.settimeout(10)
            yield client_end, server_end
