"""Python in a script: assertions on what TCP_INFO says."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from struct import Struct as Layout
from typing import TYPE_CHECKING, Any, Final

from ...stack.calls import numbers as n
from ...stack.calls.info import read_tcp_info
from .constants import STATES
from .errors import Mismatch, Unsupported

if TYPE_CHECKING:
    from types import CodeType

    from .program import Asked

_PREFIX: Final = "tcpi_"
#: How names begin of what sockets are asked for that this stack has no answer to.
_UNKNOWN: Final = (_PREFIX, "bbr_", "dctcp_", "tcpv_", "tcp_", "SK_MEMINFO_", "TCP")
#: Of TCP_CC_INFO, if BBR controls congestion (include/uapi/linux/inet_diag.h).
_BBR: Final = ("bbr_bw_lo", "bbr_bw_hi", "bbr_min_rtt", "bbr_pacing_gain", "bbr_cwnd_gain")
#: The first numbers of SO_MEMINFO: of the others this stack keeps no account as Linux has it.
_SIZES: Final = {0: "RMEM_ALLOC", 1: "RCVBUF", 3: "SNDBUF"}
_MEMORY: Final = Layout("=4I")
_BBR_INFO: Final = Layout(f"={len(_BBR)}I")


class Snippets:
    """The Python of one script: what one snippet defines, the next one knows."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = dict(STATES)

    def run(self, text: str, line: int, socket: Asked | None) -> None:
        """Run a snippet, with the fields of ``socket``'s TCP_INFO as variables ``tcpi_…``; it prints to stderr.

        Raises Mismatch for an assertion that fails and any other error, Unsupported for a field of TCP_INFO that the
        stack does not fill in.
        """
        if socket is not None:
            self._names |= info(socket.getsockopt(n.IPPROTO_TCP, n.TCP_INFO)) | _more(socket)
        try:
            with redirect_stdout(sys.stderr):
                exec(_compiled(text, line), self._names)
        except NameError as failure:
            if str(failure.name).startswith(_UNKNOWN):
                raise Unsupported(f"the value {failure.name}") from failure
            raise Mismatch(str(failure)) from failure
        except AssertionError as failure:
            raise Mismatch("the assertion does not hold", _dedented(text).strip(), self._said(text, failure)) from None
        except (Exception, SystemExit) as failure:
            if isinstance(failure, SystemExit) and not failure.code:
                return
            raise Mismatch(f"{type(failure).__name__}: {failure}") from failure

    def _said(self, text: str, failure: AssertionError) -> str:
        """The values of what the snippet is about."""
        used = {name: value for name, value in self._names.items() if name.startswith(_PREFIX) and name in text}
        return " ".join([str(failure), *(f"{name}={value}" for name, value in used.items())]).strip()


def _compiled(text: str, line: int) -> CodeType:
    """The snippet as it is, without the blanks around it; or, if it is indented as a whole, without its indentation."""
    before = "\n" * (line - 1)
    try:
        return compile(before + text.strip(" \t"), "<script>", "exec")
    except IndentationError:
        return compile(before + _dedented(text), "<script>", "exec")


def _dedented(text: str) -> str:
    """The snippet as Python takes it: it may begin on the line of its mark, and be indented as a whole."""
    lines = text.split("\n")
    indent = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    return "\n".join([lines[0].strip(), *(line[indent:].rstrip() for line in lines[1:])])


def info(value: bytes) -> dict[str, int]:
    """The fields of struct tcp_info by name, bit fields apart."""
    found = {_PREFIX + name: number for name, number in read_tcp_info(value).items()}
    scales, flags = found.pop("tcpi_window_scales"), found.pop("tcpi_flags")
    found |= {"tcpi_snd_wscale": scales & 0xF, "tcpi_rcv_wscale": scales >> 4}
    return found | {"tcpi_delivery_rate_app_limited": flags & 1, "tcpi_fastopen_client_fail": flags >> 1 & 3}


def _more(socket: Asked) -> dict[str, int]:
    """What else assertions may be about: how large the socket's buffers are, and what BBR knows."""
    sizes = _MEMORY.unpack(socket.getsockopt(n.SOL_SOCKET, n.SO_MEMINFO)[: _MEMORY.size])
    found = {f"SK_MEMINFO_{name}": sizes[place] for place, name in _SIZES.items()}
    told = socket.getsockopt(n.IPPROTO_TCP, n.TCP_CC_INFO)
    if len(told) == _BBR_INFO.size:
        found |= dict(zip(_BBR, _BBR_INFO.unpack(told), strict=True))
        found["bbr_bw"] = found["bbr_bw_hi"] << 32 | found["bbr_bw_lo"]
    return found
