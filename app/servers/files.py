"""A static file server: as much of HTTP/1.0 (RFC 1945) as it takes to hand out the files of a folder."""

from __future__ import annotations

import html
import mimetypes
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    import socket
    from pathlib import Path

LONGEST_LINE: Final = 8192
MOST_HEADERS: Final = 100
#: A client that says nothing for so long is given up, in seconds.
PATIENCE: Final = 30.0


class Refusal(Exception):
    """The request ends with this status."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


def serve_connection(connection: socket.socket, root: Path) -> None:
    """Answer one request for a file under ``root``, or for the list of a folder; then the connection ends."""
    connection.settimeout(PATIENCE)
    try:
        method, target = _read_request(connection)
        path = _locate(root, target)
        if path.is_dir():
            _send_folder(connection, method, path, target)
        else:
            _send_file(connection, method, path)
    except Refusal as refusal:
        _respond(connection, refusal.status, "text/plain", f"{refusal}\n".encode())


def _read_request(connection: socket.socket) -> tuple[str, str]:
    """The request's method and target; the headers are read and not looked at."""
    with connection.makefile("rb") as lines:
        words = lines.readline(LONGEST_LINE).decode("latin-1").split()
        for _ in range(MOST_HEADERS):
            if not lines.readline(LONGEST_LINE).strip():
                break
    if len(words) != 3 or not words[1].startswith("/"):
        raise Refusal(HTTPStatus.BAD_REQUEST)
    if words[0] not in ("GET", "HEAD"):
        raise Refusal(HTTPStatus.NOT_IMPLEMENTED)
    return words[0], words[1]


def _locate(root: Path, target: str) -> Path:
    """The file that a target such as ``/a%20b/c?d`` names; nothing outside of ``root`` is there."""
    name = unquote(target.split("?", 1)[0]).lstrip("/")
    if "\0" in name:
        raise Refusal(HTTPStatus.BAD_REQUEST)
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()) or not path.exists():
        raise Refusal(HTTPStatus.NOT_FOUND)
    return path


def _send_file(connection: socket.socket, method: str, path: Path) -> None:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    try:
        file = path.open("rb")
    except OSError:
        raise Refusal(HTTPStatus.FORBIDDEN) from None
    with file:
        connection.sendall(_head(HTTPStatus.OK, kind, path.stat().st_size))
        if method == "GET":
            connection.sendfile(file)


def _send_folder(connection: socket.socket, method: str, folder: Path, target: str) -> None:
    entries = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in folder.iterdir())
    base = target.split("?", 1)[0].rstrip("/")
    items = "".join(f'<li><a href="{base + "/" + quote(name)}">{html.escape(name)}</a></li>\n' for name in entries)
    page = f"<!DOCTYPE html>\n<title>{html.escape(unquote(base))}/</title>\n<ul>\n{items}</ul>\n".encode()
    _respond(connection, HTTPStatus.OK, "text/html; charset=utf-8", page if method == "GET" else b"", len(page))


def _respond(connection: socket.socket, status: HTTPStatus, kind: str, body: bytes, size: int | None = None) -> None:
    connection.sendall(_head(status, kind, len(body) if size is None else size) + body)


def _head(status: HTTPStatus, kind: str, size: int) -> bytes:
    lines = [
        f"HTTP/1.0 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {size}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
