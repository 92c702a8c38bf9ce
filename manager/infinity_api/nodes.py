"""Conferencing Nodes and the Management Node."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias, TypeVar

from common.api.codes import NodeKind
from common.bundle.manifest import Slot
from common.errors import ConflictError, NotFoundError
from common.ids import CertificateId, NodeName
from manager.domain.callers import Maker
from manager.domain.etag import etag_of_node
from manager.domain.inventory import Inventory
from manager.domain.likeness import likeness
from manager.domain.model import NodeRecord
from manager.infinity_api.collection import Made, MadeRows, Rows
from manager.infinity_api.contract.description import Resource, Values
from manager.infinity_api.contract.errors import ValuesError, taken
from manager.infinity_api.contract.filters import Row
from manager.infinity_api.contract.more import check_more
from manager.infinity_api.contract.nodes import describe, kept_values, new_name, node_row
from manager.infinity_api.documents import Documents
from manager.usecases.usecases import UseCases

T = TypeVar("T")

Slots: TypeAlias = Mapping[tuple[NodeName, Slot], CertificateId]


class Nodes:
    """`kind` says which of the two.

    A change of names waits for others (`naming`), so that none is given twice.
    """

    def __init__(
        self,
        resource: Resource,
        kind: NodeKind,
        use_cases: UseCases,
        locations: Documents,
        naming: asyncio.Lock,
    ) -> None:
        self.resource = resource
        self._kind = kind
        self._use_cases = use_cases
        self._locations = locations
        self._naming = naming
        self._seen: tuple[Inventory, Mapping[int, NodeRecord], Slots] | None = None

    async def rows(self) -> Rows:
        inventory = await self._use_cases.inventory()
        locations = await location_names(self._locations)
        if self._seen is None or self._seen[0] is not inventory:
            self._seen = inventory, records_of(inventory, self._kind), _shown_slots(inventory)
        _, records, slots = self._seen
        return MadeRows(records, lambda record: node_row(self.resource, record, slots, locations))

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows

    async def create_to_join(self, values: Values, *, maker: Maker, actor: str) -> Made:
        """Add a node, and return what it needs to join, which is shown once."""
        record, token = await self._add(partial(self._use_cases.nodes.add, maker=maker), values, actor)
        command = f"certcast-nodeagent join {shlex.quote(token.text)}"
        return Made(object_id=record.id, document={"join_token": token.text, "join_command": command})

    async def create(self, values: Values, *, actor: str) -> Made:
        """Add a node for a caller that may not have its join token: the token's texts are present, but empty."""
        record = await self._add(self._use_cases.nodes.add_without_token, values, actor)
        return Made(object_id=record.id, document=dict.fromkeys(self.resource.shown_once, ""))

    async def _add(self, add: Callable[..., Awaitable[T]], values: Values, actor: str) -> T:
        async with self._naming:
            await self._check_unique(values)
            described = describe(self.resource, values)
            filled = {slot: number for slot, number in described.slots.items() if number is not None}
            there = (await self._use_cases.inventory()).nodes
            try:
                return await add(new_name(values, there), replace(described, slots=filled), actor=actor)
            except ConflictError as error:
                # it was added meanwhile by another front end
                raise ValuesError(self.resource.name, {"name": [taken(self.resource, "name")]}) from error

    async def change(self, object_id: int, values: Values, *, actor: str) -> None:
        """Change a node's description and certificates in one step."""
        async with self._naming:
            record, row = await self._record(object_id), (await self.rows()).get(object_id)
            if row is None:
                raise NotFoundError(f"{self.resource.name} {object_id} was deleted a moment ago")
            before = kept_values(self.resource, row)
            whole = {**before, **values}
            check_more(self.resource, whole)
            await self._check_unique(whole, object_id, before)
            described = describe(self.resource, whole, known=record, before=before)
            slots = await self._changed_slots(record, described.slots)
            await self._use_cases.nodes.describe(
                record.name,
                replace(described, slots=slots),
                # omitted fields were filled in from this
                seen=etag_of_node(record),
                actor=actor,
            )

    async def _changed_slots(
        self, record: NodeRecord, wanted: Mapping[Slot, CertificateId | None]
    ) -> Mapping[Slot, CertificateId | None]:
        """Return the slots that are to change: null, which clients read where only the temporary certificate is, leaves it there."""
        inventory = await self._use_cases.inventory()
        held = {slot: inventory.slots.get((record.name, slot)) for slot in wanted}
        temporary = {
            slot
            for slot, number in held.items()
            if number is not None and inventory.entries[number].temporary
        }
        return {
            slot: number for slot, number in wanted.items() if number is not None or slot not in temporary
        }

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        """Remove nodes; their services stay as they are."""
        names = [(await self._record(number)).name for number in dict.fromkeys(object_ids)]
        if names:
            await self._use_cases.nodes.remove(*names, actor=actor)

    async def _record(self, object_id: int) -> NodeRecord:
        inventory = await self._use_cases.inventory()
        for record in inventory.nodes.values():
            if record.id == object_id and record.kind == self._kind:
                return record
        raise NotFoundError(f"there is no {self.resource.name} {object_id}")

    async def _check_unique(
        self, values: Values, own: int | None = None, before: Values | None = None
    ) -> None:
        """Refuse values that another node of either kind has; unchanged values are not checked again.

        Only nodes of the same kind need distinct addresses: the manager may run on a node's machine.
        """
        rows, inventory = await self.rows(), await self._use_cases.inventory()
        # off the loop, because there may be thousands
        findings = await asyncio.to_thread(self._find_taken, values, rows, inventory, own, before)
        if findings:
            raise ValuesError(self.resource.name, findings)

    def _find_taken(
        self, values: Values, rows: Rows, inventory: Inventory, own: int | None, before: Values | None
    ) -> dict[str, list[str]]:
        same = [row for number, row in rows.items() if number != own]
        every = [
            *same,
            *(
                node_row(self.resource, each, inventory.slots, {})
                for each in inventory.nodes.values()
                if each.id not in rows
            ),
        ]
        findings: dict[str, list[str]] = {}
        for fields, others in ((("name",), every), (("address",), same), (("hostname", "domain"), every)):
            mine = tuple(likeness(str(values[name])) for name in fields)
            if before is not None and mine == tuple(likeness(str(before[name])) for name in fields):
                continue
            if any(mine) and any(
                mine == tuple(likeness(str(row[name])) for name in fields) for row in others
            ):
                findings[fields[0]] = [taken(self.resource, *fields)]
        return findings


def records_of(inventory: Inventory, kind: NodeKind) -> Mapping[int, NodeRecord]:
    """Return the nodes of a kind by id, in the order of ids."""
    found = [each for each in inventory.nodes.values() if each.kind == kind]
    return {record.id: record for record in sorted(found, key=lambda each: each.id)}


def _shown_slots(inventory: Inventory) -> Slots:
    """Return which certificate each slot has, as clients see it: a temporary one does not count."""
    temporary = {number for number, entry in inventory.entries.items() if entry.temporary}
    return {place: number for place, number in inventory.slots.items() if number not in temporary}


async def location_names(locations: Documents) -> Mapping[int, str]:
    """Return the locations' names by id."""
    return {number: str(row["name"]) for number, row in (await locations.rows()).items()}
