"""Conferencing platform resources: Certcast has none of them, and locations have only nodes."""

from collections.abc import Sequence

from common.errors import NotFoundError
from common.ids import NodeName
from manager.infinity_api.collection import Rows
from manager.infinity_api.contract.description import Resource
from manager.infinity_api.contract.filters import Row
from manager.infinity_api.contract.resources.conferencing import LICENCES, LICENSING
from manager.infinity_api.contract.resources.status import LOCATION_STATUS
from manager.infinity_api.documents import Documents
from manager.usecases.ports import FleetView
from manager.usecases.usecases import UseCases


class EmptyCollection:
    """The objects of a resource that never has any."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    async def rows(self) -> Rows:
        return {}

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows


class Licensing:
    """One object of zeros."""

    resource = LICENSING

    async def rows(self) -> Rows:
        counts = {f"{name}_{what}": 0 for name in LICENCES for what in ("count", "total")}
        return {1: {"id": 1, **counts, "customlayouts_active": False}}

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows


class LocationStatus:
    """Locations with the number of their nodes."""

    resource = LOCATION_STATUS

    def __init__(self, use_cases: UseCases, fleet: FleetView, locations: Documents) -> None:
        self._use_cases = use_cases
        self._fleet = fleet
        self._locations = locations

    async def rows(self) -> Rows:
        inventory = await self._use_cases.inventory()
        total: dict[int, int] = {}
        active: dict[int, int] = {}
        for record in inventory.nodes.values():
            place = record.detail.get("system_location")
            if not isinstance(place, int):
                continue
            total[place] = total.get(place, 0) + 1
            active[place] = active.get(place, 0) + self._is_connected(record.name)
        return {
            number: {
                "id": number,
                "name": row["name"],
                "description": row["description"],
                "total_nodes": total.get(number, 0),
                "active_nodes": active.get(number, 0),
            }
            for number, row in (await self._locations.rows()).items()
        }

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows

    def _is_connected(self, name: NodeName) -> bool:
        try:
            return self._fleet.node(name).connected_at_s is not None
        except NotFoundError:
            # removed a moment ago
            return False
