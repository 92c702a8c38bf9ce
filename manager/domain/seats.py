"""Duplicate identity: two agents that connect with one node's key.

Decides from the greetings of the last minutes. An agent that was displaced by another one, and comes back to displace
that one in turn, shows that both run; a reboot or a restart never comes back.
Invariant: keeps a bounded number of greetings, and forgets them by itself.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

RIVALS_FOR_S: Final = 600.0
"""How long a greeting counts: twenty times the pause after which a displaced agent comes back."""

GREETINGS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Greeting:
    """An agent that connected: what tells its process from others, where it came from, and when (unix seconds)."""

    agent: str
    address: str
    at_s: float


@dataclass(slots=True)
class Seats:
    """The agents that lately sat in one node's seat."""

    _greetings: deque[Greeting] = field(default_factory=lambda: deque(maxlen=GREETINGS_MAX))

    def note(self, agent: str, address: str, now_s: float) -> None:
        """Note a greeting; one agent that reconnects is one greeting."""
        if self._greetings and self._greetings[-1].agent == agent:
            self._greetings.pop()
        self._greetings.append(Greeting(agent, address, now_s))

    def rivals(self, now_s: float) -> tuple[str, ...]:
        """Return the addresses of agents that displaced each other, () if none came back."""
        recent = [each for each in self._greetings if abs(now_s - each.at_s) <= RIVALS_FOR_S]
        counts: dict[str, int] = {}
        for each in recent:
            counts[each.agent] = counts.get(each.agent, 0) + 1
        if max(counts.values(), default=0) < 2:
            return ()
        latest = {each.agent: each.address for each in recent}
        return tuple(sorted(latest.values()))
