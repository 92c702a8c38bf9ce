"""Reconnection backoff: how long to wait before dialling the manager again.

Decides from the number of failed attempts in a row, or from the manager's request.
Invariant: the attempts of many nodes spread, even if all lost their connections at once.
"""

from collections.abc import Callable
from typing import Final

from common.runtime.supervise import full_jitter

RETRY_FIRST_S: Final = 0.2
RETRY_BASE_S: Final = 0.8
RETRY_CAP_S: Final = 30.0
"""A node is back well within a minute of its manager, and 10,000 of them spread over half a minute."""

RETRY_AFTER_MAX_S: Final = 3600.0


class Backoff:
    """Counts attempts. `uniform` draws a random number between two."""

    def __init__(self, uniform: Callable[[float, float], float]) -> None:
        self._uniform = uniform
        self._attempt = 0

    def reset(self) -> None:
        """Begin again, after a conversation that lasted."""
        self._attempt = 0

    def pause_s(self, retry_after_s: float) -> float:
        """Return how long to wait now. `retry_after_s` is the wait that the manager asked for, 0 for none."""
        if retry_after_s > 0:
            asked_s = min(retry_after_s, RETRY_AFTER_MAX_S)
            return asked_s + self._uniform(0.0, max(1.0, asked_s / 4))
        pause_s = full_jitter(
            self._attempt, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S - RETRY_FIRST_S, uniform=self._uniform
        )
        self._attempt += 1
        return RETRY_FIRST_S + pause_s
