"""Duplicate identity: two agents that connect with one node's key, at one manager or at several.

Pure. Decides by the connections of the last minutes, in the store's order. If a displaced agent returns and
displaces the other one in turn, both are running; an agent process that a reboot or restart ended never
returns. The same holds if an agent connects from another address while the former one is still connected to
the same manager. Only a machine that loses its power and its address at once is mistaken for two, for some
minutes.

Invariant: keeps a bounded number of occupants, and an agent that merely reconnects changes nothing.
"""

from dataclasses import dataclass, replace
from typing import Final

RIVALS_FOR_S: Final = 600.0
"""Time for which a connection counts: twenty times the pause after which a displaced agent returns."""

OCCUPANTS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Occupant:
    """An agent that connected: its process's identity, its address, and its first connection.

    The time is in unix seconds by the database's clock.
    """

    agent: str
    address: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentAgents:
    """The agents that recently held one node's session, and the last two that did so at once."""

    occupants: tuple[Occupant, ...] = ()
    collision: tuple[Occupant, Occupant] | None = None

    def after(self, agent: str, address: str, now_s: float, *, displaces: bool) -> "RecentAgents":
        """Return the agents after a connection; a reconnecting agent is not counted again.

        `displaces` means that another connection was still open.
        """
        last = self.occupants[-1] if self.occupants else None
        if last is not None and last.agent == agent:
            # writing each reconnection of a fleet would be useless
            moved = replace(last, address=address)
            return self if moved == last else replace(self, occupants=(*self.occupants[:-1], moved))
        newest, collision = Occupant(agent, address, now_s), self.collision
        if last is not None and displaces and last.address != address:
            collision = last, newest
        recent = [each for each in self.occupants if abs(now_s - each.at_s) <= RIVALS_FOR_S]
        kept = recent or list(self.occupants[-1:])
        return RecentAgents(occupants=(*kept[1 - OCCUPANTS_MAX :], newest), collision=collision)

    def rivals(self, now_s: float) -> tuple[str, ...]:
        """Return the addresses of agents that displaced each other, () if none did."""
        recent = [each for each in self.occupants if abs(now_s - each.at_s) <= RIVALS_FOR_S]
        if len({each.agent for each in recent}) == len(recent):
            both = self.collision
            collided = both is not None and abs(now_s - both[1].at_s) <= RIVALS_FOR_S
            return tuple(sorted(each.address for each in both)) if both is not None and collided else ()
        latest = {each.agent: each.address for each in recent}
        return tuple(sorted(latest.values()))
