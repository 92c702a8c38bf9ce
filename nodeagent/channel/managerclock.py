"""The manager's clock: its last sent time, advanced by this machine's time since boot.

Invariant: steps of this machine's clock do not move it.
"""

import time


def since_boot_s() -> float:
    """Return the seconds since boot, including suspended time."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ManagerClock:
    """Unix seconds by the manager's clock."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None

    def set(self, server_time_s: float) -> None:
        """Set the manager's present time."""
        self._ahead_s = server_time_s - since_boot_s()

    def now_s(self) -> float | None:
        """Return the manager's time, None before it has sent one."""
        return None if self._ahead_s is None else self._ahead_s + since_boot_s()
