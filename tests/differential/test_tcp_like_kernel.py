"""The same stories on this stack and on the kernel's TCP: what they send, and when, and what their calls return."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

COMMAND = (sys.executable, "-c", "from netower.app.command import main; main()", "packetdrill", "--compare")
PROCESSES = 6
SERVER = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 10) = 0"""
BEGINNINGS = {
    "LISTEN": SERVER,
    "EST": f"""{SERVER}
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
+.01 < . 1:1(0) ack 1 win 257
+0 accept(3, ..., ...) = 4""",
    "EST0": f"""{SERVER}
+0 < S 0:0(0) win 32792 <mss 1000>
+.01 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 4""",
    "CONN": """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1""",
}
#: Stories in which this stack does something else, and why.
KNOWN = {
    "ack_old": "RFC 5961 §5.2 has data with such an ACK discarded",
    "close_unsent": "a FIN whose data were acknowledged is sent again without PSH",
    "closewait_write": "the FIN is acknowledged before the answer is written",
    "cork": "a tail loss probe sends nothing that is corked",
    "fin_partial_dup": "a FIN is acknowledged at once, whatever came with it",
    "icmp_frag_tiny": "pushes within large packets",
    "icmp_frag_zero": "RFC 1191 §5 has plateaus",
    "icmp_listener_synrcvd": "accept waits until the end",
    "idle_restart": "pushes within large packets",
    "sws_small_window": "the time of a probe after the window has shrunk",
    "synsent_synackfin": "the FIN is acknowledged before it is read",
    "synsent_shutdown": "the error of writing then",
    # RFC 7323 §2.2: options that the peer's SYN did not have are not in the answer either.
    **dict.fromkeys(
        [f"simul_{name}" for name in ("ack", "badack", "close", "data", "dupsyn", "fin", "plain", "rst", "silence")],
        "RFC 7323 §2.2",
    ),
}


def stories(folder: Path) -> list[Path]:
    """Each story as a script of its own."""
    text = Path(__file__).with_name("stories.txt").read_text()
    scripts = []
    for name, longer, body in re.findall(r"^== (\w+)(?: (\S+))?\n(.*?)(?=^== |\Z)", text, re.MULTILINE | re.DOTALL):
        lines = [BEGINNINGS.get(line, line) for line in body.splitlines()]
        if longer:
            lines.append(f"+{longer} socket(..., SOCK_STREAM, IPPROTO_TCP) = 99")
        script = folder / f"{name}.pkt"
        script.write_text("\n".join(lines) + "\n")
        scripts.append(script)
    return scripts


def test_stories_end_alike(tmp_path: Path) -> None:
    scripts = stories(tmp_path)
    processes = [
        subprocess.Popen([*COMMAND, *map(str, scripts[start::PROCESSES])], stdout=subprocess.PIPE, text=True)
        for start in range(PROCESSES)
    ]
    told = "".join(process.communicate(timeout=300)[0] for process in processes)
    found = dict(re.findall(r"^\S*/(\w+)\.pkt: (.*\n(?:  .*\n)*)", told, re.MULTILINE))
    assert len(found) == len(scripts) > 100
    assert {name: told for name, told in found.items() if told != "the same\n" and name not in KNOWN} == {}
