"""Manual pushes: an operator's immediate pushes, at whichever manager has the nodes' sessions.

`manager.domain.planner` decides their content. Invariant: a manual push differs from others only in when the
planner is asked.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from common.bundle.manifest import Manifest
from common.ids import NodeName
from common.runtime.long_loops import by_turns
from manager.domain.planner import preview_push
from manager.domain.view import PlannedPush, Previews
from manager.fleet.following import Follower
from manager.fleet.publisher import Publisher
from manager.fleet.pushes import Pushes
from manager.fleet.registry import Registry
from manager.store.store import Store


class ManualPushes:
    """Pushes on request. `own_node` is this manager's."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        *,
        publisher: Publisher,
        pushes: Pushes,
        follower: Follower,
        own_node: NodeName,
    ) -> None:
        self._store = store
        self._registry = registry
        self._publisher = publisher
        self._pushes = pushes
        self._follower = follower
        self._own_node = own_node

    async def push(self, nodes: Sequence[NodeName] | None, *, forced: bool) -> list[PlannedPush]:
        """Publish and push now; return what was done for each node, and why.

        Raises NotFoundError, StorageError.
        """
        await self._follower.catch_up_with_others()
        chosen = self._registry.choose(nodes)
        published = await self._publisher.publish(
            chosen, cause="manual push", changed_s=self._store.clock(), forced=forced, everybodys=True
        )
        plans = await self._pushes.pursue_each(chosen, forced=forced)
        await self._ask_others(plans, forced=forced)
        return [
            replace(plan, action="publish_and_push")
            if plan.node in published and plan.action == "push"
            else plan
            for plan in plans
        ]

    async def plan(self, nodes: Sequence[NodeName] | None, *, forced: bool) -> Previews:
        """Return what `push` would do, without doing it. Raises NotFoundError, StorageError."""
        await self._follower.catch_up_with_others()
        chosen, now_s = self._registry.choose(nodes), self._store.clock()
        news, bodies = await self._publisher.preview(chosen, now_s=now_s, forced=forced)
        previews = [
            preview_push(facts, news.get(facts.name), now_s=now_s, forced=forced)
            async for facts in by_turns(chosen)
        ]
        return Previews(nodes=previews, bodies=bodies)

    async def republish(
        self, name: NodeName, number: int, *, note: Callable[[int, Manifest | None], Awaitable[None]]
    ) -> PlannedPush:
        """Publish the content of a node's older generation again, push it now, and return what was done.

        It stays until the node's assigned content changes. `note` as for the compiler. Raises NotFoundError,
        ConflictError, StorageError.
        """
        facts = self._registry.get(name)
        desired = await self._publisher.republish(facts, number, note=note)
        plan = self._pushes.pursue(facts)
        await self._ask_others([plan], forced=False)
        return replace(
            plan,
            generation=desired.version.generation,
            action="publish_and_push" if plan.action == "push" else plan.action,
        )

    async def _ask_others(self, plans: Iterable[PlannedPush], *, forced: bool) -> None:
        """Leave the pushes of nodes held elsewhere to their managers.

        Forced ones all go there, as the conflict to override may not be known here yet.
        """
        names = [
            plan.node
            for plan in plans
            if (forced or plan.action == "push")
            and (facts := self._registry.find(plan.node))
            and facts.elsewhere
        ]
        if names:
            await self._store.asked_pushes.ask(names, is_forced=forced, asked_by=self._own_node)
