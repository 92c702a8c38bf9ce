"""Challenges shown by DNS: records written where a CA looks for them, and checked the way a CA does."""
