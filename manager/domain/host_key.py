"""Host key replacement: its states, and the steps between them. Pure.

The order is steady -> announced -> switched -> steady; an announcement can be abandoned, and a switch undone.
Invariant: at every moment the manager can prove any key that may be the only one known to a node that
followed its announcements.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from common.codes import HostKeyState
from common.errors import ConflictError
from common.ids import NodeName
from manager.domain.view import NodeView

Step = Literal["announce", "abandon", "switch", "return", "drop"]

_LEADS: Final[dict[tuple[HostKeyState, Step], HostKeyState]] = {
    ("steady", "announce"): "announced",
    ("announced", "abandon"): "steady",
    ("announced", "switch"): "switched",
    ("switched", "return"): "announced",
    ("switched", "drop"): "steady",
}
_STANDS: Final[dict[HostKeyState, str]] = {
    "steady": "no other host key is announced",
    "announced": "the next host key is announced and not in use yet",
    "switched": "the next host key is in use and the former one is not dropped yet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKeys:
    """The presented key and the other one, "" for none, as public key lines.

    `since_s` is when the key was first presented, in unix seconds by the store's clock.
    """

    state: HostKeyState
    presented: str
    other: str = ""
    since_s: float = 0.0

    @property
    def newer(self) -> str:
        """The key that nodes must know in the end."""
        return self.other if self.state == "announced" else self.presented

    @property
    def announced(self) -> tuple[str, ...]:
        """The keys that nodes are told to pin, the presented one first."""
        return (self.presented, self.other) if self.other else (self.presented,)


def after(state: HostKeyState, step: Step) -> HostKeyState:
    """Return the state after a step. Raises ConflictError if the step is not possible now."""
    try:
        return _LEADS[state, step]
    except KeyError:
        raise ConflictError(f"this is not the turn of that step: {_STANDS[state]}") from None


def find_unconfirmed(views: Iterable[NodeView], keys: HostKeys) -> list[NodeName]:
    """Return the joined nodes that have not confirmed the newer key, or saw no proof of it in their session."""
    return [
        view.name
        for view in views
        if view.joined
        and view.kind == "node"
        and (keys.newer not in (view.manager_host_keys or ()) or _is_older(view, keys))
    ]


def _is_older(view: NodeView, keys: HostKeys) -> bool:
    """Whether a node connected before the newer key was presented: its agent would not forget the former one."""
    return keys.state == "switched" and view.connected_at_s is not None and view.connected_at_s < keys.since_s
