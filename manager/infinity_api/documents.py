"""System locations, the small resources and the platform's settings, which are kept as they came."""

from collections.abc import Sequence

from common.errors import NotFoundError
from manager.domain.documents import TakenError
from manager.infinity_api.collection import Made, Rows
from manager.infinity_api.contract.description import Resource, Values
from manager.infinity_api.contract.errors import ValuesError, taken
from manager.infinity_api.contract.more import check_more
from manager.infinity_api.contract.query import Row
from manager.infinity_api.contract.resources.platform import GLOBAL_ID
from manager.usecases.usecases import Operations


class Documents:
    """See the module. What is secret is not kept: nothing here would use it."""

    def __init__(self, resource: Resource, operations: Operations) -> None:
        self.resource = resource
        self._context = operations.context
        self._unique = [field.name for field in resource.fields if field.unique and not field.readonly]

    async def rows(self) -> Rows:
        """Return all."""
        initial = _initial(self.resource)
        found = await self._context.store.documents.all(self.resource.name)
        return {number: {**initial, **body, "id": number} for number, body in found.items()}

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows

    async def create(self, values: Values, *, actor: str) -> Made:
        """Keep one."""
        try:
            async with self._context.store.together():
                number = await self._context.store.documents.add(
                    self.resource.name, _kept(self.resource, values), unique=self._unique
                )
                await self._note("added", [number], actor)
        except TakenError as error:
            raise self._taken(error) from error
        return Made(object_id=number)

    async def change(self, object_id: int, values: Values, *, actor: str) -> None:
        """Change one."""
        store = self._context.store.documents
        try:
            async with self._context.store.together():
                known = (await store.all(self.resource.name)).get(object_id)
                if known is None:
                    raise NotFoundError(f"there is no {self.resource.name} {object_id}")
                changed = {**known, **_kept(self.resource, values)}
                check_more(self.resource, changed)
                await store.replace(self.resource.name, object_id, changed, unique=self._unique)
                await self._note("changed", [object_id], actor)
        except TakenError as error:
            raise self._taken(error) from error

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        """Delete."""
        async with self._context.store.together():
            await self._context.store.documents.delete(self.resource.name, object_ids)
            await self._note("deleted", object_ids, actor)

    def _taken(self, error: TakenError) -> ValuesError:
        return ValuesError(self.resource.name, {error.field: [taken(self.resource, error.field)]})

    async def _note(self, what: str, object_ids: Sequence[int], actor: str) -> None:
        for number in object_ids:
            await self._context.note(actor, f"document.{what}", f"{self.resource.name} {number}")


class Settings:
    """The one object of a resource that has exactly one; it is there before anything was set."""

    def __init__(self, resource: Resource, operations: Operations) -> None:
        self.resource = resource
        self._context = operations.context

    async def rows(self) -> Rows:
        """Return the one."""
        documents = await self._context.store.documents.all(self.resource.name)
        kept = next(iter(documents.values()), {})
        return {GLOBAL_ID: {**_initial(self.resource), **kept, "id": GLOBAL_ID}}

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows

    async def create(self, values: Values, *, actor: str) -> Made:
        """Refuse: there is one already."""
        raise ValuesError(self.resource.name, {"id": [taken(self.resource, "id")]})

    async def change(self, object_id: int, values: Values, *, actor: str) -> None:
        """Set what is given."""
        store, name = self._context.store, self.resource.name
        async with store.together():
            documents = await store.documents.all(name)
            number, kept = next(iter(documents.items()), (None, {}))
            changed = {**kept, **_kept(self.resource, values)}
            check_more(self.resource, changed)
            if number is None:
                await store.documents.add(name, changed)
            else:
                await store.documents.replace(name, number, changed)
            await self._context.note(actor, "document.changed", f"{name} {object_id}")

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        """Refuse: it is always there."""
        raise NotFoundError(f"the {self.resource.name} settings cannot be deleted")


def _initial(resource: Resource) -> Values:
    return {field.name: field.initial for field in resource.writable if not field.secret}


def _kept(resource: Resource, values: Values) -> Values:
    """Return what of these values is kept: all but secrets."""
    secrets = {field.name for field in resource.fields if field.secret}
    return {name: value for name, value in values.items() if name not in secrets}
