"""The ``netower`` command: its subcommands live in modules of their own, imported only when they are used."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

#: In the order ``netower --help`` lists them; each is a module beside this one that has a ``command``.
COMMANDS: Final = ("demo", "up", "run", "ping", "ss", "ip", "sysctl", "serve", "ladder", "path", "packetdrill", "bench")

MISUSE: Final = 2
FAILURE: Final = 1
INTERRUPTED: Final = 130


class Tower(click.Group):
    """A group that imports a subcommand when it is asked for, and says what is wrong in one line on stderr.

    Exit status: 0 done, 1 failed, 2 misuse, 130 interrupted; a command may return another one.
    """

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f".{name}", __package__).command
        return command

    def main(self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        try:
            status = super().main(args, standalone_mode=False, **extra)
        except click.UsageError as error:
            _complain(error.ctx, f"{_one_line(error.format_message())} (see {_name(error.ctx)} --help)", MISUSE)
        except click.ClickException as error:
            _complain(None, _one_line(error.format_message()), error.exit_code)
        except click.Abort:
            sys.exit(INTERRUPTED)
        except OSError as error:
            _complain(None, describe(error), FAILURE)
        sys.exit(status if isinstance(status, int) else 0)


def describe(error: OSError) -> str:
    """One line for a person: what the error says, with the file it names."""
    text = error.strerror or str(error) or type(error).__name__
    return _one_line(f"{error.filename}: {text}" if error.filename else text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _name(context: click.Context | None) -> str:
    return context.command_path if context else "netower"


def _complain(context: click.Context | None, text: str, status: int) -> NoReturn:
    click.echo(f"{_name(context)}: {text}", err=True)
    sys.exit(status)


@click.group(cls=Tower, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="netower")
def main() -> None:
    """A TCP/IP stack in user space, whose sockets a program cannot tell from the kernel's.

    \b
    Examples:
      netower demo                                      see the whole tower work, in under a minute
      netower up --tap tap0 --address 10.77.0.2/24      run a stack (as root, or in `unshare -rn`)
      netower run -- python3 -m http.server 8000        run a program on it
      netower ss -l                                     look at its sockets
    """
