"""Settings of a host under the names that Linux gives them, as ``sysctl`` reads and writes them.

A name stands for one of these:

- a setting of the host that takes effect from now on (for new connections, mostly);
- what this stack always does, which has one value only;
- what means nothing to this stack, and takes any value.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from ..transport.tcp.controllers import CONTROLLERS
from .inert_settings import INERT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .host import Host

_IPV4: Final = "net.ipv4."
#: A Fast Open key.
_WORDS: Final = Struct("<4I")


@dataclass(frozen=True, slots=True)
class _Setting:
    """``read`` gives the value as text; ``write`` takes it, and raises ValueError for one that cannot be."""

    read: Callable[[Host], str]
    write: Callable[[Host, str], object]


def names() -> list[str]:
    """All names that are known, in order."""
    return sorted(_SETTINGS)


def read(host: Host, name: str) -> str:
    """A setting's value as text. Raises KeyError naming a setting that this stack does not have."""
    return _find(name).read(host)


def write(host: Host, name: str, value: str) -> None:
    """Change a setting.

    Raises KeyError naming one that this stack does not have, ValueError with a sentence for a value that makes no sense
    or that this stack does not offer.
    """
    setting = _find(name)
    try:
        setting.write(host, value.strip())
    except ValueError as error:
        raise ValueError(f"{name} cannot be {value.strip()!r}: {error}") from None


def _find(name: str) -> _Setting:
    setting = _SETTINGS.get(name.replace("/", "."))
    if setting is None:
        raise KeyError(f"this stack has no setting {name}")
    return setting


# kinds of settings


def _integers(text: str, count: int) -> list[int]:
    """So many numbers, decimal or with Python's prefixes. Raises ValueError with a sentence."""
    words = text.split()
    try:
        numbers = [int(word, 0) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise ValueError("it is a whole number" if count == 1 else f"it is {count} whole numbers")
    return numbers


def _attribute(path: str, parse: Callable[[str], Any], show: Callable[[Any], object] = lambda value: value) -> _Setting:
    """An attribute of the host, found at ``path``."""
    owner, _, name = path.rpartition(".")
    find = attrgetter(owner)
    return _Setting(
        lambda host: str(show(getattr(find(host), name))),
        lambda host, value: setattr(find(host), name, parse(value)),
    )


def _number(path: str, least: int, most: int) -> _Setting:
    def parse(text: str) -> int:
        (value,) = _integers(text, 1)
        if not least <= value <= most:
            raise ValueError(f"it is from {least} to {most}")
        return value

    return _attribute(path, parse)


def _switch(path: str) -> _Setting:
    def parse(text: str) -> bool:
        if text not in ("0", "1"):
            raise ValueError("it is 0 or 1")
        return text == "1"

    return _attribute(path, parse, int)


def _switch_of_many(path: str) -> _Setting:
    """A switch that has more positions on Linux, all of which are on here."""
    return _attribute(path, lambda text: bool(_integers(text, 1)[0]), int)


def _both(setting: _Setting, other: _Setting) -> _Setting:
    """One setting that two parts of the host go by."""

    def write(host: Host, value: str) -> None:
        setting.write(host, value)
        other.write(host, value)

    return _Setting(setting.read, write)


def _seconds(path: str, *, per: int = 1) -> _Setting:
    """A time; ``per``: how many of the setting's units are a second."""

    def parse(text: str) -> float:
        (value,) = _integers(text, 1)
        if value < 0:
            raise ValueError("it is a time")
        return value / per

    return _attribute(path, parse, lambda value: round(value * per))


def _percent(path: str, most: int) -> _Setting:
    """A share, in percent."""

    def parse(text: str) -> float:
        (value,) = _integers(text, 1)
        if not 0 <= value <= most:
            raise ValueError(f"it is from 0 to {most}")
        return value / 100

    return _attribute(path, parse, lambda value: round(value * 100))


def _constant(value: str) -> _Setting:
    """What the stack does and cannot do otherwise."""

    def write(_: Host, text: str) -> None:
        if text.split() != value.split():
            raise ValueError(f"this stack has only {value!r}")

    return _Setting(lambda _: value, write)


def _meaningless(value: str) -> _Setting:
    """Has no effect here; ``value`` is what is read."""
    return _Setting(lambda _: value, lambda _, text: None)


def _sizes(first: str, initial: str, most: str) -> _Setting:
    """Three sizes in bytes: the least (which does not matter here), the first, and what that may grow to."""

    def show(host: Host) -> str:
        settings = host.settings.tcp
        return f"{first} {getattr(settings, initial)} {getattr(settings, most)}"

    def write(host: Host, text: str) -> None:
        _, middle, last = _integers(text, 3)
        if not 0 < middle <= last:
            raise ValueError("the sizes are in ascending order")
        setattr(host.settings.tcp, initial, middle)
        setattr(host.settings.tcp, most, last)

    return _Setting(show, write)


def _ports() -> _Setting:
    def show(host: Host) -> str:
        low, high = host.tcp.ports.ephemeral
        return f"{low} {high}"

    def write(host: Host, text: str) -> None:
        low, high = _integers(text, 2)
        if not 0 < low <= high < 1 << 16:
            raise ValueError("it is a first and a last port")
        host.tcp.ports.ephemeral = host.udp.ports.ephemeral = low, high

    return _Setting(show, write)


def _congestion() -> _Setting:
    def parse(text: str) -> str:
        if text not in CONTROLLERS:
            raise ValueError(f"this stack has {' and '.join(CONTROLLERS)}")
        return text

    return _attribute("settings.tcp.congestion", parse)


def _ecn() -> _Setting:
    def parse(text: str) -> int:
        (value,) = _integers(text, 1)
        if 3 <= value <= 5:
            raise ValueError("this stack has ECN (RFC 3168: 0 to 2), but no Accurate ECN (RFC 9768)")
        if not 0 <= value <= 2:
            raise ValueError("it is from 0 to 2")
        return value

    return _attribute("settings.tcp.ecn", parse)


def _orphan_retries() -> _Setting:
    """0 stands for 8, as on Linux."""
    return _attribute("settings.tcp.orphan_retries", lambda text: _integers(text, 1)[0] or 8)


def fast_open_key(text: str) -> bytes:
    """The key that ``tcp_fastopen_key`` writes as four words: ``0a0b0c0d-…``. Raises ValueError."""
    words = [int(word, 16) for word in text.split("-")]
    if len(words) != 4 or not all(0 <= word < 1 << 32 for word in words):
        raise ValueError("it is four words of eight hexadecimal digits")
    return _WORDS.pack(*words)


def _fast_open_key() -> _Setting:
    """One key, or two: the second is for cookies that were given before."""

    def show(host: Host) -> str:
        keys = host.tcp.fast_open.keys or (bytes(_WORDS.size),)
        return ",".join("-".join(f"{word:08x}" for word in _WORDS.unpack(key)) for key in keys)

    def write(host: Host, value: str) -> None:
        keys = [fast_open_key(part) for part in value.split(",")]
        if len(keys) > 2:
            raise ValueError("it is one key or two")
        host.tcp.fast_open.set_key(*keys)

    return _Setting(show, write)


def _notsent_low_water() -> _Setting:
    """The host's TCP_NOTSENT_LOWAT; the largest number stands for none."""
    return _attribute(
        "settings.tcp.notsent_low_water",
        lambda text: _integers(text, 1)[0] & _NO_LOW_WATER,
        lambda value: value or _NO_LOW_WATER,
    )


def _icmp_echo_ignore_broadcasts() -> _Setting:
    return _attribute(
        "settings.net.icmp_echo_broadcast", lambda text: not _integers(text, 1)[0], lambda on: int(not on)
    )


def _under(prefix: str, settings: Iterable[tuple[str, _Setting]]) -> dict[str, _Setting]:
    return {prefix + name: setting for name, setting in settings}


_MAX_INT: Final = (1 << 31) - 1
_NO_LOW_WATER: Final = (1 << 32) - 1

_SETTINGS: Final[dict[str, _Setting]] = {
    **_under(_IPV4, ((name, _meaningless(value)) for name, value in INERT.items())),
    **_under(
        _IPV4,
        (
            ("tcp_syn_retries", _number("settings.tcp.syn_retries", 1, 127)),
            ("tcp_synack_retries", _number("settings.tcp.synack_retries", 0, 255)),
            ("tcp_retries2", _number("settings.tcp.retries", 0, 255)),
            ("tcp_orphan_retries", _orphan_retries()),
            ("tcp_fin_timeout", _seconds("settings.tcp.fin_timeout")),
            ("tcp_window_scaling", _switch("settings.tcp.window_scaling")),
            ("tcp_sack", _switch("settings.tcp.sack")),
            ("tcp_ecn", _ecn()),
            ("tcp_ecn_fallback", _switch_of_many("settings.tcp.ecn_fallback")),
            ("tcp_syncookies", _number("settings.tcp.syn_cookies", 0, 2)),
            ("tcp_fastopen", _number("settings.tcp.fast_open", 0, _MAX_INT)),
            ("tcp_fastopen_key", _fast_open_key()),
            ("tcp_fastopen_blackhole_timeout_sec", _seconds("settings.tcp.fast_open_pause")),
            ("tcp_mtu_probing", _number("settings.tcp.mtu_probing", 0, 2)),
            ("tcp_probe_threshold", _number("settings.tcp.mtu_probe_threshold", 0, _MAX_INT)),
            ("tcp_probe_interval", _seconds("settings.tcp.mtu_probe_interval")),
            ("tcp_retries1", _number("settings.tcp.mtu_probe_retries", 0, 255)),
            ("tcp_base_mss", _number("settings.tcp.base_mss", 1, 65535)),
            ("tcp_mtu_probe_floor", _number("settings.tcp.mtu_probe_floor", 48, 65535)),
            ("tcp_slow_start_after_idle", _switch("settings.tcp.slow_start_after_idle")),
            ("tcp_syn_linear_timeouts", _number("settings.tcp.syn_linear_timeouts", 0, 127)),
            ("tcp_min_tso_segs", _number("settings.tcp.min_tso_segments", 1, _MAX_INT)),
            ("tcp_tso_win_divisor", _number("settings.tcp.tso_window_divisor", 0, _MAX_INT)),
            ("tcp_tso_rtt_log", _number("settings.tcp.tso_rtt_log", 0, 255)),
            ("tcp_min_snd_mss", _number("settings.tcp.min_mss", 48, 65535)),
            ("tcp_max_syn_backlog", _number("settings.tcp.max_syn_backlog", 0, _MAX_INT)),
            ("tcp_max_tw_buckets", _number("settings.tcp.max_time_wait", 0, _MAX_INT)),
            ("tcp_tw_reuse", _switch_of_many("settings.tcp.time_wait_reuse")),
            ("tcp_tw_reuse_delay", _seconds("settings.tcp.time_wait_reuse_delay", per=1000)),
            ("tcp_challenge_ack_limit", _number("settings.tcp.challenge_acks", 0, _MAX_INT)),
            ("tcp_invalid_ratelimit", _seconds("settings.tcp.challenge_interval", per=1000)),
            ("tcp_rto_min_us", _seconds("settings.tcp.min_rto", per=1_000_000)),
            ("tcp_rto_max_ms", _seconds("settings.tcp.max_rto", per=1000)),
            ("tcp_pacing_ss_ratio", _percent("settings.tcp.pacing_slow_start", 1000)),
            ("tcp_pacing_ca_ratio", _percent("settings.tcp.pacing_avoidance", 1000)),
            ("tcp_rmem", _sizes("4096", "receive_buffer", "max_receive_buffer")),
            ("tcp_wmem", _sizes("4096", "send_buffer", "max_send_buffer")),
            ("tcp_reflect_tos", _switch("settings.tcp.reflect_tos")),
            ("tcp_shrink_window", _switch("settings.tcp.shrink_window")),
            ("tcp_workaround_signed_windows", _switch("settings.tcp.signed_windows")),
            ("tcp_moderate_rcvbuf", _switch("settings.tcp.moderate_receive_buffer")),
            ("tcp_pingpong_thresh", _number("settings.tcp.answers_in_conversation", 1, 255)),
            ("tcp_comp_sack_nr", _number("settings.tcp.compressed_acks", 0, 255)),
            ("tcp_comp_sack_delay_ns", _seconds("settings.tcp.compression_delay", per=1_000_000_000)),
            ("tcp_timestamps", _number("settings.tcp.timestamps", 0, 2)),
            ("tcp_dsack", _switch("settings.tcp.dsack")),
            ("tcp_recovery", _number("settings.tcp.recovery", 0, 255)),
            ("tcp_early_retrans", _number("settings.tcp.early_retrans", 0, 4)),
            ("tcp_frto", _number("settings.tcp.frto", 0, 255)),
            ("tcp_reordering", _number("settings.tcp.reordering", 1, 65535)),
            ("tcp_max_reordering", _number("settings.tcp.max_reordering", 1, 65535)),
            ("tcp_thin_linear_timeouts", _switch("settings.tcp.thin_linear_time_outs")),
            ("tcp_keepalive_time", _seconds("settings.tcp.keepalive_idle")),
            ("tcp_keepalive_intvl", _seconds("settings.tcp.keepalive_interval")),
            ("tcp_keepalive_probes", _number("settings.tcp.keepalive_count", 0, 255)),
            ("tcp_rfc1337", _switch("settings.tcp.time_wait_ignores_rst")),
            ("tcp_stdurg", _switch("settings.tcp.urgent_octet")),
            ("tcp_abort_on_overflow", _switch("settings.tcp.abort_on_overflow")),
            ("tcp_notsent_lowat", _notsent_low_water()),
            ("ip_no_pmtu_disc", _number("settings.tcp.no_path_mtu_discovery", 0, 3)),
            ("ip_nonlocal_bind", _switch("settings.calls.nonlocal_bind")),
            ("ip_default_ttl", _number("settings.net.hop_limit", 1, 255)),
            ("icmp_echo_ignore_all", _switch("settings.net.icmp_echo_ignore")),
            ("icmp_echo_ignore_broadcasts", _icmp_echo_ignore_broadcasts()),
            ("ipfrag_time", _seconds("settings.net.reassembly_timeout")),
            ("ipfrag_high_thresh", _number("settings.net.reassembly_memory", 0, _MAX_INT)),
            ("ip_forward", _switch("internet.forwarding")),
            ("ip_local_port_range", _ports()),
        ),
    ),
    **_under(
        _IPV4,
        (
            ("tcp_congestion_control", _congestion()),
            ("tcp_available_congestion_control", _constant(" ".join(CONTROLLERS))),
            ("tcp_allowed_congestion_control", _constant(" ".join(CONTROLLERS))),
            ("tcp_adv_win_scale", _meaningless("1")),
            ("tcp_no_metrics_save", _meaningless("1")),
            ("tcp_mem", _meaningless("0 0 0")),
            ("udp_mem", _meaningless("0 0 0")),
            ("tcp_early_demux", _meaningless("1")),
            ("tcp_autocorking", _meaningless("1")),
            ("tcp_limit_output_bytes", _meaningless("0")),
            ("tcp_retrans_collapse", _meaningless("0")),
            ("tcp_max_orphans", _meaningless("65536")),
            ("tcp_fack", _meaningless("0")),
            ("tcp_min_rtt_wlen", _meaningless("300")),
            ("tcp_low_latency", _meaningless("0")),
            ("tcp_comp_sack_slack_ns", _meaningless("100000")),
            ("conf.all.rp_filter", _meaningless("0")),
        ),
    ),
    **_under(
        "net.core.",
        (
            ("somaxconn", _number("settings.calls.max_backlog", 1, _MAX_INT)),
            (
                "rmem_max",
                _both(
                    _number("settings.calls.max_receive_buffer", 1, _MAX_INT),
                    _number("settings.tcp.user_receive_buffer", 1, _MAX_INT),
                ),
            ),
            ("wmem_max", _number("settings.calls.max_send_buffer", 1, _MAX_INT)),
            ("netdev_max_backlog", _meaningless("1000")),
            ("default_qdisc", _meaningless("noqueue")),
        ),
    ),
}
