"""``netower up``: a stack in the foreground, on a TAP, until it is told to end."""

from __future__ import annotations

import errno
import logging
import os
import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..stack.control import default_path
from .parameters import interface_address, interface_name, ip_address, path_option

if TYPE_CHECKING:
    from ..link import Link
    from ..stack.host import Host

DEFAULT_ADDRESS: Final = "10.77.0.2/24"
DEFAULT_HOST_ADDRESS: Final = "10.77.0.1/24"
#: RFC 791 §3.2: every host forwards 68 bytes without cutting them; the most that a Linux TAP takes.
SMALLEST_MTU: Final = 68
LARGEST_MTU: Final = 65521


@click.command()
@click.option(
    "--tap",
    metavar="NAME",
    default="",
    type=interface_name,
    help="The interface's name on the kernel's side.  [default: tapN]",
)
@click.option(
    "--address",
    "addresses",
    metavar="CIDR",
    multiple=True,
    type=interface_address,
    help="An address of the stack (repeatable).  [default: 10.77.0.2/24]",
)
@click.option(
    "--host-address",
    metavar="CIDR",
    type=interface_address,
    help="An address for the kernel's side.  [default: 10.77.0.1/24, when there is no --address]",
)
@click.option(
    "--gateway",
    "gateways",
    metavar="IP",
    multiple=True,
    type=ip_address,
    help="A router for every other destination (repeatable).",
)
@click.option(
    "--mtu",
    type=click.IntRange(SMALLEST_MTU, LARGEST_MTU),
    default=1500,
    show_default=True,
    help="The largest packet, in bytes.",
)
@click.option(
    "--pcap",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every frame to a file for tcpdump, Wireshark and `netower ladder`.",
)
@click.option("--forward", is_flag=True, help="Forward packets between interfaces, as a router does.")
@click.option("--no-offload", is_flag=True, help="Plain frames: checksums and segmentation are done here.")
@click.option("--verbose", is_flag=True, help="Log to stderr what goes on.")
@path_option
def command(
    tap: str,
    addresses: tuple[str, ...],
    host_address: str | None,
    gateways: tuple[str, ...],
    mtu: int,
    pcap: Path | None,
    forward: bool,
    no_offload: bool,
    verbose: bool,
    path: str | None,
) -> int:
    """Run a stack in the foreground, on a TAP interface of its own; SIGINT or SIGTERM ends it.

    Prints one line, `ready PATH`, when it serves. Making a TAP takes root, CAP_NET_ADMIN, or `unshare -rn`.

    \b
    Examples:
      netower up                                         10.77.0.2 here, 10.77.0.1 on the kernel's side
      netower up --tap tap0 --address 192.168.7.2/24 --host-address 192.168.7.1/24 --gateway 192.168.7.1
      unshare -rn netower up --pcap trace.pcap           without root, in a network of its own
    """  # fmt: skip
    logging.basicConfig(level=logging.DEBUG if verbose else logging.CRITICAL, format="%(asctime)s %(name)s %(message)s")
    if not addresses:
        addresses, host_address = (DEFAULT_ADDRESS,), host_address or DEFAULT_HOST_ADDRESS
    path = path or default_path()
    _make_folder(path)
    with ExitStack() as cleanup:
        link = _make_link(cleanup, tap, mtu, host_address, pcap, not no_offload)
        _serve(link, addresses, gateways, forward, path)
    return 0


def _make_link(
    cleanup: ExitStack, tap: str, mtu: int, host_address: str | None, pcap: Path | None, offload: bool
) -> Link:
    from ..link.tap import Tap

    try:
        link: Link = Tap(tap, mtu=mtu, host_address=host_address, offload=offload)
    except ValueError as error:
        raise click.BadParameter(f"{host_address}: {error}", param_hint="--host-address") from None
    cleanup.callback(link.close)
    if pcap:
        from ..link.capture import Capture

        link = Capture(link, pcap, now=time.time)
        cleanup.callback(link.close)
    return link


def _serve(link: Link, addresses: tuple[str, ...], gateways: tuple[str, ...], forward: bool, path: str) -> None:
    from ..stack.host import Host
    from ..stack.server import StackServer

    host = Host("netower")
    try:
        interface = host.attach(link, *addresses, name=getattr(link, "name", None))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--address") from None
    for metric, gateway in enumerate(gateways):
        _add_gateway(host, gateway, metric)
    host.internet.forwarding = forward
    server = StackServer(host, path)
    for number in (signal.SIGINT, signal.SIGTERM):  # may come as soon as it is said to be ready
        signal.signal(number, lambda *_: server.stop())
    print(f"ready {path}", flush=True)
    logging.getLogger(__name__).info("%s serves at %s", interface, path)
    server.run()


def _add_gateway(host: Host, gateway: str, metric: int) -> None:
    """A default route; the first gateway that is named is the one that is used."""
    try:
        host.routes.add("default", via=gateway, metric=metric)
    except OSError as error:
        raise click.BadParameter(error.strerror or str(error), param_hint="--gateway") from None


def _make_folder(path: str) -> None:
    """The default path's folder in /tmp, where anyone may write, has to be made, and to be this user's alone."""
    folder = os.path.dirname(path)
    if folder != f"/tmp/netower-{os.getuid()}":
        return
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    if os.lstat(folder).st_uid != os.getuid():
        raise PermissionError(errno.EPERM, f"{folder} belongs to somebody else; name another place with --path")
