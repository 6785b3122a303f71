"""``netower serve``: the classic servers of a networks course."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..stack.client import Stack
from .parameters import ip_address, path_option
from .servers import echo, files
from .servers.modes import Service, concurrent, iterative, serve_forever

if TYPE_CHECKING:
    import socket

PORTS: Final = {"echo": 7, "files": 8000}


@click.command()
@click.argument("service", type=click.Choice(list(PORTS)))
@click.option("--host", metavar="IP", type=ip_address, default="0.0.0.0", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), help="[default: 7 for echo, 8000 for files]")
@click.option(
    "--mode",
    type=click.Choice(["iterative", "concurrent"]),
    default="concurrent",
    show_default=True,
    help="One client after another, or each in a process of its own.",
)
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="What `files` hands out.  [default: this folder]",
)
@click.option("--detach", is_flag=True, help="Leave the terminal and run in the background.")
@click.option("--pidfile", type=click.Path(dir_okay=False, path_type=Path), help="With --detach: holds the process id.")
@click.option("--log", type=click.Path(dir_okay=False, path_type=Path), help="With --detach: where messages go.")
@click.option("--kernel", is_flag=True, help="Use the kernel's sockets, to compare.")
@path_option
def command(
    service: str,
    host: str,
    port: int | None,
    mode: str,
    directory: Path,
    detach: bool,
    pidfile: Path | None,
    log: Path | None,
    kernel: bool,
    path: str | None,
) -> int:
    """Run a server on the stack: `echo` (TCP and UDP) or `files` (static files over HTTP).

    \b
    Examples:
      netower serve echo --host 10.77.0.2
      netower serve files --directory /usr/share/doc --mode iterative
      netower serve echo --detach --pidfile /tmp/echo.pid --log /tmp/echo.log
    """  # fmt: skip
    if (pidfile or log) and not detach:
        raise click.UsageError("--pidfile and --log go with --detach")
    sockets = _sockets(kernel, path)
    with ExitStack() as cleanup:
        listener = cleanup.enter_context(sockets.create_server((host, PORTS[service] if port is None else port)))
        endpoint = cleanup.enter_context(_datagram_socket(sockets, listener)) if service == "echo" else None
        serve = (
            echo.serve_connection if service == "echo" else partial(files.serve_connection, root=directory.resolve())
        )
        daemon = _daemon([listener, endpoint], pidfile, log) if detach else None
        address = "{}:{}".format(*listener.getsockname())
        print(f"{service}: {mode} server on {address}{', in the background' if detach else ''}", flush=True)
        if daemon:
            cleanup.enter_context(daemon)
        try:
            _serve(listener, serve, endpoint, mode)
        except KeyboardInterrupt:
            return 0
    return 0


def _sockets(kernel: bool, path: str | None) -> Any:
    """The socket module to use. Raises OSError when it is to be the stack's, and no stack runs."""
    if kernel:
        return import_module("socket")
    stack = Stack.open(path)
    stack.close()
    os.environ["NETOWER_PATH"] = os.path.abspath(stack.path)
    return import_module("..stack.socket", __package__)


def _datagram_socket(sockets: Any, listener: socket.socket) -> Any:
    """A UDP socket with the listener's address and port."""
    endpoint = sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM)
    try:
        endpoint.bind(listener.getsockname())
    except OSError:
        endpoint.close()
        raise
    return endpoint


def _serve(listener: socket.socket, serve: Service, endpoint: socket.socket | None, mode: str) -> None:
    dispatch = concurrent(serve) if mode == "concurrent" else iterative(serve)
    serve_forever(listener, dispatch, endpoint, echo.serve_datagram)


def _daemon(keep: list[socket.socket | None], pidfile: Path | None, log: Path | None) -> Any:
    """A daemon's surroundings, to be entered: no terminal, no folder, no open files but the sockets; ended by SIGTERM.

    Raises what stands against them now, while somebody reads it.
    """
    from daemon import DaemonContext

    output = open(log, "a") if log else None  # noqa: SIM115 - the daemon's, as long as it lives
    return DaemonContext(
        detach_process=True,
        umask=0o022,
        files_preserve=[item for item in keep if item is not None],
        pidfile=_pid_lock(pidfile) if pidfile else None,
        stdout=output,
        stderr=output,
    )


def _pid_lock(path: Path) -> Any:
    """The lock on a PID file. A file that a dead process has left is removed; a living one's is an error."""
    from daemon.pidfile import TimeoutPIDLockFile

    path = path.resolve()
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise click.ClickException(f"{path}: no file can be made in {path.parent}")
    lock = TimeoutPIDLockFile(str(path), 0)
    if pid := lock.read_pid():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            lock.break_lock()
        else:
            raise click.ClickException(f"{path}: process {pid} holds this PID file")
    return lock
