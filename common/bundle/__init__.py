"""A bundle: everything one node must hold, as one unit with one digest."""
