"""The service manager's notification socket, sd_notify(3). Without a socket, all functions do nothing."""

import os
import socket

READY = "READY=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"


def notify(*lines: str) -> bool:
    """Send lines such as `READY=1`; return whether a socket took them."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path or path[0] not in "/@":
        return False
    address = "\0" + path[1:] if path[0] == "@" else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(address)
            sender.sendall("\n".join(lines).encode())
    except OSError:
        return False
    return True


def status(text: str) -> bool:
    """Report in one line what the service is doing."""
    return notify(f"STATUS={text}")


def watchdog_interval_s() -> float | None:
    """Return how often to feed the watchdog (half its limit), None if this process has no watchdog."""
    try:
        limit_s = int(os.environ.get("WATCHDOG_USEC", "")) / 1_000_000
        pid = int(os.environ.get("WATCHDOG_PID", str(os.getpid())))
    except ValueError:
        return None
    return limit_s / 2 if limit_s > 0 and pid == os.getpid() else None
