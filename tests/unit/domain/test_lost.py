"""What memory has of a node and the store has lost: gone where the store is what counts, said anew where the agent is."""

from dataclasses import replace

import pytest

from common.bundle.build import Bundle
from common.bundle.manifest import canonical
from manager.domain.duplicate_identity import RecentAgents
from manager.domain.facts import NodeFacts
from manager.domain.following import follow_generation, forget_lost
from manager.domain.members import Hold, MemberId, NodeState
from manager.domain.model import GenerationRecord, NodeRecord
from manager.domain.node_records import record_of
from tests.bundles import NODE, opaque_bundle
from tests.unit.domain.planning import NOW_S, applied_of, node

OLD, NEW = opaque_bundle("old"), opaque_bundle("new", generation=2)
OTHER = opaque_bundle("another under the same number")
HOLD = Hold(member=MemberId(1), number=7, since_s=NOW_S, address="198.51.100.7", agent_version="0")
RECORD = NodeRecord(
    id=1, name=NODE, kind="node", names=(), addresses=(), public_key="key", created_s=1.0, enrolled_s=1.0
)


def generation_of(bundle: Bundle) -> GenerationRecord:
    manifest = bundle.manifest
    return GenerationRecord(
        node=NODE,
        epoch=manifest.epoch,
        generation=manifest.generation,
        digest=manifest.digest,
        manifest=canonical(manifest),
        created_s=NOW_S,
        cause="test",
    )


def known(bundle: Bundle) -> tuple[NodeFacts, NodeState]:
    """What memory and the store have of a node in sync, whose session is here."""
    facts = node(bundle)
    facts.session, facts.applied = HOLD.number, applied_of(bundle)
    state = NodeState(
        record=RECORD,
        generation=generation_of(bundle),
        report=record_of(facts, NOW_S),
        hold=HOLD,
        is_push_asked=False,
        seats=RecentAgents(),
        left_s=None,
        sightings=(),
    )
    return facts, state


def test_what_the_store_has_is_kept():
    facts, state = known(OLD)
    before = replace(facts)
    assert not forget_lost(facts, state)
    assert facts == before


@pytest.mark.parametrize("left", [OLD, OTHER, None])
def test_a_generation_that_was_lost_is_forgotten_and_the_one_that_is_left_taken(left):
    facts, state = known(NEW if left is OLD else OLD)
    facts.session = 0
    left = replace(state, generation=generation_of(left) if left else None, hold=None)
    assert forget_lost(facts, left)
    follow_generation(facts, left.generation)
    version = facts.desired.version if facts.desired else None
    assert (version and version.digest) == (left.generation and left.generation.digest)


def test_a_generation_that_is_newer_in_the_store_is_no_loss():
    facts, state = known(OLD)
    assert not forget_lost(facts, replace(state, generation=generation_of(NEW)))


def test_a_report_that_was_lost_is_forgotten_unless_the_agent_can_say_it_again():
    facts, state = known(OLD)
    assert forget_lost(facts, replace(state, report=None))
    assert facts.applied is not None
    facts.session = 0
    assert forget_lost(facts, replace(state, report=None, hold=None))
    assert (facts.applied, facts.kept_s) == (None, None)


@pytest.mark.parametrize("hold", [None, replace(HOLD, number=5)])
def test_a_session_that_was_lost_is_told(hold):
    facts, state = known(OLD)
    assert forget_lost(facts, replace(state, hold=hold))
