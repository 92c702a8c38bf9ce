"""X.509 that the manager alone needs, without I/O."""
