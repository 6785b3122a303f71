"""What a network does to packets, by nft in the namespace of the peer."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netower.app.namespace import inside

from ..conftest import forbidden

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def rule(namespace: int, *matches: str, do: str = "drop") -> Iterator[None]:
    """Drop (or ``do``) what matches, coming in or going out; a match is as in ``tcp dport 9``."""
    nft = shutil.which("nft")
    if nft is None:
        forbidden("nft is not installed")
    assert nft
    chains = [
        f"chain {way} {{ type filter hook {way} priority 0; {' '.join(f'{match} {do};' for match in matches)} }};"
        for way in ("input", "output")
    ]
    with inside(namespace):
        subprocess.run([nft, f"table ip live {{ {' '.join(chains)} }}"], check=True, timeout=20)
    try:
        yield
    finally:
        with inside(namespace):
            subprocess.run([nft, "delete table ip live"], check=True, timeout=20)
