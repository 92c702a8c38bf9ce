"""Translation between stored values and the manager's own types.

A node's report and its key change are stored whole, in shapes with versions of their own (`REPORT_VERSION`,
`KEY_CHANGE_VERSION`), so a change of the wire, the API or the domain changes no row. A new field has a
default, with which older rows are read. Any other change is a new version; rows of the former one are still
read. Pure.
"""

from typing import Final

import msgspec
from msgspec import Struct, convert, field
from msgspec.structs import replace

from common.bundle.manifest import Slot
from common.bundle.parts import Part
from common.codes import FailureResult, KeyChangeKind, Phase, WaitReason
from common.errors import StorageError
from manager.domain.duplicate_identity import Occupant, RecentAgents
from manager.domain.model import KeyChange, NodeReportRecord

REPORT_VERSION: Final = 1
KEY_CHANGE_VERSION: Final = 1

UNVERSIONED: Final = 1
"""The version of rows without one: they are from before there were versions, in the first shape."""


class StoredApplied(Struct, frozen=True, kw_only=True):
    epoch: int
    generation: int
    digest: str
    leaves: dict[Slot, str] = {}


class StoredFailure(Struct, frozen=True, kw_only=True):
    epoch: int
    generation: int
    digest: str
    result: FailureResult
    phase: Phase
    reason: str
    message: str
    at_s: float
    attempts: int
    retry_after_s: float


class StoredServing(Struct, frozen=True, kw_only=True):
    consumer: str
    endpoint: str
    slot: Slot
    leaf: str
    not_after_s: int = 0
    at_s: float = 0.0
    reason: str = ""
    message: str = ""
    tls: str = ""
    sent: int = 0
    strict_client: str | None = None
    stapled: bool | None = None


class StoredWaiting(Struct, frozen=True, kw_only=True):
    consumer: str
    since_s: float
    reason: WaitReason
    message: str = ""


class StoredConfigurationFault(Struct, frozen=True, kw_only=True):
    code: str
    message: str


class StoredContact(Struct, frozen=True, kw_only=True):
    addresses: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ()


class StoredPartRefused(Struct, frozen=True, kw_only=True):
    part: Part
    digest: str
    reason: str
    message: str = ""
    file: str = ""
    certificate: str = ""
    attempts: int = 1
    retry_after_s: float = 0.0


class StoredPush(Struct, frozen=True, kw_only=True):
    push_id: str
    epoch: int
    generation: int
    digest: str
    leaves: dict[Slot, str]
    changed_s: float
    offered_s: float
    forced: bool
    concluded_s: float | None
    phase: Phase | None
    result: str
    reason: str
    message: str


class StoredReport(Struct, frozen=True, kw_only=True):
    version: int = UNVERSIONED
    node: str
    at_s: float
    last_report_s: float | None = field(default=None, name="heard_s")
    enrolled_s: float | None = None
    awaiting_first_report: bool = False
    applied: StoredApplied | None
    last_failed: StoredFailure | None
    reported_retry_s: float | None = None
    refused: StoredFailure | None = None
    refused_retry_s: float = 0.0
    refused_parts: tuple[StoredPartRefused, ...] = ()
    push: StoredPush | None = None
    agent_version: str = ""
    serving: tuple[StoredServing, ...]
    disk: str
    drifts: int
    clock_skew_s: float
    waiting: tuple[StoredWaiting, ...] = ()
    diagnostics: str = ""
    configuration: tuple[StoredConfigurationFault, ...] = ()
    node_id: int = 0
    address: str = ""
    contact: StoredContact | None = None


class StoredOccupant(Struct, frozen=True, array_like=True):
    agent: str
    address: str
    at_s: float


class StoredSeats(Struct, frozen=True, kw_only=True, omit_defaults=True):
    occupants: tuple[StoredOccupant, ...] = field(default=(), name="greetings")
    collision: tuple[StoredOccupant, StoredOccupant] | None = None


class StoredKeyChange(Struct, frozen=True, kw_only=True):
    version: int = UNVERSIONED
    how: KeyChangeKind
    at_s: float
    address: str
    fingerprint: str
    former: str = ""
    former_address: str = ""


_REPORTS: Final = msgspec.msgpack.Decoder(StoredReport)
_SEATS: Final = msgspec.json.Decoder(StoredSeats)


def encode_report(record: NodeReportRecord) -> bytes:
    """Return the stored form of a node's report."""
    stored = convert(record, StoredReport, from_attributes=True)
    return msgspec.msgpack.encode(replace(stored, version=REPORT_VERSION))


def decode_report(body: bytes) -> NodeReportRecord:
    """Decode a node's report. Raises StorageError for an unknown version."""
    stored = _REPORTS.decode(body)
    _check(stored.version, REPORT_VERSION, "report")
    return convert(stored, NodeReportRecord, from_attributes=True)


def encode_seats(seats: RecentAgents) -> str:
    """Return the stored form of the agents that greeted recently."""
    return msgspec.json.encode(convert(seats, StoredSeats, from_attributes=True)).decode()


def decode_seats(body: str) -> RecentAgents:
    """Decode the agents that greeted recently."""
    stored = _SEATS.decode(body)
    both = [Occupant(each.agent, each.address, each.at_s) for each in stored.collision or ()]
    return RecentAgents(
        occupants=tuple(Occupant(each.agent, each.address, each.at_s) for each in stored.occupants),
        collision=(both[0], both[1]) if both else None,
    )


def encode_key_change(change: KeyChange) -> str:
    """Return the stored form of a key change."""
    stored = convert(change, StoredKeyChange, from_attributes=True)
    return msgspec.json.encode(replace(stored, version=KEY_CHANGE_VERSION)).decode()


def decode_key_change(body: str) -> KeyChange:
    """Decode a key change. Raises StorageError for an unknown version."""
    stored = msgspec.json.decode(body, type=StoredKeyChange)
    _check(stored.version, KEY_CHANGE_VERSION, "key change")
    return convert(stored, KeyChange, from_attributes=True)


def _check(version: int, known: int, what: str) -> None:
    if version != known:
        raise StorageError(
            f"the store has a node's {what} in version {version}, which this manager does not read"
        )
