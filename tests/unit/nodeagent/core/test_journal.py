import json

import pytest

from common.bundle.manifest import Manifest
from common.errors import InstallError, Reason
from nodeagent.core import steps
from nodeagent.core.journal import (
    Attempt,
    Cause,
    Journal,
    decode_journal,
    encode_journal,
    version_of,
)
from nodeagent.core.plan import due, used_digest
from nodeagent.core.recovery import Forget, Idle, Resume, RollBack, recover
from nodeagent.core.services import Consumer
from tests.bundles import opaque_bundle

OLD = opaque_bundle("old", generation=1).manifest
NEW = opaque_bundle("new", generation=2).manifest
WEB = Consumer(name="web", uses=("server",), reload=("/x",), timeout_s=1, verify_timeout_s=1, endpoints=())
CLIENT = Consumer(name="ldap", uses=("trust",), reload=("/x",), timeout_s=1, verify_timeout_s=1, endpoints=())
CAUSE = Cause(phase="verify", reason="verify_mismatch", message="the old leaf is served")


def attempt(manifest: Manifest, directory: str) -> Attempt:
    return Attempt(push_id="p", directory=directory, version=version_of(manifest), started_s=100)


@pytest.fixture
def running() -> Journal:
    """A node that runs the old generation, proven on both consumers."""
    journal = steps.begin(Journal(), attempt(OLD, "1-000001"), [WEB, CLIENT])
    return steps.commit(journal, OLD, [WEB, CLIENT], now_s=101, reloads=2)


@pytest.fixture
def switching(running) -> Journal:
    return steps.begin(running, attempt(NEW, "1-000002"), [WEB])


def test_what_is_written_is_read_back(switching):
    assert decode_journal(encode_journal(switching)) == switching


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"stat": 1}', b"\xff"])
def test_a_damaged_journal_is_named_as_such(raw):
    with pytest.raises(InstallError) as refused:
        decode_journal(raw)
    assert refused.value.reason == Reason.PARSE


def test_a_newer_agents_journal_is_not_guessed_at():
    with pytest.raises(InstallError) as refused:
        decode_journal(b'{"format": 2}')
    assert refused.value.reason == Reason.UNSUPPORTED


def test_the_file_keeps_the_names_that_other_versions_of_the_agent_read():
    assert sorted(json.loads(encode_journal(Journal()))) == [
        *("applied", "attempt", "cause", "directory", "format", "highest", "is_partial", "last_failed"),
        *("loaded", "owed", "previous", "refused", "reloaded", "state", "unproven", "waiting"),
    ]


def test_a_commit_keeps_the_unacknowledged_outcome_in_the_same_step(switching):
    journal = steps.commit(switching, NEW, [WEB], now_s=103, reloads=1)

    assert journal.unacknowledged.result == "applied"
    assert journal.unacknowledged.duration_ms == 3000
    assert (journal.directory, journal.previous, journal.highest) == ("1-000002", "1-000001", (1, 2))
    assert journal.attempt is None
    assert due([WEB, CLIENT], NEW, journal.loaded) == ()


def test_only_consumers_whose_entries_changed_are_due(running):
    assert due([WEB, CLIENT], NEW, running.loaded) == (WEB,)
    assert due([WEB, CLIENT], OLD, running.loaded) == ()


def test_a_consumer_of_a_slot_that_is_not_there_is_not_due():
    client = Consumer(
        name="c", uses=("client",), reload=("/x",), timeout_s=1, verify_timeout_s=1, endpoints=()
    )
    assert used_digest(OLD, client) is None
    assert due([client], OLD, {}) == ()


def test_while_a_switch_is_under_way_nobody_knows_what_its_consumers_have_loaded(switching):
    assert due([WEB, CLIENT], OLD, switching.loaded) == (WEB,)
    assert due([WEB, CLIENT], NEW, switching.loaded) == (WEB,)


def test_a_rollback_leaves_the_old_generation_applied_and_the_failure_visible(switching):
    journal = steps.finish_rollback(
        steps.begin_rollback(switching, CAUSE, [WEB]), OLD, [WEB], trouble=None, now_s=110, reloads=2
    )

    assert (journal.state, journal.directory, journal.applied) == ("idle", "1-000001", version_of(OLD))
    assert (journal.unacknowledged.result, journal.unacknowledged.phase, journal.unacknowledged.reason) == (
        "rolled_back",
        "verify",
        "verify_mismatch",
    )
    assert journal.last_failed.until_s == 170
    assert journal.highest == (1, 1)


def test_a_rollback_that_is_not_proven_says_both_troubles(switching):
    trouble = Cause(phase="rollback", reason="verify_unreachable", message="nothing answers")
    journal = steps.finish_rollback(
        steps.begin_rollback(switching, CAUSE, [WEB]), OLD, [], trouble=trouble, now_s=110, reloads=2
    )

    assert (journal.unacknowledged.result, journal.unacknowledged.reason) == ("failed", "rollback_failed")
    assert "nothing answers" in journal.unacknowledged.message
    assert "the old leaf is served" in journal.unacknowledged.message
    assert journal.unproven is not None
    assert due([WEB], OLD, journal.loaded) == (WEB,)


def test_a_failure_stays_visible_until_a_success(switching):
    failed = steps.fail(switching, switching.attempt, CAUSE, now_s=110)
    acknowledged = steps.acknowledge(failed, "p")
    assert acknowledged.unacknowledged is None
    assert acknowledged.last_failed is not None

    again = steps.begin(acknowledged, attempt(NEW, "1-000002"), [WEB])
    assert steps.commit(again, NEW, [WEB], now_s=111, reloads=1).last_failed is None


def test_an_acknowledgement_of_another_push_changes_nothing(running):
    assert steps.acknowledge(running, "other") == running


def test_an_installation_that_never_became_visible_leaves_no_trace_but_the_failure(running, switching):
    failed = steps.fail(switching, switching.attempt, CAUSE, now_s=110)

    assert failed.loaded == running.loaded
    assert (failed.directory, failed.applied, failed.attempt) == ("1-000001", version_of(OLD), None)


def test_a_first_generation_stays_without_being_called_applied():
    journal = steps.begin(Journal(), attempt(OLD, "1-000001"), [WEB])
    kept = steps.keep_unproven(journal, CAUSE, proven=[WEB], manifest=OLD, now_s=110, reloads=1)

    assert (kept.directory, kept.applied, kept.highest) == ("1-000001", None, (0, 0))
    assert kept.unacknowledged.result == "failed"
    assert set(kept.loaded) == {WEB.name}


def test_what_stayed_unproven_and_is_seen_to_be_served_is_applied_without_another_push():
    journal = steps.begin(Journal(), attempt(OLD, "1-000001"), [WEB])
    kept = steps.keep_unproven(journal, CAUSE, proven=[], manifest=OLD, now_s=110, reloads=1)
    confirmed = steps.confirm(kept, OLD)

    assert (confirmed.applied, confirmed.last_failed) == (version_of(OLD), None)
    assert confirmed.highest == (OLD.epoch, OLD.generation)


WHOLE = frozenset({"1-000001", "1-000002"})


def test_at_rest_nothing_is_to_be_done(running):
    assert recover(running, link="1-000001", whole=WHOLE) == Idle("1-000001")
    assert recover(Journal(), link=None, whole=frozenset()) == Idle("")


def test_what_was_not_visible_yet_is_forgotten(switching):
    assert recover(switching, link="1-000001", whole=WHOLE) == Forget("1-000002", "1-000001")
    first = steps.begin(Journal(), attempt(OLD, "1-000001"), [WEB])
    assert recover(first, link=None, whole=frozenset()) == Forget("1-000001", "")


def test_what_is_visible_and_whole_is_taken_forward(switching):
    assert recover(switching, link="1-000002", whole=WHOLE) == Resume("1-000002")


def test_what_is_visible_and_damaged_is_taken_back(switching):
    assert recover(switching, link="1-000002", whole=frozenset({"1-000001"})) == RollBack("1-000001")


def test_a_link_that_no_installation_made_is_taken_back(switching):
    assert recover(switching, link=None, whole=WHOLE) == RollBack("1-000001")


@pytest.mark.parametrize("link", ["1-000001", "1-000002", None])
def test_a_rollback_never_turns_forward_again(switching, link):
    turned = steps.begin_rollback(switching, CAUSE, [WEB])
    assert recover(turned, link=link, whole=WHOLE) == RollBack("1-000001")
