"""Readiness conditions of the manager.

Decides each condition; `manager.http.health` checks them. Invariant: ready means that the store answers and
this manager is a member, reconciling and alarms advance, and the endpoint serves the installed certificate,
which has not expired.
"""

from collections.abc import Callable
from typing import Final

from common.errors import NotFoundError
from common.ids import NodeName
from manager.domain.view import NodeView
from manager.fleet.fleet import Fleet
from manager.fleet.reconcile import RECONCILE_S
from manager.http.health import Check
from manager.store.store import Store
from manager.usecases.alarm_evaluation import SILENT_S
from manager.usecases.usecases import UseCases

STALE_RECONCILE_S: Final = 2.5 * RECONCILE_S


async def check_own_node(store: Store, name: NodeName) -> None:
    """Check that the store knows this manager's management node. Raises NotFoundError, StorageError."""
    try:
        is_there = (await store.nodes.get(name)).kind == "management"
    except NotFoundError:
        is_there = False
    if not is_there:
        raise NotFoundError(
            f"this manager is node '{name}', which was removed from the store's management nodes. Join this machine again "
            "with an empty directory"
        )


def checks_of(store: Store, fleet: Fleet, use_cases: UseCases) -> list[Check]:
    """Return the health checks."""

    async def store_answers() -> str:
        await store.check()
        return ""

    async def reconcile_advances() -> str:
        text = "reconciling has not advanced for {age_s:.0f} s"
        return _overdue(fleet.reconciler.age_s, STALE_RECONCILE_S, text)

    async def alarms_are_evaluated() -> str:
        return _overdue(
            use_cases.alarms.evaluator.age_s, SILENT_S, "the last alarm evaluation was {age_s:.0f} s ago"
        )

    async def certificate_is_served() -> str:
        return _fault_of_certificate(fleet.node(use_cases.own_node), store.clock())

    async def is_member() -> str:
        return fleet.membership.fault()

    return [
        Check("store", store_answers),
        Check("membership", is_member),
        Check("reconcile", reconcile_advances),
        Check("alarms", alarms_are_evaluated),
        Check("certificate", certificate_is_served),
    ]


def _overdue(read_age_s: Callable[[], float], limit_s: float, text: str) -> str:
    age_s = read_age_s()
    return text.format(age_s=age_s) if age_s > limit_s else ""


def _fault_of_certificate(view: NodeView, now_s: float) -> str:
    if not view.serving:
        return "no certificate has been proven on this endpoint yet"
    seen = view.serving[0]
    if seen.ends_s is not None and seen.ends_s < now_s:
        return "the certificate that this endpoint serves has expired; assign another to the management node"
    slot = view.slots.get("server")
    if slot is None or slot.applied != seen.leaf:
        return "the certificate that this endpoint serves is not the one that was installed"
    return ""
