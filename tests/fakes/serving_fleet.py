"""A fleet whose nodes serve what is assigned to them, unless a test holds them up. Implements `Fleet` as `FakeFleet` does, and what renewal asks of `FleetView`."""

from collections.abc import Callable

from common.codes import State
from common.errors import NotFoundError
from common.ids import Fingerprint, NodeName
from manager.domain.inventory import Inventory
from manager.domain.view import NodeView, SlotView
from tests.fakes.fleet import FakeFleet


class ServingFleet(FakeFleet):
    """`is_held` says of a node whether it installs nothing now."""

    def __init__(self) -> None:
        super().__init__()
        self.is_held: Callable[[NodeName], bool] = lambda _name: False
        self.serving: dict[NodeName, tuple[Fingerprint, int]] = {}
        self._wanted: dict[NodeName, Fingerprint] = {}

    def settle(self, inventory: Inventory) -> None:
        """Let every node serve what it is to serve."""
        for (name, slot), number in inventory.slots.items():
            leaf = inventory.entries[number].leaf
            if slot != "server":
                continue
            self._wanted[name] = leaf.fingerprint
            if not self.is_held(name):
                self.serving[name] = (leaf.fingerprint, leaf.not_after_s or 0)

    def node(self, name: NodeName) -> NodeView:
        if name not in self._wanted:
            raise NotFoundError(f"there is no node '{name}'")
        leaf = self.serving[name][0] if name in self.serving else None
        return view_of(name, wanted=self._wanted[name], served=leaf)


def view_of(
    name: NodeName, *, wanted: Fingerprint, served: Fingerprint | None, state: State | None = None
) -> NodeView:
    return NodeView(
        name=name,
        kind="node",
        state=state or ("in_sync" if wanted == served else "offline"),
        joined=True,
        connected_at_s=None,
        last_report_at_s=None,
        address="",
        agent_version="",
        desired=None,
        offered=None,
        applied=None,
        slots={"server": SlotView(desired=wanted, offered=wanted, applied=served, serving=served)},
        serving=(),
        last_failed=None,
        drifted=False,
        drifts=0,
        clock_skew_s=0.0,
        waiting=(),
        push=None,
    )
