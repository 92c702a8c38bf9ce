"""The service manager's notification socket, as sd_notify(3) describes it. Without one, everything here does nothing."""

import os
import socket

READY = "READY=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"


def notify(*lines: str) -> bool:
    """Send lines such as `READY=1`; return whether there was a socket that took them."""
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
    """Say in one line what the service does now."""
    return notify(f"STATUS={text}")


def watchdog_interval_s() -> float | None:
    """Return how often the watchdog wants to be fed (half its limit), None if there is none for this process."""
    try:
        limit_s = int(os.environ.get("WATCHDOG_USEC", "")) / 1_000_000
        pid = int(os.environ.get("WATCHDOG_PID", str(os.getpid())))
    except ValueError:
        return None
    return limit_s / 2 if limit_s > 0 and pid == os.getpid() else None
