"""Shell commands of a script, as what they would change: settings, routes, the MTU.

Nothing is executed. A command whose effect on a stack is not known makes the script unsupported.
"""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .errors import Unsupported
from .routes import read_route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .machine import Machine

#: What changes nothing that a script could see: each script has a machine of its own, with fresh caches.
_HARMLESS: Final = frozenset({":", "true", "set", "exit", "unset", "echo", "printf", "cd", "rm",
                              "mkdir", "touch", "chmod", "sync", "wait", "modprobe", "ethtool", "umask", "ulimit",
                              "trap", "nstat", "ss", "cat", "ls", "date", "uname"})  # fmt: skip
#: What stands before a command that it changes nothing about.
_BEFORE: Final = frozenset({"export", "readonly", "local", "sudo", "exec", "command", "nice", "then", "do", "else", "{",
                            "(", "!"})  # fmt: skip
#: Settings of other protocols, and of caches: nothing that a script over IPv4 on one link could notice.
_ELSEWHERE: Final = ("net.ipv6.", "net.mptcp.", "net.ipv4.conf.", "net.ipv4.neigh.", "net.ipv4.route.", "net.core.",
                     "net.unix.", "kernel.", "vm.")  # fmt: skip
_PROC: Final = "/proc/sys/"
_COMMENT: Final = re.compile(r"^\s*#.*$", re.MULTILINE)
_SEPARATORS: Final = re.compile(r"\n|;|&&|\|\|")
_REDIRECTION: Final = re.compile(r"\d*>>?\s*(?:&\d|/dev/null)|&>\s*/dev/null|<\s*/dev/null")
#: ``$[256*1024]``, ``$((256*1024))``
_ARITHMETIC: Final = re.compile(r"\\?\$(?:\(\(|\[)([\d\s*+]+)(?:\)\)|\])")
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")
_VALUE: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_OPTION: Final = re.compile(r"-(?!\d)")
_ROUTE_VERBS: Final = ("change", "chg", "replace", "add", "append")
#: What can be asked or told that leaves packets alone.
_LINK_WORDS: Final = frozenset({"up", "txqueuelen", "qlen", "gso_max_size", "gso_max_segs", "gro_max_size",
                                "gso_ipv4_max_size", "gro_ipv4_max_size"})  # fmt: skip
_ASKING: Final = frozenset({"show", "list", "ls", "get", "flush"})
#: A queue that only passes packets on.
_PLAIN_QUEUES: Final = ("pfifo", "bfifo", "pfifo_fast", "fq", "fq_codel", "noqueue", "mq")


class Shell:
    """``folder`` is where the script lies: commands may name files beside it."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._machine = machine
        self._folder = folder
        self._variables: dict[str, str] = {}

    def run(self, text: str) -> None:
        """Raises Unsupported for a command that is not known, and for a setting that the stack does not have."""
        for words in self._statements(text):
            self._command(words)

    def _statements(self, text: str) -> Iterator[list[str]]:
        """The words of each command, with variables replaced, whose values are taken note of."""
        text = _REDIRECTION.sub("", _COMMENT.sub("", text.replace("\\\n", " ")))
        for command in _SEPARATORS.split(text):
            try:
                words = shlex.split(_ARITHMETIC.sub(_computed, _VARIABLE.sub(self._value, command)), comments=True)
            except ValueError as failure:
                raise Unsupported(f"the command {command.strip()}: {failure}") from failure
            while words and (words[0] in _BEFORE or _VALUE.fullmatch(words[0])):
                if assigned := _VALUE.fullmatch(words.pop(0)):
                    self._variables[assigned[1]] = assigned[2]
            if words:
                yield words

    def _value(self, match: re.Match[str]) -> str:
        return self._variables.get(match[1] or match[2], "")

    def _command(self, words: list[str]) -> None:
        name = words[0].rsplit("/", 1)[-1]
        run = self._commands().get(name)
        if "|" in words:
            raise Unsupported(f"the command {' '.join(words)}")
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
            "usleep": lambda words: self._sleep([f"{int(words[0]) / 1e6}"]),
            "source": lambda words: self.source(words[0]),
            ".": lambda words: self.source(words[0]),
            **dict.fromkeys(("sh", "bash"), lambda words: self.source(words[0])),
        }

    # settings

    def _sysctl(self, words: Sequence[str]) -> None:
        for name, value in _assignments(words):
            self._set(name.replace("/", "."), value)

    def _set_sysctls(self, words: Sequence[str]) -> None:
        """``set_sysctls.py /proc/sys/net/ipv4/tcp_sack=0 …``"""
        for name, value in _assignments(words):
            self._set(name.removeprefix(_PROC).replace("/", "."), value)

    def _set(self, name: str, value: str) -> None:
        if name.startswith(_ELSEWHERE) and not self._machine.has_sysctl(name):
            return
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
            self._lines(file.read_text(encoding="utf-8", errors="replace"))
        elif "defaults" not in file.name and "restore" not in file.name:
            raise Unsupported(f"the command {path}")

    def _lines(self, text: str) -> None:
        """Defaults: of the settings those that this stack has with values that it has, and nothing else."""
        for line in text.replace("\\\n", " ").splitlines():
            with suppress(Unsupported):
                for words in self._statements(line):
                    with suppress(Unsupported, ValueError, IndexError):
                        self._adopt(words)

    def _adopt(self, words: list[str]) -> None:
        if words[0].rsplit("/", 1)[-1] not in ("sysctl", "set_sysctls.py"):
            self._command(words)
        else:
            for word in _assignments(words[1:]):
                with suppress(Unsupported):
                    self._set_sysctls(["=".join(word)])

    # routes and links

    def _ip(self, words: Sequence[str]) -> None:
        if "-6" in words or "-family inet6" in " ".join(words):
            return
        words = [word for word in words if not word.startswith("-")]
        match words:
            case ["tcp_metrics" | "tcp_metric" | "neigh" | "neighbor" | "n" | "monitor", *_]:
                return
            case [_, verb, *_] if verb in _ASKING:
                return
            case ["route" | "ro" | "r", verb, *rest] if verb in _ROUTE_VERBS:
                self._route(rest)
            case ["link" | "l" | "li", "set", *rest]:
                self._link(rest)
            case _:
                raise Unsupported(f"the command ip {' '.join(words)}")

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
        if "qdisc" not in words or not set(words) & {*_PLAIN_QUEUES, "del"}:
            raise Unsupported(f"the command tc {' '.join(words)}")

    def _sleep(self, words: Sequence[str]) -> None:
        self._machine.run(self._machine.now + float(words[0].rstrip("s")))


def _assignments(words: Sequence[str]) -> list[tuple[str, str]]:
    """``name=value``, also with spaces around the sign."""
    text = "\0".join(word for word in words if not _OPTION.match(word))
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
