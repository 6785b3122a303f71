"""Network namespaces: what is in one is not in the other, and one comes back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap

import pytest
from netower.app.namespace import create_namespace, inside, join, network_namespace, open_namespace, set_up


def interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def identity() -> str:
    return os.readlink("/proc/thread-self/ns/net")


@pytest.mark.live
def test_fresh_namespace_has_loopback_only_and_it_is_up() -> None:
    assert interfaces() == ["lo"]
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as client,
    ):
        accepted, _ = server.accept()
        accepted.close()
        assert client.getpeername() == server.getsockname()


@pytest.mark.live
def test_the_thread_comes_back_even_from_an_error() -> None:
    home = identity()

    def fail_inside() -> None:
        with network_namespace():
            assert identity() != home
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert identity() == home


@pytest.mark.live
def test_no_descriptor_is_left_behind() -> None:
    before = os.listdir("/proc/self/fd")
    with network_namespace() as namespace, inside(namespace):
        pass
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.live
def test_cable_between_two_namespaces_carries_a_connection(namespace: int) -> None:
    other = create_namespace()
    try:
        join(namespace, other, "10.9.0.1/24", "10.9.0.2/24")
        with inside(other):
            server = socket.create_server(("10.9.0.2", 0))
        with server, socket.create_connection(server.getsockname(), timeout=5) as client:
            accepted, peer = server.accept()
            with accepted:
                assert peer == client.getsockname()
                assert peer[0] == "10.9.0.1"
    finally:
        os.close(other)


@pytest.mark.live
def test_set_up_of_an_unknown_interface() -> None:
    with pytest.raises(OSError, match="No such device"):
        set_up("nonesuch")


def test_open_namespace_is_the_one_we_are_in() -> None:
    descriptor = open_namespace()
    try:
        assert f"[{os.fstat(descriptor).st_ino}]" in identity()
    finally:
        os.close(descriptor)


@pytest.mark.live
@pytest.mark.usefixtures("droppable_privileges")
def test_process_without_privilege_becomes_root_of_its_own() -> None:
    program = """
        import os, socket
        from netower.app.namespace import network_namespace
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            with network_namespace():
                print([name for _, name in socket.if_nameindex()], os.geteuid())
        except PermissionError as error:
            print("refused:", error)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.stderr == ""
    assert result.stdout == "['lo'] 0\n" or "takes root (CAP_SYS_ADMIN)" in result.stdout
