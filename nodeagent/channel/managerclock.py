"""The manager's clock: its time as it sent it last, carried on by this machine's time since boot.

Invariant: no step of this machine's clock moves it.
"""

import time


def since_boot_s() -> float:
    """Return the seconds since boot, with those in which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ManagerClock:
    """Unix seconds by the manager's clock."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None

    def set(self, server_time_s: float) -> None:
        """Take what the manager says it is now."""
        self._ahead_s = server_time_s - since_boot_s()

    def now_s(self) -> float | None:
        """Return its time, None before the manager sent it."""
        return None if self._ahead_s is None else self._ahead_s + since_boot_s()
