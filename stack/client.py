"""A program's side of the control connection: calls to the stack's process, and the stack of its own that a program
gets when none is named.

Standard library only, and little of it: every program that uses our sockets imports this file.
"""

from __future__ import annotations

import array
import atexit
import errno
import itertools
import json
import os
import socket as kernel
import sys
import threading
from typing import Any

from .control import MESSAGE_LIMIT, OPTION_ARGUMENT, REPLY, REQUEST, Operation, default_path

_ANCILLARY = kernel.CMSG_SPACE(4)


class Stack:
    """A control connection to a running stack; threads may share it.

    A failed call raises OSError with the errno that the kernel would give; ENETDOWN when the stack is gone.
    """

    def __init__(self, connection: kernel.socket, path: str) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.Lock()
        self._serials = itertools.count(1)

    @classmethod
    def open(cls, path: str | None = None) -> Stack:
        """Connect to the stack at ``path`` (None: NETOWER_PATH, or this user's default).

        Raises OSError (ENOENT, ECONNREFUSED, EACCES) naming the path when no stack serves there.
        """
        path = path or default_path()
        connection = kernel.socket(kernel.AF_UNIX, kernel.SOCK_SEQPACKET)
        try:
            connection.connect(path)
        except OSError as error:
            connection.close()
            reason = error.strerror or str(error)  # Python's own, without an errno, for a path that is too long
            number = error.errno or errno.ENAMETOOLONG
            raise OSError(number, f"no stack serves at {path} ({reason}); start one: netower up") from None
        return cls(connection, path)

    def close(self) -> None:
        self._connection.close()

    def call(self, operation: int, argument: bytes = b"", descriptor: int = -1) -> bytes:
        """Ask the stack and wait for its answer, which comes at once: the stack never waits for the network here."""
        return self._exchange(operation, argument, descriptor)[0]

    def call_for_descriptor(self, operation: int, argument: bytes = b"") -> int:
        """A call whose result is a descriptor."""
        received = self._exchange(operation, argument, -1)[1]
        if received < 0:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return received

    def getsockopt(self, descriptor: int, level: int, option: int, size: int) -> bytes:
        return self.call(Operation.GETSOCKOPT, OPTION_ARGUMENT.pack(level, option, size), descriptor)

    def setsockopt(self, descriptor: int, level: int, option: int, value: bytes) -> None:
        self.call(Operation.SETSOCKOPT, OPTION_ARGUMENT.pack(level, option, len(value)) + value, descriptor)

    def query(self, name: str, **arguments: Any) -> Any:
        """A tool's question, such as ``query("sockets")``; the answer is what JSON can hold."""
        question = json.dumps({"name": name, "arguments": arguments}).encode()
        with open(self.call_for_descriptor(Operation.QUERY, question), "rb") as answer:
            return json.load(answer)

    def _exchange(self, operation: int, argument: bytes, descriptor: int) -> tuple[bytes, int]:
        rights = [] if descriptor < 0 else [(kernel.SOL_SOCKET, kernel.SCM_RIGHTS, array.array("i", [descriptor]))]
        with self._lock:
            serial = next(self._serials) & 0xFFFFFFFF
            try:
                self._connection.sendmsg([REQUEST.pack(operation, 0, serial), argument], rights)
                error, result, received = self._receive_reply(serial)
            except ConnectionError:
                raise self._gone() from None
        if error:
            if received >= 0:
                os.close(received)
            raise OSError(error, os.strerror(error))
        return result, received

    def _receive_reply(self, serial: int) -> tuple[int, bytes, int]:
        while True:
            reply, ancillary, _, _ = self._connection.recvmsg(MESSAGE_LIMIT, _ANCILLARY, kernel.MSG_CMSG_CLOEXEC)
            received = int.from_bytes(ancillary[0][2][:4], sys.byteorder) if ancillary else -1
            if not reply:
                raise ConnectionResetError
            error, answered = REPLY.unpack_from(reply)
            if answered == serial:
                return error, reply[REPLY.size :], received
            if received >= 0:  # the answer to a call that a signal handler broke off
                os.close(received)

    def _gone(self) -> OSError:
        return OSError(errno.ENETDOWN, f"the stack at {self.path} is gone")


def start_private() -> str:
    """Start a stack with just a loopback interface, gone when this process and its forks are; returns its path.

    It becomes this process' stack: programs that it starts find it through NETOWER_PATH too.
    """
    import subprocess
    import tempfile

    environment = dict(os.environ)
    if python := environment.pop("NETOWER_PYTHON", None):  # we run under `netower run`, perhaps in another Python
        environment["PYTHONPATH"] = environment["PYTHONPATH"].partition(os.pathsep)[2]
    path = os.path.join(tempfile.mkdtemp(prefix="netower-"), "stack.sock")
    lifeline, ours = os.pipe()
    try:
        # It leaves for the background when it serves, so that no program finds a child that it did not start.
        subprocess.run(
            [python or sys.executable, "-m", "netower.stack.server", path, str(lifeline)],
            pass_fds=[lifeline],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        os.close(ours)
        os.rmdir(os.path.dirname(path))
        reason = (getattr(error, "stderr", "") or str(error)).strip().rpartition("\n")[2]
        raise OSError(errno.ENETDOWN, f"a stack of this program's own did not start: {reason}") from None
    finally:
        os.close(lifeline)
    os.environ["NETOWER_PATH"] = path
    return path


_shared: Stack | None = None
_opening = threading.Lock()


def shared() -> Stack:
    """This process' control connection, opened on first use."""
    return _shared or _open_shared()


def known() -> Stack:
    """The control connection, but only to a stack that exists already: raises OSError(ENOENT) rather than start one."""
    if _shared is None and "NETOWER_PATH" not in os.environ:
        raise OSError(errno.ENOENT, "this process has used no stack yet")
    return shared()


def _open_shared() -> Stack:
    global _shared
    with _opening:
        if _shared is None:
            _shared = Stack.open(os.environ.get("NETOWER_PATH") or start_private())
        return _shared


def _forget_shared() -> None:
    """After a fork: the connection, and the lock that another thread may hold, are the parent's."""
    global _opening
    _opening = threading.Lock()
    _close_shared()


def _close_shared() -> None:
    global _shared
    if _shared is not None:
        _shared.close()
        _shared = None


def share_with_forks() -> None:
    """Start this program's own stack, if it is to have one, before it forks: parent and child are on one host."""
    if "NETOWER_PATH" not in os.environ:
        shared()


os.register_at_fork(after_in_child=_forget_shared)
atexit.register(_close_shared)
