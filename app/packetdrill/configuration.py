"""What can be chosen about a run: on the command line, and at the beginning of a script."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from .errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Options of packetdrill's that have no value.
_FLAGS: Final = frozenset({"strict_segments", "tcp_ts_ecr_scaled", "dry_run", "is_anyip", "send_omit_free", "debug",
                           "verbose", "wire_client", "wire_server", "persistent_tun_dev", "no_cleanup"})  # fmt: skip
#: Options that say how it works on a real network: here they mean nothing.
_MEANINGLESS: Final = frozenset({"persistent_tun_dev", "tun_dev", "send_omit_free", "no_cleanup", "verbose", "speed",
                                 "debug", "socket_under_test", "wire_protocol", "tcp_ts_ecr_scaled", "psp_udp_port",
                                 "is_anyip", "code_command", "code_format"})  # fmt: skip
_TEXTS: Final = {"local_ip", "remote_ip", "gateway_ip"}
_NUMBERS: Final = {"mtu", "mss", "tolerance_usecs", "bind_port", "connect_port", "tcp_ts_tick_usecs"}
#: What is asked on a socket for assertions: all of these are.
_CODE_OPTIONS: Final = ("", "TCP_INFO", "TCP_CC_INFO", "SO_MEMINFO")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The defaults are packetdrill's."""

    local_ip: str = "192.168.0.1"
    gateway_ip: str = "192.168.0.2"
    remote_ip: str = "192.0.2.1"
    #: Length of the local subnet's prefix.
    prefix: int = 16
    mtu: int = 1500
    #: Where ``bind`` and ``connect`` go that the script leaves open.
    bind_port: int = 8080
    connect_port: int = 8080
    #: How far from its time an event may happen: so many microseconds, or so much of the time since the event before
    #: (in percent, as the timers of Linux expire late by up to an eighth of what they are set to), whichever is more.
    tolerance_usecs: int = 4000
    tolerance_percent: float = 12.5
    #: The host under test is the Linux kernel, not this stack.
    kernel: bool = False
    #: A packet may not come as several.
    strict_segments: bool = False
    #: How long a tick of TCP's timestamps is, if their values are to be compared; 0: they are not.
    tcp_ts_tick_usecs: int = 0
    #: The script's packets arrive coalesced from segments with so many bytes; 0: as they are.
    mss: int = 0
    #: Scripts are only read.
    dry_run: bool = False
    #: Options of the command line, which hold whatever a script says.
    command_line: tuple[tuple[str, str], ...] = ()
    #: Files of commands that are run before the script.
    init_scripts: tuple[str, ...] = ()
    #: What may go wrong without the script failing: "packet", "syscall".
    non_fatal: frozenset[str] = frozenset()

    @property
    def via(self) -> str | None:
        """The gateway; None if it is this host itself, as it is for some runners: nobody asks where that is."""
        return self.gateway_ip if self.gateway_ip != self.local_ip else None

    def tolerance(self, seconds: float) -> float:
        """By how much the time of an event may be missed, so many seconds after the event before."""
        return max(self.tolerance_usecs / 1e6, seconds * self.tolerance_percent / 100)

    def _with(self, name: str, value: Any) -> Configuration:
        return replace(self, **{name: value})

    def with_option(self, name: str, value: str) -> Configuration:
        """The same with one option as a script or a command line writes it, without its dashes.

        Raises Unsupported for an option that is not known, ValueError for a value that makes no sense.
        """
        if name in _MEANINGLESS:
            return self
        if name == "ip_version":
            if value != "ipv4":
                raise Unsupported(f"--ip_version={value}")
            return self
        if name == "code_sockopt" and value in _CODE_OPTIONS:
            return self
        if name == "init_scripts":
            return replace(self, init_scripts=tuple(filter(None, value.split(","))))
        if name in _TEXTS:
            return self._with(name, str(ipaddress.IPv4Address(value.partition("/")[0])))
        if name in _NUMBERS:
            return self._with(name, int(value))
        if name == "netmask_ip":
            return replace(self, prefix=ipaddress.IPv4Network(f"0.0.0.0/{value}").prefixlen)
        if name == "tolerance_percent":
            return replace(self, tolerance_percent=float(value))
        if name in ("strict_segments", "dry_run"):
            return self._with(name, value.lower() not in ("0", "false"))
        if name == "non_fatal":
            return replace(self, non_fatal=frozenset(value.replace(",", " ").split()))
        raise Unsupported(f"option --{name}")

    def for_script(self, options: Sequence[tuple[str, str]]) -> Configuration:
        """The same for a script that begins with these options. Raises as `with_option`."""
        configuration = self
        for name, value in {**dict(options), **dict(self.command_line)}.items():
            configuration = configuration.with_option(name, value)
        return configuration


def takes_value(option: str) -> bool:
    """Whether an option of packetdrill's has a value."""
    return option not in _FLAGS


def on_kernel(configuration: Configuration) -> Configuration:
    """The same against the kernel, with tolerances for the real clock and for the kernel's timers, which expire late by
    up to an eighth of what they are set to."""
    return replace(configuration, kernel=True, tolerance_usecs=10_000, tolerance_percent=13.0)
