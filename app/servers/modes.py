"""Whom to serve when: one client after another, or each in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from select import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

#: What is to be done for one client.
Service = Callable[["socket.socket"], None]


def iterative(serve: Service) -> Service:
    """Serve the client here and now: the next one waits in the listener's queue until this one is done."""

    def serve_here(connection: socket.socket) -> None:
        with connection, suppress(OSError):  # a client that breaks off ends its own connection, not the server
            serve(connection)

    return serve_here


def concurrent(serve: Service) -> Service:
    """Serve each client in a process of its own, so that no client waits for another."""

    def serve_in_child(connection: socket.socket) -> None:
        if os.fork():
            connection.close()  # the child holds it: closing our own descriptor ends nothing
            return
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            iterative(serve)(connection)
        finally:
            os._exit(0)

    signal.signal(signal.SIGCHLD, _reap)
    return serve_in_child


def _reap(*_: object) -> None:
    """Collect every child that has ended, or they stay as zombies; several may have ended behind one signal."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def serve_forever(listener: socket.socket, serve: Service, endpoint: socket.socket | None, answer: Service) -> None:
    """Wait for clients on the TCP listener and on the UDP endpoint, if there is one, whichever comes first."""
    waiting = [listener] if endpoint is None else [listener, endpoint]
    while True:
        for ready in select(waiting, [], [])[0]:
            if ready is listener:
                with suppress(ConnectionError):  # a client that has left before it was accepted
                    connection, client = listener.accept()
                    print(f"{client[0]}:{client[1]} connected", flush=True)
                    serve(connection)
            else:
                with suppress(OSError):  # what an earlier answer met on its way
                    answer(ready)
