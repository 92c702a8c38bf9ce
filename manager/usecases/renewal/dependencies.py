"""Dependencies shared by the parts of renewal."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from manager.domain.renewal.records import ChallengeKind
from manager.usecases.context import Context
from manager.usecases.ports import FleetView
from manager.usecases.renewal.ports import Cas, Showing
from manager.usecases.renewal.removals import Removals


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Context of the use cases, CAs, challenge providers by kind, served certificates and running removals."""

    context: Context
    cas: Cas
    showings: Mapping[ChallengeKind, Showing]
    fleet: FleetView
    removals: Removals = field(default_factory=Removals)
