"""``netower packetdrill``: scripts in packetdrill's language, run against this stack in virtual time.

A script is a story of system calls and packets with the times at which they are to happen. The script plays the
program, the network and the remote host; what the stack sends, and what its calls return, is compared with what the
script says. The language is packetdrill's (https://github.com/google/packetdrill): `lexer` and `parser` read it into
`syntax`, `engine` runs it on a `machine`, and `report` says how that went.
"""

from .cli import command

__all__ = ["command"]
