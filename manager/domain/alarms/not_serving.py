"""A node's service that serves a different certificate from the installed one."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_node, alarming_state, with_refusals
from manager.domain.alarms.kinds import OUT_OF_SYNC_S, AlarmKind, Condition, node_spec
from manager.domain.report import Serving
from manager.domain.view import NodeView, is_stale


def _find(view: NodeView) -> Iterable[Condition]:
    if alarming_state(view) == "not_serving":
        yield about_node(view.name, AlarmKind.NOT_SERVING, with_refusals(view, _details(view)))


def _details(view: NodeView) -> str:
    excused, down = view.excused, {each.consumer: each.message for each in view.waiting}
    stale = [seen for seen in view.serving if _is_stale(view, seen) and seen.consumer not in excused]
    named = ", ".join(f"{seen.consumer} at {seen.endpoint}" for seen in stale[:5]) or "A service"
    several = len(stale) > 1
    if stale and all(seen.leaf for seen in stale):
        what = f"{'serve' if several else 'serves'} a different certificate from the one installed"
    else:
        what = f"{'do' if several else 'does'} not serve the installed certificate"
    why = "".join(f" {down[name]}." for name in sorted({seen.consumer for seen in stale} & down.keys()))
    return f"{named} {what}.{why}"


def _is_stale(view: NodeView, seen: Serving) -> bool:
    facts = view.slots.get(seen.slot)
    return facts is not None and is_stale(seen, facts.applied or "")


SPEC: Final = node_spec(AlarmKind.NOT_SERVING, 8, "error", _find, delay_s=OUT_OF_SYNC_S)
