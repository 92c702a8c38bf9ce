"""X.509 without I/O: reading what people have, deciding what it is worth, writing what others can open."""
