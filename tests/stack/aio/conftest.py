"""A small simulated network, and TLS contexts that trust each other."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from netower.stack import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
def network() -> Iterator[Network]:
    """Two hosts, ``client`` and ``server``, 20 ms apart."""
    with Network(seed=1) as network:
        network.host("client", "10.0.0.1/24")
        network.host("server", "10.0.0.2/24")
        network.wire("client", "server", delay="20ms")
        yield network


@pytest.fixture(scope="session")
def server_tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(DATA / "tls-cert.pem", DATA / "tls-key.pem")
    return context


@pytest.fixture(scope="session")
def client_tls() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(DATA / "tls-cert.pem"))
    context.check_hostname = False
    return context
