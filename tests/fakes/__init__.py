"""Stand-ins that pass the same tests as the real thing."""
