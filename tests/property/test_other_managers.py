"""Whatever a node says, and whatever its manager does, another manager that reads what was kept shows the node alike."""

import random
from collections.abc import Callable
from dataclasses import fields

import pytest

from manager.domain.alarms import conditions_of_nodes
from manager.domain.clocks import SKEW_KEPT_S
from manager.domain.desired import desired_from
from manager.domain.duplicate_identity import RecentAgents
from manager.domain.facts import NodeFacts
from manager.domain.following import (
    desire,
    follow_past,
    follow_report,
    hold_elsewhere,
    hold_here,
    release_elsewhere,
)
from manager.domain.members import Hold, MemberId, NodeState
from manager.domain.model import NodeRecord
from manager.domain.node_records import record_of
from manager.domain.planner import plan_push
from manager.domain.report import ConfigurationFault, PartRefused, Progress, Rejected, Report, Waiting
from manager.domain.view import NodeView
from manager.domain.view_of_facts import view_of
from tests.bundles import NODE, opaque_bundle
from tests.unit.domain.planning import NOW_S, failure_of, outcome_of, report_of

CLOSE = {"last_report_at_s", "clock_skew_s"}
"""What other managers know to within a minute, and to within SKEW_KEPT_S."""

BUNDLES = [opaque_bundle(f"leaf {number}", generation=number) for number in range(1, 6)]
KINDS = ["greet", "report", "publish", "progress", "reject", "end", "overdue", "leave", "publish", "reject"]
SKEWS_S = [0.0, 20.0, 31.0, 290.0, 310.0, 3600.0]
STEPS = 60


def some_report(chance: random.Random, now_s: float) -> Report:
    failed = chance.choice([None, None, *BUNDLES])
    return report_of(
        chance.choice([None, *BUNDLES]),
        last_failed=failure_of(failed) if failed is not None else None,
        refused=(PartRefused(part="trust", digest="d", reason="parse"),) * chance.randrange(2),
        configuration=(ConfigurationFault(code="services_invalid", message="?"),) * chance.randrange(2),
        waiting=(Waiting(consumer="web", since_s=NOW_S, reason="window"),) * chance.randrange(2),
        drifts=chance.randrange(2),
        clock_s=now_s + chance.choice(SKEWS_S),
    )


class Two:
    """A manager that has a node's session now and then, and one that only reads what is kept: the store, as far as it goes."""

    def __init__(self) -> None:
        self.here, self.there = (NodeFacts(name=NODE, kind="node", joined=True) for _ in range(2))
        self.now_s = NOW_S
        self.published = 0
        self.is_told = True
        self.record = None
        self.hold: Hold | None = None
        self.left_s: float | None = None

    def keep(self) -> None:
        self.is_told = True
        self.record = record_of(self.here, self.now_s)

    def act(self, kind: str, report: Report, result: str) -> None:
        steps: dict[str, Callable[[], None]] = {
            "publish": self.publish,
            "leave": self.leave,
        }
        if kind == "greet":
            self.greet(report)
        elif kind in steps:
            steps[kind]()
        elif self.hold is not None:
            self.say(kind, report, result)

    def greet(self, report: Report) -> None:
        self.hold = Hold(
            member=MemberId(1), number=1, since_s=self.now_s, address="192.0.2.7", agent_version="2"
        )
        hold_here(self.here, 1, monotonic_s=self.now_s, now_s=self.now_s)
        self.here.connect(address="192.0.2.7", agent_version="2", since_s=self.hold.since_s, now_s=self.now_s)
        self.here.apply_report(report, self.now_s)
        self.keep()

    def publish(self) -> None:
        if self.published < len(BUNDLES):
            for facts in (self.here, self.there):
                desire(facts, desired_from(BUNDLES[self.published].manifest, self.now_s))
            self.published += 1

    def offer(self, *, is_slow: bool) -> None:
        """Offer at once what is to be offered, as the fleet does after every step; what is slow is told."""
        if self.hold is not None and plan_push(self.here, now_s=self.now_s).action == "push":
            self.here.offer(f"p{self.now_s}", self.here.desired, self.now_s)
            self.is_told = False
            if is_slow:
                self.keep()

    def leave(self) -> None:
        if self.hold is None:
            return
        self.hold, self.left_s = None, self.here.last_report_s
        if self.here.is_pushing:
            self.here.lose_push(self.now_s)
            self.keep()
        self.here.disconnect(self.now_s)

    def say(self, kind: str, report: Report, result: str) -> None:
        here, push = self.here, self.here.push
        if kind == "report":
            if here.apply_report(report, self.now_s):
                self.keep()
        elif push is None or not here.is_pushing:
            return
        elif kind == "progress":
            here.progress(Progress(push_id=push.push_id, phase="reload"))
            self.keep()
        elif kind == "reject":
            message = Rejected(
                push_id=push.push_id, reason="stale_generation", message="?", retry_after_s=5.0
            )
            if here.conclude(message, self.now_s):
                self.keep()
        elif kind == "end":
            bundle = BUNDLES[push.version.generation - 1]
            here.conclude(outcome_of(bundle, push.push_id, report, result), self.now_s)
            self.keep()
        elif kind == "overdue":
            here.overdue(push.push_id, "want", self.now_s)
            self.keep()
            self.leave()

    def follow(self) -> None:
        """Let the other manager look, in the order of its follower."""
        state = NodeState(
            record=NodeRecord(
                id=1,
                name=NODE,
                kind="node",
                names=(),
                addresses=(),
                public_key="",
                created_s=0.0,
                enrolled_s=None,
            ),
            generation=None,
            report=self.record,
            hold=self.hold,
            is_push_asked=False,
            seats=RecentAgents(),
            left_s=self.left_s,
            sightings=(),
        )
        follow_report(self.there, self.record)
        if self.hold is None:
            release_elsewhere(self.there, self.now_s)
            follow_past(self.there, state)
            follow_past(self.here, state)
        else:
            hold_elsewhere(self.there, self.hold)


def shown(view: NodeView, untold: set[str]) -> dict[str, object]:
    return {each.name: getattr(view, each.name) for each in fields(view) if each.name not in CLOSE | untold}


@pytest.mark.parametrize("seed", range(40))
def test_another_manager_shows_the_same_of_a_node(seed: int):
    chance, two = random.Random(seed), Two()
    for _ in range(STEPS):
        two.now_s += chance.choice([1.0, 10.0, 400.0])
        kind, result = chance.choice(KINDS), chance.choice(["applied", "rolled_back", "failed"])
        two.act(kind, some_report(chance, two.now_s), result)
        two.offer(is_slow=chance.random() < 0.5)
        two.follow()
        check(two, kind)


def check(two: Two, kind: str) -> None:
    here, there = view_of(two.here, two.now_s), view_of(two.there, two.now_s)
    untold = set() if two.is_told else {"push", "offered", "slots"}
    is_retry = there.desired is not None and there.offered == there.desired
    if not two.is_told and (is_retry or there.awaits_success):
        # what is tried again is told to be under way a moment later, as what takes long is
        untold.add("state")
    assert shown(there, untold) == shown(here, untold), kind
    assert abs(there.clock_skew_s - here.clock_skew_s) <= SKEW_KEPT_S
    if two.hold is None:
        assert there.last_report_at_s == here.last_report_at_s
    else:
        assert there.last_report_at_s is not None
        assert there.last_report_at_s >= two.hold.since_s
    if "state" not in untold:
        assert conditions_of_nodes([there]) == conditions_of_nodes([here])
    if two.is_told:
        plans = [plan_push(facts, now_s=two.now_s) for facts in (two.here, two.there)]
        assert plans[0] == plans[1]


def test_a_node_that_connected_to_another_manager_was_seen_then():
    facts = NodeFacts(name=NODE, kind="node", joined=True)
    facts.last_report_s = NOW_S - 3600
    hold_elsewhere(facts, Hold(member=MemberId(1), number=3, since_s=NOW_S, address="", agent_version="1"))
    assert view_of(facts, NOW_S).last_report_at_s == facts.connected_s == NOW_S
