"""``netower demo``: the whole tower at work, in under a minute, on an empty machine, with proof."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from .namespace import enter_private
from .output import console, print_table

PEER: Final = "10.77.0.1"
STACK: Final = "10.77.0.2"
PORT: Final = 8000
FETCH: Final = str(Path(__file__).with_name("fetch.py"))
NETOWER: Final = [sys.executable, "-m", "netower.app"]
MEGABYTE: Final = 1_000_000
SMALL: Final = 200_000
#: How much of the connection is drawn: its handshake, the request, and the first data.
DRAWN: Final = 8
PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Stage:
    """Where an exchange is shown: what makes a command's sockets those of the one end and of the other."""

    name: str
    peer_name: str
    on_peer: list[str]
    on_stack: list[str]
    #: Starts the stacks, capturing to a file if one is named.
    start: Callable[[Path | None], list[str]]
    megabytes: int


@click.command()
@click.option(
    "--pcap",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the captured packets go.  [default: netower-demo.pcap here, or in a temporary folder]",
)
def command(pcap: Path | None) -> int:
    """Show the whole tower at work: a stack on a TAP in a network of its own, and programs that nobody changed.

    The kernel's side fetches from Python's http.server on the stack, and the stack's side fetches from one on the
    kernel; sums are compared, a handshake is drawn from the captured packets, and the speed is measured. Where no TAP
    can be had, the same happens between two stacks on a wire in memory. Exit status 0 only if all arrived intact.

    \b
    Examples:
      netower demo
      netower demo --pcap /tmp/demo.pcap
    """  # fmt: skip
    started = time.monotonic()
    pcap = (pcap or _usual_pcap()).absolute()
    pcap.open("ab").close()  # raises OSError now rather than in a program of the demo
    with tempfile.TemporaryDirectory(prefix="netower-demo-") as directory:
        stage = _choose_stage(Path(directory))
        print(f"Programs on this stack ({STACK}) and on {stage.peer_name} ({PEER}), joined by {stage.name}.")
        try:
            results = _perform(stage, Path(directory), pcap)
        except DemoFailed as error:
            raise click.ClickException(str(error)) from None
    intact = all(result["intact"] for result in results)
    _report(results)
    print(f"The packets of the first two exchanges: {pcap}")
    verdict = "Everything arrived intact" if intact else "NOT everything arrived intact"
    print(f"{verdict}; {time.monotonic() - started:.1f} s.")
    return 0 if intact else 1


class DemoFailed(Exception):
    """A program of the demo ended badly; the text says how."""


def _usual_pcap() -> Path:
    here = Path("netower-demo.pcap")
    if os.access(here if here.exists() else Path(), os.W_OK):
        return here
    return Path(tempfile.mkdtemp(prefix="netower-")) / here


# where


def _choose_stage(directory: Path) -> Stage:
    try:
        enter_private()
        _try_tap()
    except OSError as error:
        print(f"No TAP can be had here: {error.strerror}.")
        return _wire_stage(directory)
    return _tap_stage(directory)


def _try_tap() -> None:
    """Raises OSError when this machine gives us no TAP."""
    from ..link.tap import Tap

    Tap("").close()


def _tap_stage(directory: Path) -> Stage:
    path = str(directory / "stack.sock")
    up = [*NETOWER, "up", "--tap", "demo0", "--address", f"{STACK}/24", "--host-address", f"{PEER}/24", "--path", path]
    return Stage(
        name="a TAP in a private network namespace",
        peer_name="the kernel",
        on_peer=[],
        on_stack=[*NETOWER, "run", "--path", path, "--"],
        start=lambda pcap: [*up, *(["--pcap", str(pcap)] if pcap else [])],
        megabytes=256,
    )


def _wire_stage(directory: Path) -> Stage:
    paths = [str(directory / name) for name in ("peer.sock", "stack.sock")]
    wired = [sys.executable, "-m", "netower.app.wired", *paths, f"{PEER}/24", f"{STACK}/24"]
    on_peer, on_stack = ([*NETOWER, "run", "--path", path, "--"] for path in paths)
    return Stage(
        name="a wire in memory",
        peer_name="another such stack",
        on_peer=on_peer,
        on_stack=on_stack,
        start=lambda pcap: [*wired, *([str(pcap)] if pcap else [])],
        megabytes=16,
    )


# what


def _perform(stage: Stage, directory: Path, pcap: Path) -> list[dict[str, Any]]:
    files = directory / "files"
    files.mkdir()
    (files / "small").write_bytes(os.urandom(SMALL))
    _write_large(files / "large", stage.megabytes)
    with _step("A stack that captures what passes; a small file each way"), _running(stage.start(pcap), "ready"):
        results = _exchange(stage, files / "small")
    _draw(pcap)
    title = f"The stack again, capturing nothing; {stage.megabytes} MB each way"
    with _step(title), _running(stage.start(None), "ready"):
        return results + _exchange(stage, files / "large")


def _write_large(path: Path, megabytes: int) -> None:
    block = os.urandom(MEGABYTE)
    with path.open("wb") as file:
        for number in range(megabytes):
            file.write(number.to_bytes(8) + block[8:])


def _exchange(stage: Stage, file: Path) -> list[dict[str, Any]]:
    """The file fetched each way."""
    outwards = _fetch(stage.on_peer, stage.on_stack, STACK, file)
    inwards = _fetch(stage.on_stack, stage.on_peer, PEER, file)
    return [
        {"way": f"{stage.peer_name} fetches from this stack", **outwards},
        {"way": f"this stack fetches from {stage.peer_name}", **inwards},
    ]


def _fetch(client: list[str], server: list[str], address: str, file: Path) -> dict[str, Any]:
    """One transfer: ``python -m http.server`` at ``address``, and a urllib program that fetches from it."""
    serve = [*server, sys.executable, "-u", "-m", "http.server", str(PORT), "--bind", address]
    with _running([*serve, "--directory", str(file.parent)], "Serving HTTP"):
        url = f"http://{address}:{PORT}/{file.name}"
        try:
            done = subprocess.run(
                [*client, sys.executable, FETCH, url], capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"fetching {url} took more than {PATIENCE:.0f} s") from None
    if done.returncode:
        raise DemoFailed(f"fetching {url}: {_last_line(done.stderr)}")
    result: dict[str, Any] = json.loads(done.stdout)
    with file.open("rb") as original:
        result["intact"] = result["sha256"] == hashlib.file_digest(original, "sha256").hexdigest()
    return result


@contextmanager
def _running(command_line: list[str], sign: str) -> Iterator[None]:
    """A program that serves, from when it has printed ``sign`` until it is terminated."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout
            if not process.stdout.readline().startswith(sign):
                process.kill()
                process.wait()
                errors.seek(0)
                raise DemoFailed(f"{' '.join(command_line[1:5])} …: {_last_line(errors.read())}")
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()


def _last_line(text: str) -> str:
    return (text.strip() or "it ended without a word").splitlines()[-1]


# what it looks like


@contextmanager
def _step(title: str) -> Iterator[None]:
    screen = console()
    started = time.monotonic()
    with screen.status(title):
        yield
    screen.print(f"• {title} [dim]({time.monotonic() - started:.1f} s)[/dim]")


def _draw(pcap: Path) -> None:
    """The first connection, from the capture."""
    from .dissect import read_segments
    from .ladder import conversations, render

    found = conversations(read_segments(pcap))
    if not found:
        raise DemoFailed(f"{pcap}: no connection was captured")
    print("\n" + "\n".join(render(found[0], limit=DRAWN, width=shutil.get_terminal_size((100, 24)).columns)) + "\n")


def _report(results: list[dict[str, Any]]) -> None:
    rows = [
        [
            result["way"],
            f"{result['bytes']:,}",
            f"{result['bytes'] * 8 / result['seconds'] / 1e9:.2f} Gbit/s" if result["bytes"] > SMALL else "",
            f"{result['sha256'][:16]}…",
            "equal" if result["intact"] else "DIFFERENT",
        ]
        for result in results
    ]
    print_table(["", "Bytes", "Speed", "SHA-256", "Sums"], rows, right=["Bytes", "Speed"])
