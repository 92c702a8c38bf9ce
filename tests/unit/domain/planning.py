"""Facts of nodes, and reports about bundles, as the planner's tests need them."""

from common.bundle.build import Bundle
from manager.domain.desired import desired_from
from manager.domain.facts import NodeFacts
from manager.domain.planner import plan_push
from manager.domain.report import (
    Applied,
    Failure,
    Outcome,
    Report,
    Serving,
)
from tests.bundles import NODE

NOW_S = 1000.0


def applied_of(bundle: Bundle) -> Applied:
    manifest = bundle.manifest
    leaves = {slot: facts.leaf for slot, facts in manifest.slots.items()}
    return Applied(
        epoch=manifest.epoch, generation=manifest.generation, digest=manifest.digest, leaves=leaves
    )


def report_of(bundle: Bundle | None, **changes) -> Report:
    if bundle is None:
        return Report(**{"clock_s": NOW_S, **changes})
    seen = tuple(
        Serving(consumer="web", endpoint="127.0.0.1:443", slot=slot, leaf=facts.leaf)
        for slot, facts in bundle.manifest.slots.items()
    )
    given = {"applied": applied_of(bundle), "serving": seen, "disk": bundle.manifest.digest, "clock_s": NOW_S}
    return Report(**{**given, **changes})


def failure_of(bundle: Bundle, retry_after_s: float = 60.0) -> Failure:
    manifest = bundle.manifest
    return Failure(
        epoch=manifest.epoch,
        generation=manifest.generation,
        digest=manifest.digest,
        result="rolled_back",
        phase="verify",
        reason="verify_mismatch",
        message="the old leaf is served",
        at_s=NOW_S,
        attempts=1,
        retry_after_s=retry_after_s,
    )


def outcome_of(bundle: Bundle, push_id: str, report: Report, result: str = "applied") -> Outcome:
    manifest = bundle.manifest
    return Outcome(
        push_id=push_id,
        epoch=manifest.epoch,
        generation=manifest.generation,
        digest=manifest.digest,
        result=result,
        phase="commit",
        report=report,
    )


def node(desired: Bundle | None = None, *, connected: bool = True) -> NodeFacts:
    facts = NodeFacts(name=NODE, kind="node", joined=True)
    if desired is not None:
        facts.desired = desired_from(desired.manifest, NOW_S)
    if connected:
        facts.connect(address="198.51.100.7", agent_version="0", since_s=NOW_S, now_s=NOW_S)
    return facts


def decide(facts: NodeFacts, *, now_s: float = NOW_S, forced: bool = False) -> str:
    return plan_push(facts, now_s=now_s, forced=forced).action
