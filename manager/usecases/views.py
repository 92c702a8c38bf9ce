"""Views of many nodes, without holding up whoever else has a turn."""

import contextlib
from collections.abc import Sequence

from common.errors import NotFoundError
from common.ids import NodeName
from common.runtime.long_loops import by_turns
from manager.domain.view import NodeView
from manager.usecases.ports import FleetView


async def views_of(fleet: FleetView, names: Sequence[NodeName]) -> list[NodeView]:
    """Return these nodes as they are; those that were removed meanwhile are left out."""
    found: list[NodeView] = []
    async for name in by_turns(names):
        with contextlib.suppress(NotFoundError):
            found.append(fleet.node(name))
    return found
