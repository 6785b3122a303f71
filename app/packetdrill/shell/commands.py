"""The commands that scripts give the shell, as what they would change: settings, routes, the MTU."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from ..errors import Unsupported
from ..routes import read_route
from .conditions import holds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..machine import Machine

Result = tuple[int, str]

#: Printed by what shows how the machine is: nobody here knows.
UNKNOWN: Final = "\0"
#: What changes nothing that a script could see: each script has a machine of its own, with fresh caches.
_HARMLESS: Final = frozenset({":", "true", "set", "unset", "cd", "rm", "mkdir", "touch", "chmod", "sync",
                              "wait", "trap", "shift", "modprobe", "ethtool", "umask", "ulimit", "logger"})  # fmt: skip
#: What only asks.
_QUESTIONS: Final = frozenset({"nstat", "ss", "netstat", "ls", "date", "dmesg"})
#: What stands before a command that it changes nothing about, and how many words of its own it has.
_BEFORE: Final = {
    "sudo": 0,
    "exec": 0,
    "command": 0,
    "nice": 0,
    "time": 0,
    "nohup": 0,
    "env": 0,
    "timeout": 1,
    "taskset": 1,
}
_PYTHON: Final = re.compile(r"python[\d.]*")
#: Settings of other protocols, and of caches: nothing that a script over IPv4 on one link could notice.
_ELSEWHERE: Final = ("net.ipv6.", "net.mptcp.", "net.ipv4.conf.", "net.ipv4.neigh.", "net.ipv4.route.", "net.core.",
                     "net.unix.", "kernel.", "vm.")  # fmt: skip
_PROC: Final = "/proc/sys/"
_OPTION: Final = re.compile(r"-(?!\d)")
_ROUTE_VERBS: Final = ("change", "chg", "replace", "add", "append")
#: What can be asked or told that leaves packets alone.
_LINK_WORDS: Final = frozenset({"up", "txqueuelen", "qlen", "gso_max_size", "gso_max_segs", "gro_max_size",
                                "gso_ipv4_max_size", "gro_ipv4_max_size"})  # fmt: skip
_ASKING: Final = frozenset({"show", "list", "ls", "get", "flush"})
#: A queue that only passes packets on.
_PLAIN_QUEUES: Final = ("pfifo", "bfifo", "pfifo_fast", "fq", "fq_codel", "noqueue", "mq")
_RELEASE: Final = "6.18.0"
_CONVERSION: Final = re.compile("%[sd]")
_ESCAPES: Final = {r"\n": "\n", r"\t": "\t"}


class Commands:
    """``folder`` is where the script lies."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._machine = machine
        self._folder = folder
        #: What commands have written into files.
        self._files: dict[str, str] = {}
        self._known: dict[str, Callable[[list[str], str], Result | None]] = {
            "sysctl": lambda words, _: self._sysctl(words),
            "set_sysctls.py": lambda words, _: self._set_sysctls(words),
            "ip": lambda words, _: self._ip(words),
            "ifconfig": lambda words, _: self._ifconfig(words),
            "tc": lambda words, _: self._tc(words),
            "sleep": lambda words, _: self._sleep(float(words[0].rstrip("s"))),
            "usleep": lambda words, _: self._sleep(int(words[0]) / 1e6),
            "echo": lambda words, _: (0, _echo(words)),
            "printf": lambda words, _: (0, _printf(words)),
            "cat": self._cat,
            "tee": self._tee,
            "grep": self._grep,
            "test": lambda words, _: (int(not holds(words, self._exists)), ""),
            "[": lambda words, _: (int(not holds(words[:-1], self._exists)), ""),
            "[[": lambda words, _: (int(not holds(words[:-1], self._exists)), ""),
            "false": lambda words, _: (1, ""),
            "uname": lambda words, _: (0, f"{_RELEASE if '-r' in words else 'Linux'}\n"),
            "dirname": lambda words, _: (0, f"{PurePosixPath(words[0]).parent}\n"),
            "basename": lambda words, _: (0, f"{PurePosixPath(words[0]).name}\n"),
            "which": lambda words, _: (0, ""),
        }

    def behind(self, name: str, words: list[str]) -> list[str]:
        """The command that another one runs; nothing if this is none that runs another."""
        if _PYTHON.fullmatch(name) and words and words[0].endswith("set_sysctls.py"):
            return words
        if name not in _BEFORE:
            return []
        left = list(words)
        while left and (left[0].startswith("-") or (name == "env" and "=" in left[0])):
            left.pop(0)
        return left[_BEFORE[name] :]

    def run(self, words: list[str], given: str, *, lenient: bool) -> Result:
        """``lenient``: of several settings only those count that are known.

        Raises Unsupported for a command that is not known, and for a setting that the stack does not have.
        """
        name = words[0].rsplit("/", 1)[-1]
        if name in _HARMLESS:
            return 0, ""
        if name in _QUESTIONS:
            return 0, UNKNOWN
        command = self._known.get(name)
        if command is None:
            raise Unsupported(f"the command {' '.join(words)}")
        if lenient and name in ("sysctl", "set_sysctls.py"):
            return self._adopt(words[1:])
        return command(words[1:], given) or (0, "")

    # files

    def content(self, path: str) -> str | None:
        """What can be read there; None for nothing."""
        if path in self._files:
            return self._files[path]
        name = _name_of(path)
        if path.startswith(_PROC) and self._machine.has_sysctl(name):
            return f"{self._machine.get_sysctl(name)}\n"
        file = self._beside(path)
        return file.read_text(encoding="utf-8", errors="replace") if file is not None and file.is_file() else None

    def write(self, path: str, text: str, *, append: bool) -> None:
        """Raises Unsupported for a setting that the stack does not have."""
        if path.startswith(_PROC):
            self._set(_name_of(path), text.strip())
        else:
            self._files[path] = (self._files.get(path, "") if append else "") + text

    def _exists(self, path: str) -> bool:
        if path.startswith(_PROC):
            return self._machine.has_sysctl(_name_of(path)) or _name_of(path).startswith(_ELSEWHERE)
        return path in self._files or self._beside(path) is not None

    def _beside(self, path: str) -> Path | None:
        """What lies there beside the script; what is elsewhere on this machine is nothing to it."""
        file = self._folder / path
        return file if not path.startswith("/") and file.exists() else None

    def _cat(self, words: list[str], given: str) -> Result:
        found = [self.content(path) for path in words if not path.startswith("-")]
        return int(None in found), "".join(filter(None, found)) if found else given

    def _tee(self, words: list[str], given: str) -> Result:
        for path in words:
            if not path.startswith("-"):
                self.write(path, given, append="-a" in words)
        return 0, given

    def _grep(self, words: list[str], given: str) -> Result:
        """Whether, and where, a pattern is found. Raises Unsupported where nobody knows the text."""
        options = "".join(word for word in words if word.startswith("-"))
        pattern, *paths = [word for word in words if not word.startswith("-")]
        text = self._cat(paths, given)[1]
        if UNKNOWN in text:
            raise Unsupported(f"the command grep {' '.join(words)}")
        found = [line for line in text.splitlines() if ("v" in options) != bool(re.search(pattern, line))]
        return int(not found), "" if "q" in options else "".join(f"{line}\n" for line in found)

    # settings

    def _sysctl(self, words: list[str]) -> Result:
        printed = ""
        for name, value in _assignments(words):
            self._set(name.replace("/", "."), value)
        for word in words:
            name = word.replace("/", ".")
            if "=" not in word and self._machine.has_sysctl(name):
                value = self._machine.get_sysctl(name)
                printed += f"{value}\n" if "-n" in words else f"{name} = {value}\n"
        return 0, printed

    def _set_sysctls(self, words: list[str]) -> None:
        """``set_sysctls.py /proc/sys/net/ipv4/tcp_sack=0 …``"""
        for path, value in _assignments(words):
            self._set(_name_of(path), value)

    def _set(self, name: str, value: str) -> None:
        if name.startswith(_ELSEWHERE) and not self._machine.has_sysctl(name):
            return
        try:
            self._machine.set_sysctl(name, value)
        except (KeyError, ValueError) as failure:
            raise Unsupported(str(failure.args[0])) from failure

    def _adopt(self, words: list[str]) -> Result:
        """Set what is known."""
        printed = self._sysctl([word for word in words if "=" not in word])
        for name, value in _assignments(words):
            try:
                self._set(_name_of(name), value)
            except Unsupported:
                continue
        return printed

    # routes and links

    def _ip(self, words: list[str]) -> Result | None:
        if "-6" in words or "-family inet6" in " ".join(words):
            return None
        words = [word for word in words if not word.startswith("-")]
        match words:
            case ["tcp_metrics" | "tcp_metric" | "neigh" | "neighbor" | "n" | "monitor", *_] | [_]:
                return 0, UNKNOWN
            case [_, verb, *_] if verb in _ASKING:
                return 0, UNKNOWN
            case ["route" | "ro" | "r", verb, *rest] if verb in _ROUTE_VERBS:
                self._route(rest)
            case ["link" | "l" | "li", "set", *rest]:
                self._link(rest)
            case _:
                raise Unsupported(f"the command ip {' '.join(words)}")
        return None

    def _route(self, words: Sequence[str]) -> None:
        destination, metrics = read_route(words)
        try:
            self._machine.replace_route(destination, metrics)
        except ValueError as failure:
            raise Unsupported(str(failure)) from failure

    def _link(self, words: Sequence[str]) -> None:
        if "mtu" in words:
            self._machine.set_mtu(int(words[words.index("mtu") + 1]))
        elif not _LINK_WORDS & set(words):
            raise Unsupported(f"the command ip link set {' '.join(words)}")

    def _ifconfig(self, words: Sequence[str]) -> None:
        if "mtu" not in words:
            raise Unsupported(f"the command ifconfig {' '.join(words)}")
        self._machine.set_mtu(int(words[words.index("mtu") + 1]))

    def _tc(self, words: Sequence[str]) -> None:
        if "qdisc" not in words or not set(words) & {*_PLAIN_QUEUES, *_ASKING, "del"}:
            raise Unsupported(f"the command tc {' '.join(words)}")

    def _sleep(self, seconds: float) -> None:
        self._machine.run(self._machine.now + seconds)


def _name_of(path: str) -> str:
    """Of the setting in a file below /proc/sys."""
    return path.removeprefix(_PROC).replace("/", ".")


def _assignments(words: Sequence[str]) -> list[tuple[str, str]]:
    """``name=value``, also with spaces around the sign."""
    text = "\0".join(word for word in words if not _OPTION.match(word))
    text = text.replace("\0=\0", "=").replace("\0=", "=").replace("=\0", "=")
    pairs = [word.split("=", 1) for word in text.split("\0") if "=" in word]
    return [(name, value) for name, value in pairs]


def _echo(words: list[str]) -> str:
    end = "\n"
    while words and words[0] in ("-n", "-e", "-en", "-ne"):
        end = "" if "n" in words.pop(0) else end
    return " ".join(words) + end


def _printf(words: list[str]) -> str:
    """Of conversions only %s and %d."""
    text, *values = words
    for written, meant in _ESCAPES.items():
        text = text.replace(written, meant)
    for value in values:
        text = value.join(_CONVERSION.split(text, maxsplit=1))
    return text
