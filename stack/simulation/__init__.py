"""The parts of a simulated network, which `netower.stack.network` puts together."""
