"""Shells shared by both daemons: logs, durable writes, the service manager's socket, tasks, SSH policy."""
