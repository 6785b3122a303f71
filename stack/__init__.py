"""The stack floor: composes the floors below into hosts, and gives processes their sockets."""
