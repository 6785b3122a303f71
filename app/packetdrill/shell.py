"""Shell commands of a script, as what they would change: settings, routes, the MTU.

Nothing is executed. A command whose effect on a stack is not known makes the script unsupported.
"""

from __future__ import annotations

import re
import shlex
from ipaddress import ip_network
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .machine import Machine

#: What changes nothing that a script could see: each script has a machine of its own, with fresh caches.
_HARMLESS: Final = frozenset({":", "true", "set", "exit", "export", "echo", "cd", "rm", "modprobe", "ethtool", "umask"})
_PROC: Final = "/proc/sys/"
_SEPARATORS: Final = re.compile(r"\n|;|&&|\|\|")
_REDIRECTION: Final = re.compile(r"\d*>>?\s*(?:&\d|/dev/null)|&>\s*/dev/null")
#: ``$[256*1024]``, ``$((256*1024))``
_ARITHMETIC: Final = re.compile(r"\\?\$(?:\(\(|\[)([\d\s*+]+)(?:\)\)|\])")
_ROUTE_VERBS: Final = ("change", "replace", "add", "append")
_ROUTE_PAIRS: Final = ("via", "dev", "src", "proto", "scope", "metric", "table")
#: A queue that only passes packets on.
_PLAIN_QUEUES: Final = ("pfifo", "pfifo_fast", "fq", "fq_codel", "noqueue", "mq")


class Shell:
    """``folder`` is where the script lies: commands may name files beside it."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._machine = machine
        self._folder = folder

    def run(self, text: str) -> None:
        """Raises Unsupported for a command that is not known, and for a setting that the stack does not have."""
        text = _REDIRECTION.sub("", text.replace("\\\n", " "))
        for command in _SEPARATORS.split(text):
            words = shlex.split(command, comments=True)
            if words:
                self._command(words)

    def _command(self, words: list[str]) -> None:
        name = words[0].rsplit("/", 1)[-1]
        run = self._commands().get(name)
        if name == "echo" and _target(words):
            self._set(_target(words)[len(_PROC) :].replace("/", "."), " ".join(words[1 : words.index(">")]))
        elif name in _HARMLESS:
            return
        elif run is not None:
            run(words[1:])
        elif name.endswith(".sh"):
            self.source(words[0])
        else:
            raise Unsupported(f"the command {' '.join(words)}")

    def _commands(self) -> dict[str, Callable[[Sequence[str]], None]]:
        return {
            "sysctl": self._sysctl,
            "set_sysctls.py": self._set_sysctls,
            "ip": self._ip,
            "ifconfig": self._ifconfig,
            "tc": self._tc,
            "sleep": self._sleep,
            "source": lambda words: self.source(words[0]),
            ".": lambda words: self.source(words[0]),
        }

    # settings

    def _sysctl(self, words: Sequence[str]) -> None:
        for word in _assignments(words):
            self._set(*word)

    def _set_sysctls(self, words: Sequence[str]) -> None:
        """``set_sysctls.py /proc/sys/net/ipv4/tcp_sack=0 …``"""
        for name, value in _assignments(words):
            self._set(name.removeprefix(_PROC).replace("/", "."), value)

    def _set(self, name: str, value: str) -> None:
        try:
            self._machine.set_sysctl(name, value)
        except (KeyError, ValueError) as failure:
            raise Unsupported(str(failure.args[0])) from failure

    def source(self, path: str) -> None:
        """A file of commands beside the script; what restores or sets defaults is done by starting afresh.

        Raises Unsupported if there is no such file.
        """
        file = self._folder / path
        if file.is_file():
            self._lines(file.read_text())
        elif "defaults" not in file.name and "restore" not in file.name:
            raise Unsupported(f"the command {path}")

    def _lines(self, text: str) -> None:
        """Defaults: of the settings those that this stack has, and nothing else."""
        for line in text.replace("\\\n", " ").splitlines():
            words = line.split("#")[0].split()
            if words and words[0].rsplit("/", 1)[-1] == "sysctl":
                for name, value in _assignments(shlex.split(line, comments=True)[1:]):
                    self._adopt(name, value)

    def _adopt(self, name: str, value: str) -> None:
        value = _ARITHMETIC.sub(_computed, value)
        if self._machine.has_sysctl(name):
            try:
                self._machine.set_sysctl(name, value)
            except ValueError:
                return  # a value that this stack does not offer: its own stays

    # routes and links

    def _ip(self, words: Sequence[str]) -> None:
        words = [word for word in words if not word.startswith("-")]
        match words:
            case ["tcp_metrics" | "tcp_metric", *_]:
                return
            case ["route" | "ro" | "r", verb, *rest] if verb in _ROUTE_VERBS:
                self._route(rest)
            case ["link" | "l", "set", *rest] if "mtu" in rest:
                self._machine.set_mtu(int(rest[rest.index("mtu") + 1]))
            case _:
                raise Unsupported(f"the command ip {' '.join(words)}")

    def _route(self, words: Sequence[str]) -> None:
        rest = list(words)
        destination = rest.pop(0)
        mtu = 0
        while rest:
            word = rest.pop(0)
            if word == "mtu":
                if rest[0] == "lock":
                    rest.pop(0)
                mtu = int(rest.pop(0))
            elif word in _ROUTE_PAIRS:
                rest.pop(0)
            else:
                raise Unsupported(f"the route attribute {word}")
        prefix = "0.0.0.0/0" if destination == "default" else str(ip_network(destination, strict=False))
        self._machine.replace_route(prefix, mtu)

    def _ifconfig(self, words: Sequence[str]) -> None:
        if "mtu" not in words:
            raise Unsupported(f"the command ifconfig {' '.join(words)}")
        self._machine.set_mtu(int(words[words.index("mtu") + 1]))

    def _tc(self, words: Sequence[str]) -> None:
        if "qdisc" not in words or not set(words) & {*_PLAIN_QUEUES, "del"}:
            raise Unsupported(f"the command tc {' '.join(words)}")

    def _sleep(self, words: Sequence[str]) -> None:
        self._machine.run(self._machine.now + float(words[0].rstrip("s")))


def _assignments(words: Sequence[str]) -> list[tuple[str, str]]:
    """``name=value``, also with spaces around the sign."""
    text = "\0".join(word for word in words if not word.startswith("-"))
    text = text.replace("\0=\0", "=").replace("\0=", "=").replace("=\0", "=")
    pairs = [word.split("=", 1) for word in text.split("\0") if "=" in word]
    return [(name, value) for name, value in pairs]


def _computed(match: re.Match[str]) -> str:
    """The value of a sum of products."""
    return str(sum(prod(map(int, term.split("*"))) for term in match[1].split("+")))


def _target(words: list[str]) -> str:
    """The setting that ``echo VALUE > /proc/sys/…`` writes."""
    for index, word in enumerate(words[:-1]):
        if word == ">" and words[index + 1].startswith(_PROC):
            return words[index + 1]
    return ""
