"""Runs at the start of every Python under ``netower run``, which puts this folder on PYTHONPATH.

It makes ``netower``, and nothing else of where netower is installed, importable for any Python, runs the
sitecustomize module that this one hides, and replaces the program's sockets by the stack's.
"""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec

HERE = os.path.dirname(os.path.abspath(__file__))


def give_up(reason: str, status: int) -> None:
    """End the program before it starts: it must not run on the kernel's sockets unnoticed."""
    os.write(2, f"netower run: {reason}\n".encode())
    os._exit(status)


def add_netower() -> None:
    """``netower`` has no code of its own: it is the folder that the floors stand in."""
    spec = ModuleSpec("netower", None, is_package=True)
    spec.submodule_search_locations = [os.path.dirname(os.path.dirname(HERE))]
    sys.modules["netower"] = module_from_spec(spec)


def run_hidden() -> None:
    """Run the sitecustomize that would have been found without this one."""
    elsewhere = [entry for entry in sys.path if os.path.abspath(entry) != HERE]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        sys.modules["sitecustomize"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


def start() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - any Python may find this file
        give_up(f"{sys.executable} is Python {sys.version.split()[0]}; the stack's sockets need 3.11 or newer", 2)
    add_netower()
    try:
        run_hidden()
    finally:
        try:
            from netower.stack.socket import install

            install()
        except Exception as error:
            give_up(f"this program cannot have the stack's sockets: {error}", 1)


start()
