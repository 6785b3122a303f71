"""Programs that know nothing of us: servers and clients of the standard library, with the kernel at the other end."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .sides import HERE, THERE

if TYPE_CHECKING:
    from .sides import Side

pytestmark = pytest.mark.live

PROGRAMS = Path(__file__).parent / "programs"
DATA = Path(__file__).parents[1] / "data"
KINDS = ["forking", "threading", "prefork", "asyncio", "asyncio-tls", "tls"]


@pytest.mark.parametrize("serving", ["program", "peer"])
@pytest.mark.parametrize("kind", KINDS)
def test_servers_and_clients(ours: Side, kind: str, serving: str) -> None:
    server, client = (ours.program, ours.peer) if serving == "program" else (ours.peer, ours.program)
    host = HERE if serving == "program" else THERE
    certificate, key = DATA / "tls-cert.pem", DATA / "tls-key.pem"
    with server.start(PROGRAMS / "servers.py", kind, host, certificate, key, start_new_session=True) as serves:
        assert serves.stdout
        port = serves.stdout.readline().strip()
        with client.start("-W", "error", PROGRAMS / "clients.py", kind, host, port, certificate) as asks:
            assert asks.communicate(timeout=60)[0] == "equal\n"
            assert asks.returncode == 0
        os.killpg(serves.pid, signal.SIGKILL)  # with its children
