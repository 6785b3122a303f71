"""A Python program's side of its sockets: the classes behind ``netower.stack.socket``."""
