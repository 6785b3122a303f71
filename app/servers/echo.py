"""The echo service (RFC 862): everything comes back, over TCP and over UDP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

BLOCK: Final = 64 * 1024


def serve_connection(connection: socket.socket) -> None:
    """Send back what the client sends, until it has sent all (and then, in turn, have sent all)."""
    while data := connection.recv(BLOCK):
        connection.sendall(data)


def serve_datagram(endpoint: socket.socket) -> None:
    """Send one datagram back to where it came from."""
    data, client = endpoint.recvfrom(BLOCK)
    endpoint.sendto(data, client)
