"""Pushing at once: to one node, some, or all."""

from collections.abc import Sequence
from typing import Final

from common.ids import NodeName, node_name
from manager.domain.view import PlannedPush
from manager.operations.context import Context
from manager.operations.generations import GenerationOperations, PlannedChange

NAMED_MAX: Final = 20
"""Nodes that the audit log names; of more it has the count."""


class PushOperations:
    """See the module."""

    def __init__(self, context: Context, generations: GenerationOperations) -> None:
        self._context = context
        self._generations = generations

    async def push(self, nodes: Sequence[str] | None, *, forced: bool, actor: str) -> Sequence[PlannedPush]:
        """Push to these nodes (None: all) now; say of each what was done and why.

        `forced` overrides quarantine, conflict and the shrink guard. Raises InvalidInputError, NotFoundError.
        """
        where = _checked(nodes)
        done = await self._context.fleet.push(where, forced=forced)
        subject = "all nodes" if where is None else ", ".join(where[:NAMED_MAX])
        await self._context.note(actor, "fleet.pushed", subject, {"forced": forced, "count": len(done)})
        return done

    async def plan(self, nodes: Sequence[str] | None, *, forced: bool) -> Sequence[PlannedChange]:
        """Say what `push` would do and what that would change, and do nothing. Raises InvalidInputError, NotFoundError."""
        return await self._generations.changes(await self._context.fleet.plan(_checked(nodes), forced=forced))


def _checked(nodes: Sequence[str] | None) -> list[NodeName] | None:
    return None if nodes is None else [node_name(name) for name in nodes]
