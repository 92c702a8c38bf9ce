"""Duplicate identity: two agents that connect with one node's key, at one manager or at several.

Decides from who connected in the last minutes, in the order in which the store has them. An agent that was displaced by another one, and comes
back to displace that one in turn, shows that both run; a reboot or a restart never comes back. So does an agent that greets from another address
while the former one is still connected to the same manager: only a machine that lost its power and its address at once is taken for two, for some
minutes. Pure. Invariant: keeps a bounded number of occupants, and an agent that only reconnects changes nothing.
"""

from dataclasses import dataclass, replace
from typing import Final

RIVALS_FOR_S: Final = 600.0
"""How long a greeting counts: twenty times the pause after which a displaced agent comes back."""

OCCUPANTS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Occupant:
    """An agent that connected: what tells its process from others, where it came from, and when first (unix seconds, by the database's clock)."""

    agent: str
    address: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentAgents:
    """The agents that lately sat in one node's seat, and the two of them that were last seen there at once."""

    occupants: tuple[Occupant, ...] = ()
    collision: tuple[Occupant, Occupant] | None = None

    def after(self, agent: str, address: str, now_s: float, *, displaces: bool) -> "RecentAgents":
        """Return what they are after a greeting, and whether it `displaces` one that is still connected; one agent that reconnects is one."""
        last = self.occupants[-1] if self.occupants else None
        if last is not None and last.agent == agent:
            # a write for each reconnection of a fleet would tell nobody anything
            moved = replace(last, address=address)
            return self if moved == last else replace(self, occupants=(*self.occupants[:-1], moved))
        newest, collision = Occupant(agent, address, now_s), self.collision
        if last is not None and displaces and last.address != address:
            collision = last, newest
        recent = [each for each in self.occupants if abs(now_s - each.at_s) <= RIVALS_FOR_S]
        kept = recent or list(self.occupants[-1:])
        return RecentAgents(occupants=(*kept[1 - OCCUPANTS_MAX :], newest), collision=collision)

    def rivals(self, now_s: float) -> tuple[str, ...]:
        """Return the addresses of agents that displaced each other, () if none came back."""
        recent = [each for each in self.occupants if abs(now_s - each.at_s) <= RIVALS_FOR_S]
        if len({each.agent for each in recent}) == len(recent):
            both = self.collision
            collided = both is not None and abs(now_s - both[1].at_s) <= RIVALS_FOR_S
            return tuple(sorted(each.address for each in both)) if both is not None and collided else ()
        latest = {each.agent: each.address for each in recent}
        return tuple(sorted(latest.values()))
