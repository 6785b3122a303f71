"""Two hosts and a wire, for programs that talk to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from netower.stack import Network

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pair() -> Iterator[Network]:
    """``client`` and ``server``, 10 ms apart."""
    with Network(seed=1) as network:
        network.host("client")
        network.host("server")
        network.wire("client", "server", delay="10ms")
        yield network
