"""What packetdrill scripts of these tests begin with, and how one that is skipped tells why."""

from netower.app.packetdrill.engine import Verdict, run

LISTEN = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
"""
SERVER = f"""{LISTEN}+0 < S 0:0(0) win 65535 <mss 1000>
+0 > S. 0:0(0) ack 1 <...>
+.1 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
"""


def skipped(text: str) -> str:
    outcome = run(text)
    assert outcome.verdict is Verdict.SKIPPED, outcome
    return outcome.reason
