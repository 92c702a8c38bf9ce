"""Immediate pushes to one node, some nodes or all."""

from collections.abc import Sequence
from typing import Final

from common.errors import Hint, NotFoundError
from common.ids import NodeName
from manager.domain.view import PlannedPush
from manager.usecases.context import Context
from manager.usecases.generations import GenerationUseCases, PlannedChange

NAMED_MAX: Final = 20
"""Nodes that an audit entry names; beyond that it has their count."""


class PushUseCases:
    def __init__(self, context: Context, generations: GenerationUseCases) -> None:
        self._context = context
        self._generations = generations

    async def push(
        self, nodes: Sequence[NodeName] | None, *, forced: bool, actor: str
    ) -> Sequence[PlannedPush]:
        """Push to these nodes (None: all) now; return for each what was done and why.

        `forced` overrides quarantine, conflict and the shrink guard. It is audited first, because a push
        cannot be undone. Raises NotFoundError.
        """
        where = None if nodes is None else list(dict.fromkeys(nodes))
        known = (await self._context.inventories.current()).nodes
        if unknown := [name for name in where or () if name not in known]:
            raise NotFoundError(f"there is no node '{min(unknown)}'", hint=Hint.LIST_NODES)
        subject = "all nodes" if where is None else ", ".join(where[:NAMED_MAX])
        detail = {"forced": forced, "count": len(known if where is None else where)}
        await self._context.audit(actor, "fleet.pushed", subject, detail)
        return await self._context.fleet.push(where, forced=forced)

    async def plan(self, nodes: Sequence[NodeName] | None, *, forced: bool) -> Sequence[PlannedChange]:
        """Return what `push` would do and change, without doing it. Raises NotFoundError."""
        where = None if nodes is None else list(dict.fromkeys(nodes))
        return await self._generations.changes(await self._context.fleet.plan(where, forced=forced))
