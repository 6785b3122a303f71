"""The names that scripts have for numbers: C's constants, as Linux has them."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import termios
from typing import Final

#: What Python does not name.
_MORE: Final = {
    "NULL": 0,
    "SOL_IP": 0,
    "SOL_IPV6": 41,
    "SOL_TCP": 6,
    "SOL_UDP": 17,
    "IP_MTU_DISCOVER": 10,
    "IP_PMTUDISC_DONT": 0,
    "IP_PMTUDISC_WANT": 1,
    "IP_PMTUDISC_DO": 2,
    "IP_PMTUDISC_PROBE": 3,
    "IP_RECVERR": 11,
    "IP_MTU": 14,
    "IP_FREEBIND": 15,
    "IP_BIND_ADDRESS_NO_PORT": 24,
    "SO_TIMESTAMPING": 37,
    "SO_MAX_PACING_RATE": 47,
    "SO_MEMINFO": 55,
    "SO_ZEROCOPY": 60,
    "SO_SNDBUFFORCE": 32,
    "SO_RCVBUFFORCE": 33,
    "SO_BUSY_POLL": 46,
    "TCP_MD5SIG": 14,
    "TCP_THIN_LINEAR_TIMEOUTS": 16,
    "TCP_THIN_DUPACK": 17,
    "TCP_REPAIR": 19,
    "TCP_QUEUE_SEQ": 21,
    "TCP_FASTOPEN": 23,
    "TCP_TIMESTAMP": 24,
    "TCP_NOTSENT_LOWAT": 25,
    "TCP_CC_INFO": 26,
    "TCP_SAVE_SYN": 27,
    "TCP_SAVED_SYN": 28,
    "TCP_FASTOPEN_CONNECT": 30,
    "TCP_FASTOPEN_KEY": 33,
    "TCP_FASTOPEN_NO_COOKIE": 34,
    "TCP_ZEROCOPY_RECEIVE": 35,
    "TCP_INQ": 36,
    "TCP_TX_DELAY": 37,
    "MSG_FASTOPEN": 0x20000000,
    "MSG_ZEROCOPY": 0x4000000,
    "SIOCINQ": termios.FIONREAD,
    "SIOCOUTQ": termios.TIOCOUTQ,
    "SIOCOUTQNSD": 0x894B,
    "SIOCATMARK": 0x8905,
    "EPOLL_CTL_ADD": 1,
    "EPOLL_CTL_DEL": 2,
    "EPOLL_CTL_MOD": 3,
    "POLLRDHUP": 0x2000,
    "EPOLLRDHUP": 0x2000,
}
#: Of struct tcp_info, for assertions.
STATES: Final = {
    **{
        f"TCP_{name}": number
        for number, name in enumerate(
            (
                "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
                "LAST_ACK", "LISTEN", "CLOSING",
            ),
            1,
        )
    },
    **{f"TCP_CA_{name}": number for number, name in enumerate(("Open", "Disorder", "CWR", "Recovery", "Loss"))},
    "TCPI_OPT_TIMESTAMPS": 1,
    "TCPI_OPT_SACK": 2,
    "TCPI_OPT_WSCALE": 4,
    "TCPI_OPT_ECN": 8,
    "TCPI_OPT_ECN_SEEN": 16,
    "TCPI_OPT_SYN_DATA": 32,
}  # fmt: skip
_MODULES: Final = (errno, fcntl, os, select, socket, termios)

CONSTANTS: Final[dict[str, int]] = {
    **{
        name: int(value)
        for module in _MODULES
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, int)
    },
    **_MORE,
    **STATES,
}
