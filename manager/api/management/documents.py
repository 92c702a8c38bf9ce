"""System locations and the small resources, which are kept as they came."""

from collections.abc import Sequence

from common.errors import NotFoundError
from manager.api.management.collection import Made, Rows
from manager.management.description import Resource, Values
from manager.management.query import Row
from manager.operations.operations import Operations


class Documents:
    """See the module. What is secret is not kept: nothing here would use it."""

    def __init__(self, resource: Resource, operations: Operations) -> None:
        self.resource = resource
        self._context = operations.context
        self._unique = [field.name for field in resource.fields if field.unique and not field.readonly]

    async def rows(self) -> Rows:
        """Return all."""
        initial = {field.name: field.initial for field in self.resource.writable if not field.secret}
        found = await self._context.store.documents.all(self.resource.name)
        return {number: {**initial, **body, "id": number} for number, body in found.items()}

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows

    async def create(self, values: Values, *, actor: str) -> Made:
        """Keep one."""
        async with self._context.store.together():
            number = await self._context.store.documents.add(
                self.resource.name, self._kept(values), unique=self._unique
            )
            await self._note("added", [number], actor)
        return Made(object_id=number)

    async def change(self, object_id: int, values: Values, *, actor: str) -> None:
        """Change one."""
        store = self._context.store.documents
        async with self._context.store.together():
            known = (await store.all(self.resource.name)).get(object_id)
            if known is None:
                raise NotFoundError(f"there is no {self.resource.name} {object_id}")
            await store.replace(
                self.resource.name, object_id, {**known, **self._kept(values)}, unique=self._unique
            )
            await self._note("changed", [object_id], actor)

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        """Delete."""
        async with self._context.store.together():
            await self._context.store.documents.delete(self.resource.name, object_ids)
            await self._note("deleted", object_ids, actor)

    def _kept(self, values: Values) -> Values:
        return {name: value for name, value in values.items() if not self.resource.by_name[name].secret}

    async def _note(self, what: str, object_ids: Sequence[int], actor: str) -> None:
        for number in object_ids:
            await self._context.note(actor, f"document.{what}", f"{self.resource.name} {number}")
