"""Views of many nodes, read without blocking the event loop."""

import contextlib
from collections.abc import Sequence

from common.errors import NotFoundError
from common.ids import NodeName
from common.runtime.long_loops import by_turns
from manager.domain.view import NodeView
from manager.usecases.ports import FleetView


async def views_of(fleet: FleetView, names: Sequence[NodeName]) -> list[NodeView]:
    """Return the current views of these nodes, except for those removed meanwhile."""
    found: list[NodeView] = []
    async for name in by_turns(names):
        with contextlib.suppress(NotFoundError):
            found.append(fleet.node(name))
    return found
