"""``python -m netower.app`` is the ``netower`` command."""

from .command import main

if __name__ == "__main__":
    main(prog_name="netower")
