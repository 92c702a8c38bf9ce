"""Shells that both daemons stand on: logs, durable writes, the service manager's socket, supervised tasks, SSH policy."""
