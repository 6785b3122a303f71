"""Network namespaces: a machine's network of one's own, for tests, the demo and the benchmarks.

A namespace belongs to a thread, and is inherited by the threads and processes it starts. It lives as long as something
is in it or holds a descriptor of it (see network_namespaces(7)). All of it is a handful of system calls, which
Python 3.11 does not have yet (``os.unshare`` and ``os.setns`` came with 3.12), hence ctypes.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
SIOCGIFFLAGS: Final = 0x8913
SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 0x1
_INTERFACE_FLAGS: Final = struct.Struct("16sh14x")  # struct ifreq with ifr_flags, netdevice(7)

_libc = ctypes.CDLL(None, use_errno=True)


def enter_private() -> None:
    """Move the calling thread to a fresh network namespace, for good, and bring its loopback interface up.

    Takes CAP_SYS_ADMIN; a process without it becomes root of a user namespace of its own first (as ``unshare -rn``
    does), which Linux allows only while the process has a single thread. Raises PermissionError (EPERM) where neither
    is possible.
    """
    try:
        _unshare(CLONE_NEWNET)
    except PermissionError:
        _enter_user_namespace()
    set_up("lo")


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    try:
        _unshare(CLONE_NEWUSER | CLONE_NEWNET)
        # user_namespaces(7): an unprivileged process may map its group only after it has given up setgroups().
        for name, text in ("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1"):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError as error:
        reason = "the process has several threads" if error.errno == errno.EINVAL else error.strerror
        raise PermissionError(
            errno.EPERM,
            "cannot make a network namespace: it takes root (CAP_SYS_ADMIN), and a user namespace is refused too: "
            f"{reason}",
        ) from None


def open_namespace() -> int:
    """A new descriptor of the network namespace that the calling thread is in; the caller closes it."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def create_namespace() -> int:
    """A descriptor of a fresh network namespace whose loopback interface is up; the caller stays where it is.

    Raises PermissionError (EPERM) without CAP_SYS_ADMIN, which a process that has called `enter_private` has.
    """
    home = open_namespace()
    try:
        _unshare(CLONE_NEWNET)
        try:
            set_up("lo")
            return open_namespace()
        finally:
            _setns(home)
    finally:
        os.close(home)


@contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Put the calling thread in the network namespace of this descriptor, and back where it was at the end."""
    home = open_namespace()
    try:
        _setns(namespace)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


@contextmanager
def network_namespace() -> Iterator[int]:
    """Put the calling thread in a fresh network namespace with its loopback interface up, and back at the end.

    Gives the descriptor of the namespace, for `inside`. Without CAP_SYS_ADMIN the process enters a private namespace
    for good first, since it could not come back to the machine's own. Raises PermissionError as `enter_private`.
    """
    try:
        namespace = create_namespace()
    except PermissionError:
        enter_private()
        namespace = create_namespace()
    try:
        with inside(namespace):
            yield namespace
    finally:
        os.close(namespace)


def join(first: int, second: int, first_address: str, second_address: str, *, mtu: int = 1500) -> None:
    """Lay a veth cable between two namespaces: an interface ``veth0`` in each, up, with an address like 10.0.0.1/24.

    Raises pyroute2's NetlinkError as the kernel refuses it (EEXIST: there is a cable in one of them already).
    """
    from pyroute2 import IPRoute  # 150 ms, which only those who lay cables should pay

    with inside(first), IPRoute() as route:
        route.link("add", ifname="veth0", kind="veth", peer={"ifname": "veth0", "net_ns_fd": second})
    for namespace, address in (first, first_address), (second, second_address):
        host, length = address.split("/")
        with inside(namespace), IPRoute() as route:
            index = route.link_lookup(ifname="veth0")[0]
            route.addr("add", index=index, address=host, prefixlen=int(length))
            route.link("set", index=index, mtu=mtu, state="up")


def set_up(interface: str) -> None:
    """Bring an interface of this namespace up. Raises OSError (ENODEV: there is none of that name)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        name = interface.encode()
        _, flags = _INTERFACE_FLAGS.unpack(fcntl.ioctl(control, SIOCGIFFLAGS, _INTERFACE_FLAGS.pack(name, 0)))
        fcntl.ioctl(control, SIOCSIFFLAGS, _INTERFACE_FLAGS.pack(name, flags | IFF_UP))


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags))


def _setns(namespace: int) -> None:
    _check(_libc.setns(namespace, CLONE_NEWNET))


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
