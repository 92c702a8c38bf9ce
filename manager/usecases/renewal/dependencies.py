"""Dependencies of renewal: what each of its parts is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from manager.domain.renewal.records import ChallengeKind
from manager.usecases.context import Context
from manager.usecases.ports import FleetView
from manager.usecases.renewal.ports import Cas, Showing
from manager.usecases.renewal.removals import Removals


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The use cases' context, CAs, who shows proofs of which kind, what nodes serve, and which proofs are taken away just now."""

    context: Context
    cas: Cas
    showings: Mapping[ChallengeKind, Showing]
    fleet: FleetView
    removals: Removals = field(default_factory=Removals)
