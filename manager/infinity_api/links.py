"""Links between objects: their targets, whether these exist, and which objects are protected by a link.

A link to a removed object reads as null, and a required link protects its target.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from manager.infinity_api.collection import Collection, Rows, Writable
from manager.infinity_api.contract.description import Field, Resource, Values, root_path
from manager.infinity_api.contract.errors import WHOLE, ValuesError
from manager.infinity_api.contract.filters import Row
from manager.infinity_api.contract.values import write_object

Linked: TypeAlias = Mapping[str, tuple[Resource, Rows]]
"""The targets of a resource's links, by the name of the field."""


class Links:
    """The links among all collections."""

    def __init__(self, readable: Iterable[Collection], writable: Sequence[Writable]) -> None:
        self._readable = {each.resource.path: each for each in readable}
        self._writable = writable

    async def targets(self, resource: Resource) -> Linked:
        """Return the objects that a resource's links may point to, of kinds kept here."""
        found: dict[str, tuple[Resource, Rows]] = {}
        known: dict[str, tuple[Resource, Rows]] = {}
        for field in resource.shown:
            path = _path(field)
            # certificates are never linked to when they are gone, and are many
            if not field.related or path not in self._readable or field.related == "tls_certificate":
                continue
            if path not in found:
                collection = self._readable[path]
                found[path] = collection.resource, await collection.rows()
            known[field.name] = found[path]
        return known

    async def check(self, resource: Resource, values: Values) -> None:
        """Check that what these values refer to is there. Raises ValuesError."""
        findings: dict[str, list[str]] = {}
        for field in resource.writable:
            value, path = values.get(field.name), _path(field)
            if not field.related or not value or path not in self._readable:
                continue
            rows = await self._readable[path].rows()
            missing = [each for each in (value if isinstance(value, list) else [value]) if each not in rows]
            if missing:
                findings[field.name] = [f"There is no {path}{each}/." for each in missing]
        if findings:
            raise ValuesError(resource.name, findings)

    async def check_unused(self, resource: Resource, object_ids: Iterable[int]) -> None:
        """Check that no object would lose a required link. Raises ValuesError."""
        gone = set(object_ids)
        for collection in self._writable:
            other = collection.resource
            needed = [
                field.name for field in other.fields if field.related == resource.name and field.is_required
            ]
            if not needed or not gone:
                continue
            users = [
                _label(other, row)
                for row in (await collection.rows()).values()
                if any(row.get(name) in gone for name in needed)
            ]
            if users:
                named = ", ".join(users[:5])
                raise ValuesError(
                    resource.name, {WHOLE: [f"Still used by {other.name} {named}; move these first."]}
                )


def resolve_links(resource: Resource, row: Row, linked: Linked) -> Row:
    """Return a row for answers: whole objects for nested links, null for links to removed ones."""
    changed: dict[str, Any] = {}
    for name, (other, rows) in linked.items():
        field, value = resource.by_name[name], row.get(name)
        if field.is_many and isinstance(value, list):
            there = [number for number in value if number in rows]
            changed[name] = [write_object(other, rows[number]) for number in there] if field.nested else there
        elif isinstance(value, int) and value not in rows:
            changed[name] = None
    return {**row, **changed} if changed else row


def _path(field: Field) -> str:
    return f"{root_path(field.related_namespace)}{field.related}/"


def _label(resource: Resource, row: Row) -> str:
    """Return an object's name for people: the first of its unique fields."""
    names = [field.name for field in resource.fields if field.unique and not field.readonly]
    return str(row[names[0] if names else "id"])
