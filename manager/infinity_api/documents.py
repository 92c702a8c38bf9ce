"""Documents kept unchanged: system locations, the small resources and the platform's settings."""

from collections.abc import Sequence
from functools import partial

from common.errors import NotFoundError
from manager.domain.documents import TakenError
from manager.infinity_api.collection import Made, Rows
from manager.infinity_api.contract.description import Resource, Values
from manager.infinity_api.contract.errors import WHOLE, ValuesError, taken
from manager.infinity_api.contract.filters import Row
from manager.infinity_api.contract.more import check_more
from manager.infinity_api.contract.resources.platform import GLOBAL_ID
from manager.usecases.usecases import UseCases


class Documents:
    """The documents. Secrets are not kept, as nothing here would use them."""

    def __init__(self, resource: Resource, use_cases: UseCases) -> None:
        self.resource = resource
        self._documents = use_cases.documents
        single = tuple((field.name,) for field in resource.writable if field.unique)
        self._unique = single + resource.unique_together

    async def rows(self) -> Rows:
        initial = _initial(self.resource)
        found = await self._documents.all(self.resource.name)
        return {number: {**initial, **body, "id": number} for number, body in found.items()}

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows

    async def create(self, values: Values, *, actor: str) -> Made:
        try:
            number = await self._documents.add(
                self.resource.name, _kept(self.resource, values), unique=self._unique, actor=actor
            )
        except TakenError as error:
            raise self._taken(error) from error
        return Made(object_id=number)

    async def change(self, object_id: int, values: Values, *, actor: str) -> None:
        try:
            await self._documents.change(
                self.resource.name,
                object_id,
                _kept(self.resource, values),
                unique=self._unique,
                check=partial(check_more, self.resource),
                actor=actor,
            )
        except TakenError as error:
            raise self._taken(error) from error

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        await self._documents.delete(self.resource.name, object_ids, actor=actor)

    def _taken(self, error: TakenError) -> ValuesError:
        place = error.fields[0] if len(error.fields) == 1 else WHOLE
        return ValuesError(self.resource.name, {place: [taken(self.resource, *error.fields)]})


class Singleton:
    """The one object of a resource that has exactly one; it is there before anything was set."""

    def __init__(self, resource: Resource, use_cases: UseCases) -> None:
        self.resource = resource
        self._documents = use_cases.documents

    async def rows(self) -> Rows:
        documents = await self._documents.all(self.resource.name)
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
        await self._documents.change_only(
            self.resource.name,
            _kept(self.resource, values),
            check=partial(check_more, self.resource),
            shown_id=object_id,
            actor=actor,
        )

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        """Refuse: the object always exists."""
        raise NotFoundError(f"the {self.resource.name} settings cannot be deleted")


def _initial(resource: Resource) -> Values:
    return {field.name: field.initial for field in resource.writable if not field.secret}


def _kept(resource: Resource, values: Values) -> Values:
    """Return the values to keep: all but secrets."""
    secrets = {field.name for field in resource.fields if field.secret}
    return {name: value for name, value in values.items() if name not in secrets}
