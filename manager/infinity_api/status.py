"""Status resources: the state of nodes, and alarms."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address

from common.api.codes import NodeKind
from common.ids import NodeName
from manager.domain.alarms import AlarmRecord
from manager.domain.inventory import Inventory
from manager.domain.model import NodeRecord
from manager.infinity_api.collection import MadeRows, Rows
from manager.infinity_api.contract.alarms import alarm_level, alarm_name
from manager.infinity_api.contract.description import Resource
from manager.infinity_api.contract.filters import Row
from manager.infinity_api.contract.nodes import status_row
from manager.infinity_api.contract.resources.status import ALARM, ALARM_HISTORY
from manager.infinity_api.documents import Documents
from manager.infinity_api.nodes import location_names, records_of
from manager.usecases.ports import FleetView
from manager.usecases.usecases import UseCases


class NodeStatus:
    """The state of the nodes of a kind, as they reported it."""

    def __init__(
        self,
        resource: Resource,
        kind: NodeKind,
        use_cases: UseCases,
        fleet: FleetView,
        locations: Documents,
    ) -> None:
        self.resource = resource
        self._kind = kind
        self._use_cases = use_cases
        self._fleet = fleet
        self._locations = locations

    async def rows(self) -> Rows:
        inventory, names = await self._use_cases.inventory(), await location_names(self._locations)
        briefs = self._fleet.briefs()
        found = {
            number: (record, briefs[record.name])
            for number, record in records_of(inventory, self._kind).items()
            # either may have been removed a moment ago
            if record.name in briefs
        }
        return MadeRows(found, lambda each: status_row(*each, _location(each[0], names)))

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows


class Alarms:
    """What is wrong now."""

    resource = ALARM

    def __init__(self, use_cases: UseCases) -> None:
        self._use_cases = use_cases

    async def rows(self) -> Rows:
        inventory = await self._use_cases.inventory()
        return _rows(await self._use_cases.alarms.active(), inventory)

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows


class AlarmHistory:
    """What was wrong and what is: clients follow what was raised since, and what was lowered since, here."""

    resource = ALARM_HISTORY

    def __init__(self, use_cases: UseCases) -> None:
        self._use_cases = use_cases

    async def rows(self) -> Rows:
        """Return all that are kept."""
        inventory = await self._use_cases.inventory()
        return _rows(await self._use_cases.alarms.everything(), inventory)

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows


def _location(record: NodeRecord, names: Mapping[int, str]) -> str | None:
    return names.get(record.detail.get("system_location", 0))


def _rows(records: Iterable[AlarmRecord], inventory: Inventory) -> Rows:
    by_id = {record.id: record for record in sorted(records, key=lambda each: each.id)}
    return MadeRows(by_id, lambda record: _row(record, inventory))


def _row(record: AlarmRecord, inventory: Inventory) -> Row:
    node = inventory.nodes.get(NodeName(record.node))
    is_of_management_node = node is not None and node.kind == "management"
    return {
        "id": record.id,
        "identifier": record.spec.number,
        "name": alarm_name(record.subject.kind, of_management_node=is_of_management_node),
        "summary": record.spec.title,
        "level": alarm_level(record),
        "details": record.details,
        "instance": record.label,
        "node": _address(record, node),
        "acknowledged": record.acknowledged_s is not None,
        "time_raised": record.raised_s,
        "time_lowered": record.lowered_s,
    }


def _address(record: AlarmRecord, node: NodeRecord | None) -> str:
    """Return the IPv4 address of an alarm's node; its name if no address is known."""
    found = [text for text in node.addresses if ip_address(text).version == 4] if node is not None else []
    return found[0] if found else record.node
