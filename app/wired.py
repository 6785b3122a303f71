"""Two stacks on one wire in memory, in one process: ``python -m netower.app.wired PATH PATH ADDRESS ADDRESS [PCAP]``.

For machines where nobody may make a TAP: each stack serves programs at its own path, as `netower up` does, and
what passes the wire goes to the pcap file. Prints one line, ``ready``, and serves until SIGTERM.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from ..link.capture import Capture
from ..link.wire import Wire
from ..stack.host import Host
from ..stack.server import StackServer

if TYPE_CHECKING:
    from ..link import Link
    from ..net.interface import Interface

#: How long one stack waits for its programs before the other has its turn, when both are idle, in seconds.
TURN: Final = 0.0005


def main(paths: list[str], addresses: list[str], pcap: str | None) -> None:
    """Serve both until SIGTERM."""
    ends: list[Link] = list(Wire().ends)
    if pcap is not None:
        ends[0] = Capture(ends[0], pcap, now=time.time)
    servers: list[StackServer] = []
    interfaces: list[Interface] = []
    for path, address, end in zip(paths, addresses, ends, strict=True):
        host = Host(path)
        interfaces.append(host.attach(end, address))
        servers.append(StackServer(host, path))
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    print("ready", flush=True)
    passed, longest = 0, TURN
    while not ended:
        for server in servers:
            server.engine.turn(longest)
        passed, before = sum(interface.rx_packets for interface in interfaces), passed
        longest = TURN if passed == before else 0.0
    for server in servers:
        server.close()
    for end in ends:
        end.close()


if __name__ == "__main__":
    main(sys.argv[1:3], sys.argv[3:5], sys.argv[5] if len(sys.argv) > 5 else None)
