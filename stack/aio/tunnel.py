"""Links over asyncio transports: packets of a host, carried by what the program has open already.

``DatagramTunnel`` and ``StreamTunnel`` are protocols; each has a ``link`` to attach to a host::

    _, tunnel = await loop.create_datagram_endpoint(DatagramTunnel, remote_addr=("203.0.113.1", 4000))
    host.attach(tunnel.link, "10.0.0.2/24")

For speed, a `DatagramLink` over a socket of one's own is read in batches and written without a copy.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from ...link.fed import FedLink

#: Where the length of an IP packet is in its header, and what must be added to it.
_LENGTHS: Final = {4: (2, 0), 6: (4, 40)}
_SMALLEST: Final = 20


class DatagramTunnel(asyncio.DatagramProtocol):
    """Each datagram is one packet. ``mtu`` in bytes leaves room for the headers of the path around it."""

    def __init__(self, *, mtu: int = 1472) -> None:
        self.link = FedLink(self._send, mtu=mtu)
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.link.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.link.close()

    def _send(self, packet: bytes) -> None:
        if self._transport is not None:
            self._transport.sendto(packet)


class StreamTunnel(asyncio.Protocol):
    """IP packets one after another in a byte stream: each tells its length itself (RFC 791 §3.1, RFC 8200 §3).

    While the transport's write buffer is full, packets are dropped, as a router does. A stream that carries anything
    but IP packets is closed.
    """

    def __init__(self, *, mtu: int = 1500) -> None:
        self.link = FedLink(self._send, mtu=mtu)
        self._transport: Any = None
        self._full = False
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        start, view = 0, memoryview(self._data)
        with view:
            while len(view) - start >= _SMALLEST:
                version = view[start] >> 4
                if version not in _LENGTHS:
                    self._transport.close()
                    return
                offset, headers = _LENGTHS[version]
                end = start + int.from_bytes(view[start + offset : start + offset + 2]) + headers
                if end - start < _SMALLEST:
                    self._transport.close()
                    return
                if end > len(view):
                    break
                self.link.feed(bytes(view[start:end]))
                start = end
        del self._data[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.link.close()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False

    def _send(self, packet: bytes) -> None:
        if self._full:
            self.link.counters["queue_full"] += 1
        elif self._transport is not None:
            self._transport.write(packet)
