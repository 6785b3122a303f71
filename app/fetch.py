"""Fetches a URL and prints, as JSON, its size in bytes, its SHA-256 sum, and the seconds that it took to arrive.

A plain program over the standard library: the demo runs it on whichever sockets are to be shown.
"""

from __future__ import annotations

import hashlib
import json
import sys
import urllib.request
from time import perf_counter


def fetch(url: str) -> dict[str, object]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as response:
        buffer = bytearray(int(response.headers["Content-Length"]))
        buffer[::4096] = bytes(len(buffer[::4096]))  # so that no new page is waited for below
        data = memoryview(buffer)
        size = 0
        start = perf_counter()
        while count := response.readinto(data[size:]):
            size += count
    seconds = perf_counter() - start
    return {"bytes": size, "sha256": hashlib.sha256(data[:size]).hexdigest(), "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(fetch(sys.argv[1])), flush=True)
