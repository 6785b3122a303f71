"""Urgent data of programs: on the kernel with SO_OOBINLINE, on ours always, they stay in line."""

from __future__ import annotations

import socket as kernel
from typing import Any

import pytest
from netower.stack.program import stream


def receive(end: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = end.recv(size - len(data))
        assert piece
        data += piece
    return data


def test_urgent_data_stay_in_line(pair: tuple[Any, Any]) -> None:
    client, server = pair
    server.setsockopt(kernel.SOL_SOCKET, kernel.SO_OOBINLINE, 1)
    client.send(b"abc")
    assert client.send(b"xy!", kernel.MSG_OOB) == 3
    client.send(b"def")
    client.sendall(b"?", kernel.MSG_OOB)
    client.sendmsg([b"g", b"h"], [], kernel.MSG_OOB)
    client.close()
    assert receive(server, 12) == b"abcxy!def?gh"
    assert server.recv(1) == b""


@pytest.mark.parametrize("sockets", ["netower"], indirect=True)
def test_what_a_program_sends_with_the_kernel_s_own_call_is_not_lost(pair: tuple[Any, Any]) -> None:
    client, server = pair
    try:
        stream._send(client, b"xy!", kernel.MSG_OOB)
    except OSError:
        pytest.skip("this kernel's AF_UNIX has no urgent data")
    client.send(b"def")
    assert receive(server, 6) == b"xy!def"
    client.close()
    assert server.recv(1) == b""


@pytest.mark.parametrize("sockets", ["netower"], indirect=True)
def test_urgent_data_wait_for_room(pair: tuple[Any, Any]) -> None:
    client, server = pair
    client.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += client.send(bytes(4096), kernel.MSG_OOB)
    assert len(receive(server, sent)) == sent
    client.settimeout(10)
    assert client.send(b"!", kernel.MSG_OOB) == 1
    assert receive(server, 1) == b"!"
