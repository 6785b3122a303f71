"""setup.cfg installs every package; a checkout that is installed to be edited would not notice that one is missing."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = ("link", "net", "transport", "stack", "app")


def test_every_package_is_installed() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    found = {path.parent.relative_to(ROOT) for floor in FLOORS for path in (ROOT / floor).rglob("__init__.py")}
    assert set(setup["options"]["packages"].split()) == {".".join(("netower", *folder.parts)) for folder in found}
