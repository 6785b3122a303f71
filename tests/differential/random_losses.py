"""Random stories of loss with clean timing, told to this stack and to the kernel.

    python tests/differential/random_losses.py FIRST LAST [ACKS]

A story is written while this stack runs it: a receiver behind a path of one delay, which loses, delays and marks at
random, acknowledges what the stack has sent so far, at round-trip distances and never near one of its timers (the
kernel's are late by up to an eighth). The stimuli alone are then the script; whatever the kernel does otherwise is
shown, from the first difference on. A seed stands for a story, as long as the stack does the same.

What differs for the clocks' sake: whether a last packet is deferred (acknowledgments come 10 µs apart here, a third
of a millisecond there), and what follows from that.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

from netower.app.packetdrill.configuration import Configuration, on_kernel
from netower.app.packetdrill.recorder import Entry, differences, record, record_file

FIELDS = [
    "ca_state",
    "snd_cwnd",
    "snd_ssthresh",
    "unacked",
    "sacked",
    "lost",
    "retrans",
    "reordering",
    "total_retrans",
    "delivered",
]
LOOK = f"+0 %{{ print({', '.join(f'tcpi_{name}' for name in FIELDS)}) }}%"
SENT = re.compile(r"> (?:\[[^\]]*\] )?([^S ]+) (\d+):(\d+)\([1-9]\d*\).*?(?:TS val (\d+)|$)")
#: Acknowledgments this near to each other come at once, in seconds.
TOGETHER = 5e-4
#: How late the kernel's timers may be, and a little more: by so much of the time that they waited.
LATE = 0.16


class Segment(NamedTuple):
    """What the stack sent, at ``time`` in seconds, with its timestamp; ``again``: not for the first time."""

    time: float
    start: int
    end: int
    stamp: int
    again: bool


class Receiver:
    """Takes segments and says how it acknowledges them (RFC 9293 §3.8, RFC 2018, RFC 2883)."""

    def __init__(self, *, selective: bool, delays: bool, most: int) -> None:
        self.next = 1
        self.early: list[tuple[int, int]] = []
        self.selective, self.most = selective, most
        self._delays, self.owes = delays, False

    def take(self, start: int, end: int) -> tuple[int, list[tuple[int, int]]] | None:
        """The acknowledgment and its SACK blocks; None: not yet."""
        twice = end <= self.next or any(left <= start and end <= right for left, right in self.early)
        if start <= self.next < end:
            self.next = end
            for left, right in sorted(self.early):
                if left <= self.next:
                    self.next = max(self.next, right)
            self.early = [block for block in self.early if block[0] > self.next]
        elif not twice:
            touching = [block for block in self.early if block[0] <= end and start <= block[1]]
            merged = (min([start, *(left for left, _ in touching)]), max([end, *(right for _, right in touching)]))
            self.early = [merged, *(block for block in self.early if block not in touching)]
        if self._delays and not twice and not self.early and not self.owes:
            self.owes = True
            return None
        self.owes = False
        blocks = ([(start, end)] if twice else []) + self.early
        return self.next, blocks[: self.most] if self.selective else []


class Story:
    """One story: ``lines`` of a script."""

    def __init__(self, seed: int) -> None:
        r = self.random = Random(seed)
        self.round_trip = r.choice([0.05, 0.1, 0.1, 0.2])
        selective, self.stamps, control = r.random() < 0.8, r.random() < 0.3, r.choice(["reno", "cubic"])
        self.loss, self.burst = r.choice([0, 0.03, 0.1, 0.1, 0.3]), r.choice([0, 0, 0.02])
        self.ack_loss, self.marks = r.choice([0, 0, 0, 0.2]), r.choice([0] * 5 + [0.1])
        self.reordering, self.lateness = r.choice([0, 0, 0, 0.05, 0.15]), r.choice([0, 0, 0, 0.03])
        self.receiver = Receiver(selective=selective, delays=r.random() < 0.3, most=3 if self.stamps else 4)
        self.payload = 988 if self.stamps else 1000
        options = f"mss 1000,{'sackOK,' if selective else ''}{'TS val 1000 ecr 0,' if self.stamps else ''}nop,wscale 8"
        self.clock = self.round_trip
        self.told: list[float] = []
        self.lines = [
            "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3",
            "+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0",
            "+0 setsockopt(3, SOL_SOCKET, SO_SNDBUF, [1000000], 4) = 0",
            f'+0 setsockopt(3, SOL_TCP, TCP_CONGESTION, "{control}", {len(control)}) = 0',
            "+0 bind(3, ..., ...) = 0",
            "+0 listen(3, 1) = 0",
            f"+0 < {'SEW' if self.marks else 'S'} 0:0(0) win 65535 <{options}>",
            f"+{self.round_trip} < . 1:1(0) ack 1 win 257{self._options(self.clock, 100, [])}",
            "+0 accept(3, ..., ...) = 4",
        ]
        self._handled = self._losing = 0
        self._coming: list[tuple[float, Segment]] = []

    def tell(self, acknowledgments: int) -> str:
        """The script, with so many acknowledgments or a few more."""
        self._write(self.clock)
        pauses = told = 0
        while told < acknowledgments:
            self._travel(self._sent())
            if not self._coming:
                pauses += 1
                if pauses > 3:
                    break
                self._write(self.clock + self.random.choice([0.3, 0.3, 2.0]))
                continue
            told += self._acknowledge()
            if self.random.random() < 0.15:
                self._write(self.clock)
        return "\n".join([*self.lines, LOOK, ""])

    def _sent(self) -> list[Segment]:
        found: list[Segment] = []
        for entry in record("\n".join(self.lines) + "\n", Configuration(), {}, longer=4.0):
            if match := SENT.match(entry.text):
                start, end, stamp = int(match[2]), int(match[3]), int(match[4] or 0)
                again = any(other.start < end and start < other.end for other in found)
                found.append(Segment(entry.time, start, end, stamp, again))
        return found

    def _travel(self, sent: list[Segment]) -> None:
        """Everything that leaves before the next acknowledgment arrives goes over the path."""
        r = self.random
        while self._handled < len(sent):
            segment = sent[self._handled]
            if self._coming and segment.time >= self._coming[0][0] - 1e-4:
                return
            self._handled += 1
            if self._losing or r.random() < self.burst:
                self._losing = self._losing - 1 if self._losing else r.randrange(2, 11)
                continue
            if r.random() < self.loss:
                continue
            waited = segment.time - max([time for time in self.told if time < segment.time + 1e-4], default=0.0)
            usual = delay = max(self.round_trip * (1.03 if segment.again else 1), LATE * waited + 0.02)
            if r.random() < self.reordering:
                delay += self.round_trip * r.choice([0.06, 0.1, 0.1, 0.6])
            if r.random() < self.lateness:
                delay += 0.5
            # The kernel is later each time: what it sends again must not seem to have been echoed before.
            spare = max(30, int(LATE * 1000 * waited)) if segment.again or delay == usual else 0
            self._coming.append((segment.time + delay, segment._replace(stamp=segment.stamp + spare)))
            self._coming.sort()

    def _acknowledge(self) -> int:
        """What arrives next at the receiver is acknowledged; how many acknowledgments that gives."""
        r, (time, _) = self.random, self._coming[0]
        arrived = [segment for when, segment in self._coming if when < time + TOGETHER]
        del self._coming[: len(arrived)]
        answers = [(answer, s.stamp) for s in arrived if (answer := self.receiver.take(s.start, s.end)) is not None]
        if not answers and self.receiver.owes:
            self.receiver.owes = False
            answers, time = [((self.receiver.next, []), arrived[-1].stamp)], time + 0.02
        if r.random() < 0.15 and not any(blocks for (_, blocks), _ in answers):
            answers = answers[-1:]  # put together by an offload
        for (ack, blocks), stamp in answers:
            if r.random() >= self.ack_loss:
                flags = "E." if r.random() < self.marks else "."
                self._say(time, f"< {flags} 1:1(0) ack {ack} win 257{self._options(time, stamp, blocks)}")
        if r.random() < 0.5 or len(answers) > 2:
            self.lines.append(LOOK)
        return len(answers) or 1

    def _options(self, time: float, echo: int, blocks: list[tuple[int, int]]) -> str:
        options = [f"nop,nop,TS val {1000 + int(time * 1000)} ecr {echo}"] if self.stamps else []
        if blocks:
            options.append("nop,nop,sack " + " ".join(f"{left}:{right}" for left, right in blocks))
        return f" <{','.join(options)}>" if options else ""

    def _write(self, time: float) -> None:
        r = self.random
        size = r.choice([1, 2, 3, 5, 10, 10, 20, 40]) * self.payload
        if r.random() < 0.1:
            size -= r.randrange(1, self.payload)
        self._say(time, f"write(4, ..., {size}) = {size}")

    def _say(self, time: float, what: str) -> None:
        self.lines.append(f"+{max(round(time - self.clock, 6), 0):g} {what}")
        self.clock = max(time, self.clock)
        self.told.append(self.clock)


def compare(script: Path) -> list[str]:
    """What the two did otherwise until the last look at them."""
    ours, theirs = (record_file(script, side, {}) for side in (Configuration(), on_kernel(Configuration())))
    return differences(_until_last_look(ours), _until_last_look(theirs))


def _until_last_look(entries: list[Entry]) -> list[Entry]:
    looks = [index for index, entry in enumerate(entries) if entry.text.startswith("%{")]
    return entries[: looks[-1] + 1 if looks else 0]


def main(first: int, last: int, acknowledgments: int = 20) -> None:
    """Tell the stories of these seeds."""
    with TemporaryDirectory() as folder:
        for seed in range(first, last):
            script = Path(folder) / f"{seed}.pkt"
            script.write_text(Story(seed).tell(acknowledgments))
            found = compare(script)
            print(f"{seed}: {'differs' if found else 'the same'}", *found[:8], sep="\n  ", flush=True)
            if found:
                print(script.read_text())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
