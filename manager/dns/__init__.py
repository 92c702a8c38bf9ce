"""Challenges shown by DNS: records that are written where a CA looks for them, and looked for as it will."""
