"""The standard names that mean something else while a program on a simulated host runs.

A swap is made when a fiber is resumed and undone when it waits, so nobody else ever sees it. It is made in the modules
that define a name and in all that have imported it from there; classes are not exchanged but some of their methods.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Final

#: Modules that go on seeing the real names: whoever runs the network.
_TOWER: Final = "netower."
_EXCEPT: Final = "netower.stack.socket"


class Swaps:
    """A context manager that makes all swaps, and undoes them."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Any]] = []
        self._methods: list[tuple[type, str, Any]] = []
        self._values: list[tuple[dict[str, Any], str, Any, Any]] = []
        self._places: list[tuple[dict[str, Any], str, Any, Any]] = []
        self._outside: list[Any] = []
        self._modules = 0
        self._depth = 0

    def name(self, outside: Any, inside: Any) -> None:
        """``inside`` for ``outside``, wherever that is found as a global of a module."""
        self._pairs.append((outside, inside))
        self._modules = 0

    def value(self, module: ModuleType, name: str, inside: Any) -> None:
        """One global of one module, whose value is too common to be looked for."""
        self._values.append((vars(module), name, vars(module)[name], inside))
        self._modules = 0

    def method(self, owner: type, name: str, inside: Any) -> None:
        """An attribute of a class."""
        self._methods.append((owner, name, inside))

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth > 1:  # a program ends, and unwinds its other threads
            return
        if len(sys.modules) != self._modules:
            self._find()
        for names, name, _, inside in self._places:
            names[name] = inside
        # What is restored is what was there, which another simulation may have put there.
        self._outside = [_attribute(owner, name) for owner, name, _ in self._methods]
        for owner, name, inside in self._methods:
            setattr(owner, name, inside)

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth:
            return
        if len(sys.modules) != self._modules:
            self._find()
        for names, name, outside, _ in self._places:
            names[name] = outside
        for (owner, name, _), outside in zip(self._methods, self._outside, strict=True):
            setattr(owner, name, outside)

    def _find(self) -> None:
        """All places with a value of either kind: a module that a program imports has the inside from the start."""
        self._modules = len(sys.modules)
        either = {id(value): pair for pair in self._pairs for value in pair}
        self._places = list(self._values)
        for module_name, module in list(sys.modules.items()):
            if isinstance(module, ModuleType) and (not module_name.startswith(_TOWER) or module_name == _EXCEPT):
                names = vars(module)
                found = [(name, either[id(value)]) for name, value in list(names.items()) if id(value) in either]
                self._places += [(names, name, *pair) for name, pair in found]


def _attribute(owner: type, name: str) -> Any:
    """As it stands in the class, not bound; else as the class inherits it."""
    return vars(owner)[name] if name in vars(owner) else getattr(owner, name)


swapped: Final = Swaps()
