"""The protocol between manager and nodeagent, without a socket: frames, messages, and the two ends' decisions."""
