"""Duplicate identity: two agents that connect with one node's key.

Decides from the greetings of the last minutes. An agent that was displaced by another one, and comes back to displace
that one in turn, shows that both run; a reboot or a restart never comes back. So does an agent that greets from another address while
the former one is still connected: only a machine that lost its power and its address at once is taken for two, for some minutes.
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

    _collision: tuple[Greeting, Greeting] | None = None

    def note(self, agent: str, address: str, now_s: float, *, displaces: bool) -> None:
        """Note a greeting, and whether it `displaces` one that is still connected; one agent that reconnects is one greeting."""
        last = self._greetings[-1] if self._greetings else None
        if last is not None and last.agent == agent:
            self._greetings.pop()
        elif last is not None and displaces and last.address != address:
            self._collision = last, Greeting(agent, address, now_s)
        self._greetings.append(Greeting(agent, address, now_s))

    def rivals(self, now_s: float) -> tuple[str, ...]:
        """Return the addresses of agents that displaced each other, () if none came back."""
        recent = [each for each in self._greetings if abs(now_s - each.at_s) <= RIVALS_FOR_S]
        counts: dict[str, int] = {}
        for each in recent:
            counts[each.agent] = counts.get(each.agent, 0) + 1
        if max(counts.values(), default=0) < 2:
            both = self._collision
            collided = both is not None and abs(now_s - both[1].at_s) <= RIVALS_FOR_S
            return tuple(sorted(each.address for each in both)) if both is not None and collided else ()
        latest = {each.agent: each.address for each in recent}
        return tuple(sorted(latest.values()))
