"""Writing what other products open."""
