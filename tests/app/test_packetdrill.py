"""The runner of packetdrill's scripts: what it reads, what it notices, and what it says."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from netower.app.command import main
from netower.app.packetdrill.configuration import Configuration
from netower.app.packetdrill.engine import Outcome, Verdict, run, run_file
from netower.app.packetdrill.errors import ScriptError, Unsupported
from netower.app.packetdrill.parser import parse
from netower.app.packetdrill.recorder import Entry, differences, record
from netower.app.packetdrill.report import print_outcomes
from netower.app.packetdrill.syntax import Call, Code, Command, Event, TcpOption, TcpPacket, When
from netower.app.packetdrill.wire import Segment, flag_bits, flag_letters

from .scripts import LISTEN, SERVER, skipped

if TYPE_CHECKING:
    from pathlib import Path


def event(text: str) -> Event:
    return parse(text, {}).events[0]


def failure(text: str) -> Outcome:
    outcome = run(text)
    assert outcome.verdict is Verdict.FAILED, outcome
    return outcome


# reading


@pytest.mark.parametrize(
    ("time", "when"),
    [
        ("0", When(0, 0)),
        ("1.5", When(1.5, 1.5)),
        ("+.1", When(0.1, 0.1, relative=True)),
        ("0.1~0.2", When(0.1, 0.2)),
        ("+0.1~+0.2", When(0.1, 0.2, relative=True)),
        ("*", None),
    ],
)
def test_times(time: str, when: When | None) -> None:
    assert event(f"{time} > . 1:1(0) ack 1").when == when


def test_a_call_that_waits() -> None:
    call = event("+0...0.2 read(4, ..., 100) = -1 EAGAIN (Can't be: nothing there)").action
    assert isinstance(call, Call)
    assert (call.name, call.until, call.errno, len(call.arguments)) == ("read", 0.2, "EAGAIN", 3)


def test_segments() -> None:
    packet = event("+0 < [ce] 1024 > 80 SEW 7:17(10) win 9 urg 3 <mss 5,nop,sack 1:2 3:4,TS val 8 ecr 9,FO ab>").action
    assert isinstance(packet, TcpPacket)
    assert packet.options == (
        TcpOption("mss", (5,)),
        TcpOption("nop"),
        TcpOption("sack", (1, 2, 3, 4)),
        TcpOption("TS", (8, 9)),
        TcpOption("FO", (b"\xab",)),
    )
    assert str(packet) == ("< [ce] 1024 > 80 SEW 7:17(10) win 9 urg 3 <mss 5,nop,sack 1:2 3:4,TS val 8 ecr 9,FO ab>")


def test_commands_code_comments_and_options() -> None:
    script = parse(
        """// one
        --tolerance_usecs=9 /* two
        lines */ --define=SIZE=100
        `true`
        0 %{ assert "}" }%  # three
        +0 `sysctl -q a=b`
        +0 > . 1:101(SIZE) ack 1
        `rm x`""",
        {},
    )
    assert script.options == [("tolerance_usecs", "9")]
    assert script.setup == Command("true")
    assert [type(event.action) for event in script.events] == [Code, Command, TcpPacket, Command]
    assert [event.line for event in script.events] == [5, 6, 7, 8]


@pytest.mark.parametrize(
    "text",
    ["0 > X. 1:1(0)", "0 > . 1:5(1)", "0 read(4", "hello", "+ read() = 0", "0 > . 1:1(0) ack", "0 read(1) = -1 E (x"],
)
def test_what_is_no_script(text: str) -> None:
    with pytest.raises(ScriptError):
        parse(text, {})
    assert "cannot be read" in failure(text).reason


def test_a_definition_in_terms_of_itself() -> None:
    with pytest.raises(ScriptError):
        parse("0 > . 1:1(0) ack A", {"A": "B", "B": "A"})


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ScriptError, Unsupported):
        parse(text, {})


numbers = st.integers(0, 0xFFFFFFFF)
options = st.lists(
    st.one_of(
        st.builds(lambda value: TcpOption("mss", (value,)), st.integers(0, 65535)),
        st.builds(lambda value, echo: TcpOption("TS", (value, echo)), numbers, numbers),
        st.just(TcpOption("nop")),
        st.just(TcpOption("sackOK")),
        st.builds(lambda cookie: TcpOption("FO", (cookie,)), st.binary(min_size=4, max_size=8)),
    ),
    max_size=3,
)


@given(st.builds(Segment, numbers, numbers, numbers, numbers, st.integers(0, 511), st.integers(0, 65535),
                 st.integers(0, 65535), options.map(tuple), st.integers(0, 3000)))  # fmt: skip
def test_segments_on_the_wire(segment: Segment) -> None:
    segment.source_port &= 0xFFFF
    segment.destination_port &= 0xFFFF
    read = Segment.from_bytes(segment.to_bytes(bytes(4), bytes(4)))
    padding = (TcpOption("eol"),) * (len(read.options) - len(segment.options))
    assert read.options == segment.options + padding
    read.options = segment.options
    assert read == segment
    assert flag_bits(flag_letters(segment.flags)) == segment.flags


# noticing


def test_a_wrong_packet_is_shown_beside_the_right_one() -> None:
    outcome = failure(f"{LISTEN}+0 < S 0:0(0) win 9 <mss 1000>\n+0 > S. 0:0(0) ack 7 <mss 1460>")
    assert outcome.line == 5
    assert "ack" in outcome.reason
    assert outcome.expected == "> S. 0:0(0) ack 7 <mss 1460>"
    assert outcome.actual == "> S. 0:0(0) ack 1 win 64240 <mss 1460>"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("+.5 > S. 0:0(0) ack 1 <mss 1460>", "another time"),
        ("+0 > S. 0:0(0) ack 1 win 5 <mss 1460>", "window"),
        ("+0 > S. 0:0(0) ack 1", "options"),
        ("+0 > [ce] S. 0:0(0) ack 1 <...>", "IP header"),
        ("+0 > S. 0:0(0) ack 1 <...>\n+0 > . 1:1(0) ack 1", "nothing was sent"),
        ("+0 accept(3, ..., ...) = 4", "waits"),
        ("+0 listen(3, 1) = -1 EINVAL", "returned something else"),
        ("+0...0.1 accept(3, ..., ...) = 4", "still waits"),
        ("+0 getsockopt(3, SOL_SOCKET, SO_TYPE, [SOCK_DGRAM], [4]) = 0", "value"),
        ("+0 %{ assert tcpi_state == TCP_ESTABLISHED }%", "assertion"),
        ("+0 %{ 1/0 }%", "ZeroDivisionError"),
    ],
)
def test_what_goes_wrong(line: str, reason: str) -> None:
    assert reason in failure(f"{LISTEN}+0 < S 0:0(0) win 9 <mss 1000>\n{line}\n").reason


def test_a_call_that_returns_too_early() -> None:
    text = f"{LISTEN}+0...0.5 poll([{{fd=3, events=POLLIN}}], 1, 100) = 0\n+1 listen(3, 1) = 0\n"
    outcome = failure(text)
    assert (outcome.line, outcome.actual) == (4, "at 0.100030 s")


def test_pieces_unless_strict() -> None:
    text = f"{SERVER}+0 write(4, ..., 2500) = 2500\n+0 > P. 1:2501(2500) ack 1\n"
    assert run(text).verdict is Verdict.PASSED
    assert "length" in failure(f"--strict_segments\n{text}").reason


def test_tolerance() -> None:
    text = f"{SERVER}+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+.25 > P. 1:11(10) ack 1\n"
    outcome = failure(text)
    assert "in time" in outcome.reason
    assert "at 0.40" in outcome.actual
    assert run(f"--tolerance_usecs=60000\n{text}").verdict is Verdict.PASSED
    assert run(f"--tolerance_percent=25\n{text}").verdict is Verdict.PASSED
    assert run(text.replace("+.25", "+.28")).verdict is Verdict.PASSED


@pytest.mark.parametrize("times", ["+.1...0.3", "0.2...0.4"])
def test_the_times_of_a_call_that_waits_count_from_one_point(times: str) -> None:
    text = f"{SERVER}{times} read(4, ..., 1000) = 500\n0.4 < P. 1:501(500) ack 1 win 257\n+0 > . 1:1(0) ack 501\n"
    assert run(text).verdict is Verdict.PASSED
    assert failure(text.replace("0.4 <", "0.45 <")).line == 8


def test_numbers_count_from_the_syns() -> None:
    passive = """+0 < S 5000:5000(0) win 32792 <mss 1000,sackOK>
    +0 > S. 7000:7000(0) ack 5001 <mss 1460,nop,nop,sackOK>
    +.1 < . 1:1(0) ack 1 win 65535
    +0 accept(3, ..., ...) = 4
    +0 write(4, ..., 1000) = 1000
    +0 > P. 1:1001(1000) ack 1
    +.1 < P. 2001:3001(1000) ack 1 win 65535 <nop,nop,sack 1:1001>
    +0 > . 1001:1001(0) ack 1 <nop,nop,sack 2001:3001>
    +.05 < S 5000:5000(0) win 32792 <mss 1000,sackOK>
    +0 > . 1001:1001(0) ack 1 <nop,nop,sack 2001:3001>
    """
    active = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
    +0...0.1 connect(3, ..., ...) = 0
    +0 > S 90:90(0) <...>
    +.1 < S. 123:123(0) ack 91 win 5000 <mss 1000>
    +0 > . 1:1(0) ack 1
    +.1 < icmp unreachable host_unreachable [1:101(100)]
    """
    for text in (LISTEN + passive, active):
        outcome = run(text)
        assert outcome.verdict is Verdict.PASSED, outcome


def test_echoes_of_timestamps_are_only_remarked() -> None:
    text = f"{LISTEN}+0 < S 0:0(0) win 9 <mss 1000,TS val 50 ecr 0>\n+0 > S. 0:0(0) ack 1 <mss 1460,TS val 1 ecr 51>"
    text = text.replace("1460,", "1460,nop,nop,")
    assert run(text).remarks == ["line 5: the echo of a timestamp is 50, not 51"]


def test_what_may_go_wrong() -> None:
    outcome = run(f"--non_fatal=packet,syscall\n{LISTEN}+0 listen(3, 1) = 7\n+0 > . 1:1(0) ack 1\n")
    assert outcome.verdict is Verdict.PASSED
    assert len(outcome.remarks) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("--ip_version=ipv6\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3", "--ip_version=ipv6"),
        ("--colour=red\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3", "--colour"),
        ("`iptables -F`\n0 close(3) = 0", "iptables -F"),
        ("`sysctl -w net.ipv4.tcp_no_such_thing=1`\n0 close(3) = 0", "tcp_no_such_thing"),
        ("`sysctl net.ipv4.tcp_allowed_congestion_control=vegas`\n0 close(3) = 0", "vegas"),
        ("`ip route change 192.0.2.0/24 ssthresh 5`\n0 close(3) = 0", "ssthresh 5"),
        ("`ip route change 192.0.2.0/24 congctl vegas`\n0 close(3) = 0", "vegas"),
        ("`nstat -az | grep TcpExtSyncookiesSent`\n0 close(3) = 0", "grep"),
        ("`nft add table ip filter`\n0 close(3) = 0", "nft add"),
        ("`tc qdisc add dev tun0 root netem delay 10ms`\n0 close(3) = 0", "netem"),
        ("`while true; do true; done`\n0 close(3) = 0", "while true"),
        (f"{SERVER}+0 %{{ assert SK_MEMINFO_DROPS == 0 }}%\n", "SK_MEMINFO_DROPS"),
        ("0 socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP) = 3", "IPv6"),
        ("0 fork() = 3", "fork"),
        ("0 socket(..., SOCK_DGRAM, IPPROTO_ICMP) = 3", "IPPROTO_ICMP"),
        ("0 socket(..., SOCK_STREAM, IPPROTO_MPTCP) = 3", "IPPROTO_MPTCP"),
        (f"{LISTEN}+0 setsockopt(3, IPPROTO_TCP, TCP_REPAIR, [1], 4) = 0", "TCP_REPAIR"),
        (f"{LISTEN}+0 send(3, ..., 1, MSG_PROXY) = 1", "MSG_PROXY"),
        (f'{LISTEN}+0 setsockopt(3, SOL_TCP, TCP_CONGESTION, "dctcp", 5) = 0', "dctcp"),
        (f'{LISTEN}+0 setsockopt(3, SOL_TCP, TCP_ULP, "tls", 3) = 0', "tls"),
        (f"{LISTEN}+0 setsockopt(3, SOL_SOCKET, SO_NO_SUCH, [1], 4) = 0", "SO_NO_SUCH"),
        ("0 < gre: . 1:1(0)", "gre"),
        ("0 %{ assert tcpi_no_such_field }%", "tcpi_no_such_field"),
    ],
)
def test_what_is_not_supported_is_named(text: str, reason: str) -> None:
    assert reason in skipped(text)


def test_one_connection_after_another() -> None:
    once = """+0 < S 0:0(0) win 65535 <mss 1000>
    +0 > S. 0:0(0) ack 1 <mss 1460>
    +.1 < . 1:1(0) ack 1 win 65535
    +0 accept(3, ..., ...) = {0}
    +0 close({0}) = 0
    +0 > F. 1:1(0) ack 1
    +.1 < {1} 1:1(0) ack 2 win 65535
    """
    text = LISTEN + once.format(4, "F.") + "+0 > . 2:2(0) ack 2\n" + once.format(5, "R.") + once.format(6, "R.")
    outcome = run(text)
    assert outcome.verdict is Verdict.PASSED, outcome


def test_two_connections_side_by_side() -> None:
    dial = """+0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = {0}
    +0 bind({0}, {{sa_family=AF_INET, sin_port=htons({1}), sin_addr=inet_addr("0.0.0.0")}}, 16) = 0
    +0 connect({0}, ..., ...) = -1 EINPROGRESS
    """
    outcome = run(
        f"""{dial.format(3, 1001)}{dial.format(4, 1002)}
        +0 > 1001 > 8080 S 0:0(0) <...>
        +0 > 1002 > 8080 S 0:0(0) <...>
        +.1 < 8080 > 1001 S. 0:0(0) ack 1 win 65535 <mss 1000>
        +0 > 1001 > 8080 . 1:1(0) ack 1
        +0 < 8080 > 1002 S. 7:7(0) ack 1 win 65535 <mss 1000>
        +0 > 1002 > 8080 . 1:1(0) ack 1
        """
    )
    assert outcome.verdict is Verdict.PASSED, outcome


# commands


# the command


def test_outcomes_and_exit_status(tmp_path: Path) -> None:
    (tmp_path / "a.pkt").write_text(SERVER)
    (tmp_path / "b.pkt").write_text("`reboot`\n" + SERVER)
    (tmp_path / "c.pkt").write_text(LISTEN + "+0 listen(3, 1) = 5\n")
    result = CliRunner().invoke(main, ["packetdrill", str(tmp_path)])
    assert result.exit_code == 1
    assert "1 passed, 1 failed, 1 skipped" in result.output
    assert "line 4" in result.output
    result = CliRunner().invoke(main, ["packetdrill", "--json", str(tmp_path)])
    records = json.loads(result.output)
    assert [record["outcome"] for record in records] == ["passed", "skipped", "failed"]
    assert records[2]["actual"] == "listen(3, 1) = 0"
    (tmp_path / "c.pkt").unlink()
    assert CliRunner().invoke(main, ["packetdrill", str(tmp_path)]).exit_code == 0


@pytest.mark.parametrize("arguments", [[], ["nowhere.pkt"], ["--mtu=x", "f"], ["-D", "x", "f"], ["--colour=red", "f"]])
def test_misuse(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["packetdrill", *arguments]).exit_code == 2


def test_definitions(tmp_path: Path) -> None:
    (tmp_path / "a.pkt").write_text(LISTEN.replace("= 3", "= FD"))
    assert CliRunner().invoke(main, ["packetdrill", "-D", "FD=3", str(tmp_path)]).exit_code == 0


@pytest.mark.parametrize("terminal", [False, True])
def test_the_table(terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    wrong = run(LISTEN + "+0 listen(3, 1) = 5\n")
    print_outcomes([("a.pkt", run(SERVER)), ("b.pkt", wrong)], as_json=False, verbose=True)
    printed = capsys.readouterr().out
    for word in ("passed", "failed", "line 4", "listen(3, 1) = 5", "listen(3, 1) = 0", "1 passed, 1 failed"):
        assert word in printed


# recording


def test_what_the_host_does_is_recorded() -> None:
    entries = record(SERVER + "+0 write(4, ..., 1500) = 0\n+.1 < . 1:1(0) ack 1501 win 65535\n", Configuration(), {})
    texts = [entry.text.split(" ack")[0] for entry in entries]
    assert texts[3:] == [
        "> [tos 0x0] S. 0:0(0)",
        "accept(3, ..., ...) = 4",
        "write(4, ..., 1500) = 1500",
        "> [tos 0x0] . 1:1001(1000)",
        "> [tos 0x0] P. 1001:1501(500)",
    ]


def test_records_are_compared() -> None:
    ours = [Entry(0.1, "a"), Entry(0.2, "> . 1:1(0) <TS val 5 ecr 1>"), Entry(0.3, "b")]
    theirs = [Entry(0.1, "a"), Entry(0.2, "> . 1:1(0) <TS val 7 ecr 1>"), Entry(0.4, "b"), Entry(0.5, "c")]
    assert differences(ours, theirs) == ["~ 0.300 b / 0.400", "+ 0.500 c"]
    assert differences(ours, ours) == []


# what was added to the language


@pytest.mark.parametrize("message", ["time_exceeded ttl_exceeded", "time_exceeded 1", "unreachable 1", "redirect"])
def test_codes_of_icmp_have_names_and_numbers(message: str) -> None:
    assert (
        run(
            SERVER + f"+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1\n+0 < icmp {message} [1:101(100)]\n"
        ).verdict
        is Verdict.PASSED
    )
    assert (
        skipped(SERVER + "+0 < icmp time_exceeded of_patience [1:101(100)]\n") == "unsupported: ICMP code of_patience"
    )


@pytest.mark.parametrize(
    ("options", "word", "argument"),
    [
        ('--define=CC="reno"', "CC", ()),
        ('--define = CC = "cubic" --define=CC="reno"', "CC", ()),
        ('--define=CC="cubic"', "CC", ("-D", 'CC="reno"')),
        ("--define=CMSG_LEVEL_IP=SOL_TCP", '"re" "no"', ()),
    ],
)
def test_words_stand_for_strings(options: str, word: str, argument: tuple[str, ...], tmp_path: Path) -> None:
    level = "CMSG_LEVEL_IP" if "LEVEL" in options else "SOL_TCP"
    (tmp_path / "a.pkt").write_text(
        f"{options}\n{LISTEN}+0 setsockopt(3, {level}, TCP_CONGESTION, {word}, 4) = 0\n"
        '+0 getsockopt(3, SOL_TCP, TCP_CONGESTION, "reno", [4]) = 0\n'
    )
    result = CliRunner().invoke(main, ["packetdrill", *argument, str(tmp_path)])
    assert "1 passed" in result.output, result.output


def test_options_of_the_command_line_hold_whatever_a_script_says(tmp_path: Path) -> None:
    late = SERVER.replace("+.1 <", "+.2 <") + "+0 write(4, ..., 10) = 10\n+.01 > P. 1:11(10) ack 1\n"
    script = tmp_path / "a.pkt"
    script.write_text(f"--ip_version=ipv6\n--tolerance_usecs = 20000\n{late}")
    arguments = ["packetdrill", "--ip_version", "ipv4", "--gateway_ip=192.168.0.1", "--send_omit_free", str(script)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert CliRunner().invoke(main, [*arguments, "--tolerance_usecs", "4000"]).exit_code == 1
    assert CliRunner().invoke(main, [*arguments, "--tolerance_usecs", "4000", "--dry_run"]).exit_code == 0


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("0 > . 1:1(0) ack", (1, 17)),
        ("\n  0 > X. 1:1(0)", (2, 7)),
        ("/* a\nb */ 0 read(4", (2, 14)),
        ("0 read(4) = 0\n* read(4) = 0", (2, 1)),
        ("0~1 < . 1:1(0)", (1, 1)),
        ("+-1 close(3) = 0", (1, 2)),
        ("// nothing", (1, 11)),
    ],
)
def test_where_a_script_cannot_be_read(text: str, where: tuple[int, int]) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(text, {})
    assert (caught.value.line, caught.value.column) == where
    assert f"column {where[1]}: " in failure(text).reason


def test_flags_with_the_ecn_bits_as_a_number() -> None:
    text = "> [ect01] P.5 1:11(10) ack 1 <ECN e1b 1 ceb 0 e0b 1,nop>"
    packet = event(f"+0 {text}").action
    assert str(packet) == text
    assert isinstance(packet, TcpPacket)
    segment = Segment(1, 2, 3, 4, flag_bits(packet.flags), 5, 6, packet.options or (), 10)
    read = Segment.from_bytes(segment.to_bytes(bytes(4), bytes(4)))
    assert (read.options, flag_letters(read.flags)) == (packet.options, "PEA.")
    ignored = "+0 < .0 1:1(0) ack 1 win 100 <ECN e0b 1 ceb 0 e1b 1,nop>\n+0 < .7 1:1(0) ack 1 win 100\n"
    assert run(SERVER + ignored).verdict is Verdict.PASSED


def test_code_may_be_indented() -> None:
    code = "%{ if tcpi_snd_cwnd == 10:\n     x = 1\n     assert tcpi_state == TCP_ESTABLISHED }%"
    later = "%{\n   assert x == 1\n   assert tcpi_ca_state == TCP_CA_Open\n}%"
    assert run(f"{SERVER}+0 {code}\n+0 {later}\n").verdict is Verdict.PASSED


def test_icmp_as_numbers_and_raw_bytes() -> None:
    echo = "+0 < icmp echo_request id 7 [raw (64)]\n+0 > icmp echo_reply id 7 [raw (64)]\n"
    assert run(SERVER + echo).verdict is Verdict.PASSED
    assert (
        run(SERVER + echo.replace("echo_request", "type_8").replace("> icmp echo_reply", "> icmp type_0 code_0")).reason
        == ""
    )
    dial = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0...0.1 connect(3, ..., ...) = -1 {}\n+0 > S 0:0(0) <...>\n"
    outcome = run(dial.format("ECONNREFUSED") + "+.1 < icmp unreachable code_3\n")  # about the SYN, if it does not say
    assert outcome.verdict is Verdict.PASSED, outcome


def test_coalesced_packets_arrive() -> None:
    data = "+0 < P. 1:3001(3000) ack 1 win 65535\n+0 > . 1:1(0) ack 3001\n+0 %{ assert tcpi_data_segs_in == COUNT }%\n"
    assert run(f"--mss=1000\n{SERVER}" + data.replace("COUNT", "3")).verdict is Verdict.PASSED
    assert run(SERVER + data.replace("COUNT", "1")).verdict is Verdict.PASSED


def test_assertions_on_buffers_and_bbr() -> None:
    outcome = run(
        f"""`sysctl -q net.ipv4.tcp_congestion_control=bbr`
        {SERVER}+0 setsockopt(4, SOL_SOCKET, SO_SNDBUF, [30000], 4) = 0
        +0 %{{ assert SK_MEMINFO_SNDBUF == 60000 and bbr_bw >= 0 and bbr_cwnd_gain > 256, bbr_cwnd_gain }}%"""
    )
    assert outcome.verdict is Verdict.PASSED, outcome


def test_one_script_does_not_take_the_others_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.pkt").write_bytes(b"// Gr\xfc\xdfe\n" + SERVER.encode())
    (tmp_path / "b.pkt").write_text(SERVER)
    (tmp_path / "c.pkt").write_text(f"{SERVER}+0 %{{ raise SystemExit(3) }}%\n")

    def broken(path: Path, configuration: Configuration, definitions: dict[str, str]) -> Outcome:
        if path.name == "b.pkt":
            raise RuntimeError("oops")
        return run_file(path, configuration, definitions)

    monkeypatch.setattr("netower.app.packetdrill.cli.run_file", broken)
    result = CliRunner().invoke(main, ["packetdrill", str(tmp_path)])
    assert result.exit_code == 1
    assert "the runner failed: RuntimeError: oops" in result.output
    assert "1 passed, 2 failed" in result.output


@pytest.mark.parametrize(
    "packet",
    ["< . 1:1(0) ack 1 win 70000", "< S 0:0(0) win 9 <mss 70000>", "< S 0:0(0) win 9 <wscale 256>",
     "< 70000 > 80 . 1:1(0) win 5", "< . 4294967296:4294967296(0) win 5", "< udp (70000)"],
)  # fmt: skip
def test_numbers_that_no_header_holds(packet: str) -> None:
    assert "bits" in failure(f"0 {packet}\n").reason


def test_a_syn_is_for_the_listener_made_last() -> None:
    again = LISTEN.replace("0 socket", "+0 socket", 1).replace("= 3", "= 5").replace("(3", "(5")
    text = f"{SERVER}+0 close(3) = 0\n{again}"
    for fd in (3, 5):
        text = text.replace(f"+0 bind({fd}", f"+0 setsockopt({fd}, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0\n+0 bind({fd}")
    text += (
        "+0 < S 9:9(0) win 100 <mss 1000>\n+0 > S. 0:0(0) ack 10 <mss 1460>\n+0 < . 1:1(0) ack 1 win 100\n"
        "+0 accept(5, ..., ...) = 6\n+0 write(6, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n"
    )
    outcome = run(text)
    assert outcome.verdict is Verdict.PASSED, outcome


def test_packets_come_from_near_unless_a_script_says_otherwise() -> None:
    data = (
        "+0 setsockopt(4, SOL_IP, IP_MINTTL, [255], 4) = 0\n+0 < {}P. 1:101(100) ack 1 win 100\n+0 > . 1:1(0) ack 101\n"
    )
    assert run(SERVER + data.format("")).verdict is Verdict.PASSED
    assert run(SERVER + data.format("[ttl 254] ")).verdict is Verdict.FAILED
