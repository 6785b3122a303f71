"""What packetdrill scripts say of the machine around them: shell lines, settings, routes, files beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner
from netower.app.command import main
from netower.app.packetdrill.configuration import Configuration
from netower.app.packetdrill.engine import Verdict, run, run_file

from .scripts import LISTEN, SERVER, skipped

if TYPE_CHECKING:
    from pathlib import Path


def test_settings_of_commands_take_effect() -> None:
    text = """`sysctl -q net.ipv4.tcp_window_scaling=0
    ../common/set_sysctls.py /proc/sys/net/ipv4/tcp_timestamps=0
    echo 2 > /proc/sys/net/ipv4/tcp_syn_retries; ip route replace 192.0.2.0/24 dev tun0 mtu 1000 || true`
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
    +0...7 connect(3, ..., ...) = -1 ETIMEDOUT (Connection timed out)
    +0 > S 0:0(0) <mss 960,nop,nop,sackOK>
    `/tmp/sysctl_restore_1.sh`"""
    outcome = run(text)
    assert outcome.verdict is Verdict.PASSED, outcome


def test_a_file_of_defaults(tmp_path: Path) -> None:
    (tmp_path / "defaults.sh").write_text(
        "#!/bin/sh\nip tcp_metrics flush all\nsysctl -q net.ipv4.tcp_no_such_thing=1\n"
        'sysctl -q net.ipv4.tcp_rmem="4096 540000 $[15*1024*1024]" \\\n  net.ipv4.tcp_sack=0\n'
    )
    script = tmp_path / "script.pkt"
    script.write_text(
        f"`./defaults.sh`\n{LISTEN}+0 < S 0:0(0) win 9 <mss 1000,sackOK,wscale 7>\n"
        "+0 > S. 0:0(0) ack 1 <mss 1460,nop,wscale 8>\n"
    )
    result = CliRunner().invoke(main, ["packetdrill", str(script)])
    assert result.exit_code == 0, result.output


def test_commands_of_other_files_come_first(tmp_path: Path) -> None:
    (tmp_path / "init.sh").write_text("sysctl -q net.ipv4.tcp_sack=0\nsysctl -q net.ipv4.tcp_timestamps=0\n")
    script = tmp_path / "script.pkt"
    story = f"{LISTEN}+0 < S 0:0(0) win 65535 <mss 1000,sackOK,TS val 1 ecr 0>\n+0 > S. 0:0(0) ack 1 <mss 1460>\n"
    script.write_text(f"--init_scripts=init.sh\n{story}")
    assert run_file(script, Configuration(), {}).verdict is Verdict.PASSED
    script.write_text(f"--init_scripts=nothing.sh\n{story}")
    assert run_file(script, Configuration(), {}).verdict is Verdict.SKIPPED


def test_words_stand_for_commands() -> None:
    assert "reboot" in skipped(f"--define=CLEAN=`reboot`\n{LISTEN}CLEAN\n")


def test_lines_of_a_shell() -> None:
    assert (
        run(
            f"""`SIZE=$((4*1024)); export LIMIT="4096 $SIZE ${{SIZE}}"
            sudo sysctl -q -w net.ipv4.tcp_rmem="$LIMIT" net/ipv4/tcp_sack=0 > /dev/null 2>&1
            sysctl -q net.ipv6.conf.all.disable_ipv6=1 net.core.busy_poll=0; ip -6 route flush cache
            ip link set dev tun0 txqueuelen 100 && ethtool -K tun0 tso off gso off; tc qdisc replace dev tun0 root fq
            nstat -n; ss -tnm; cat /proc/net/netstat; sleep 0.01`
            {LISTEN}+0 getsockopt(3, SOL_SOCKET, SO_RCVBUF, [4096], [4]) = 0
            +0 < S 0:0(0) win 9 <mss 1000,sackOK>
            +0 > S. 0:0(0) ack 1 <mss 1460>"""
        ).verdict
        is Verdict.PASSED
    )


def test_a_file_of_defaults_may_be_a_program(tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "defaults.sh").write_text(
        """#!/bin/bash
        function quiet() { "$@" > /dev/null 2>&1; }
        MAX=$((15*1024*1024))
        if [ "$(uname -r)" != "x" ]; then
          for name in tcp_dsack tcp_frto; do
            sysctl -q net.ipv4.$name=1
          done
          ../common/set_sysctls.py /proc/sys/net/ipv4/tcp_rmem="4096 540000 $MAX" /proc/sys/net/ipv4/tcp_mtu_probing=9
        fi
        echo 0 > /proc/sys/net/ipv4/tcp_sack
        ip route change 192.0.2.0/24 dev tun0 initcwnd 3 || exit 1
        """
    )
    (tmp_path / "tcp").mkdir()
    script = tmp_path / "tcp" / "script.pkt"
    script.write_text(
        f"`../common/defaults.sh`\n{LISTEN}+0 < S 0:0(0) win 9000 <mss 1000,sackOK,wscale 7>\n"
        "+0 > S. 0:0(0) ack 1 <mss 1460,nop,wscale 8>\n+.1 < . 1:1(0) ack 1 win 100\n"
        "+0 accept(3, ..., ...) = 4\n+0 %{ assert tcpi_snd_cwnd == 3 }%\n"
    )
    result = CliRunner().invoke(main, ["packetdrill", str(script)])
    assert result.exit_code == 0, result.output


def test_what_routes_say() -> None:
    outcome = run(
        f"""`ip route change 192.0.2.0/24 via 192.168.0.2 dev tun0 mtu lock 1400 advmss 1200 initcwnd 2 initrwnd 5 \
              rto_min lock 50ms congctl reno quickack 1 features ecn hoplimit 9`
        {LISTEN}+0 < S 0:0(0) win 65535 <mss 1300>
        +0 > [ttl 9] S. 0:0(0) ack 1 win 6000 <mss 1200>
        +.02 < . 1:1(0) ack 1 win 65535
        +0 accept(3, ..., ...) = 4
        +0 getsockopt(4, SOL_TCP, TCP_CONGESTION, "reno", [4]) = 0
        +0 write(4, ..., 5000) = 5000
        +0 > . 1:2601(2600) ack 1
        +.07 > . 1:1301(1300) ack 1
        +0 < . 1:101(100) ack 1 win 65535
        +0 > . 2601:2601(0) ack 101
        +0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 5
        +0 connect(5, ..., ...) = -1 EINPROGRESS
        +0 > SEW 0:0(0) <mss 1200,sackOK,TS val 1 ecr 0,nop,wscale 7>"""
    )
    assert outcome.verdict is Verdict.PASSED, outcome


def test_capabilities() -> None:
    outcome = run(
        f"""{LISTEN}+0 setsockopt(3, SOL_SOCKET, SO_MARK, [1], 4) = 0
        +0 cap_set(CAP_EFFECTIVE, CAP_NET_ADMIN, CAP_CLEAR) = 0
        +0 setsockopt(3, SOL_SOCKET, SO_MARK, [1], 4) = -1 EPERM (Operation not permitted)
        +0 cap_set(CAP_EFFECTIVE, CAP_NET_ADMIN, CAP_SET) = 0
        +0 setsockopt(3, SOL_SOCKET, SO_MARK, [1], 4) = 0"""
    )
    assert outcome.verdict is Verdict.PASSED, outcome


def test_files_lie_beside_the_script(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 500)
    script = tmp_path / "a.pkt"
    script.write_text(
        f'{SERVER}+0 open("file", O_RDONLY) = 5\n+0 open("none", O_RDONLY) = -1 ENOENT\n'
        "+0 sendfile(4, 5, [0], 1000) = 500\n+0 > P. 1:501(500) ack 1\n"
    )
    assert run_file(script, Configuration(), {}).verdict is Verdict.PASSED


def test_comments_in_commands() -> None:
    assert run(f"`# it's a comment; don't read\n  # nor this && that\n  true`\n{SERVER}").verdict is Verdict.PASSED
