"""The installer against a real TLS server, real reload commands and a real tree."""

import asyncio
import stat

import pytest

from common.errors import BundleError, Reason
from common.ids import fingerprint_of
from nodeagent.core.drift import Ownership
from nodeagent.install import tree
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    GIVEN_UP_S,
    NEW,
    OLD,
    OTHER,
    ROOT,
    TlsService,
    consumer,
    impatient,
    install,
    open_node,
    real_bundle,
    script,
    services,
    snapshot,
)


def leaf_of(made):
    return fingerprint_of(made.certificate_der)


async def test_a_new_leaf_is_served_before_it_is_called_applied(node, service):
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, outcome.phase, outcome.reloads) == ("applied", "commit", 1)
    assert [seen.leaf for seen in outcome.report.serving] == [leaf_of(NEW)]
    assert outcome.report.applied.leaves == {"server": leaf_of(NEW)}
    assert outcome.report.disk == outcome.report.applied.digest


async def test_keys_are_for_the_owner_alone_and_certificates_for_all(node, data):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (data / "current/server").iterdir()}

    assert modes["privkey.pem"] == modes["combined.pem"] == 0o600
    assert modes["certificate.pem"] == modes["fullchain.pem"] == 0o644
    assert stat.S_IMODE((data / ".staging").stat().st_mode) == 0o700


@pytest.mark.services("root")
async def test_a_group_may_read_keys_where_the_node_says_so_and_a_change_of_that_is_taken_over(node, data):
    node.tree.owners = Ownership(uid=0, gid=0, secret_gid=4, secret_mode=0o640)
    await Upkeep(node).turn()
    facts = (data / "current/server/privkey.pem").stat()
    public = (data / "current/server/chain.pem").stat()

    assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (0, 4, 0o640)
    assert (public.st_uid, public.st_gid, stat.S_IMODE(public.st_mode)) == (0, 0, 0o644)


async def test_the_same_content_under_a_new_number_reloads_nothing(node, service):
    reloads = service.reloads
    outcome = await install(node, real_bundle(OLD, 2))

    assert (outcome.result, outcome.reloads, service.reloads) == ("applied", 0, reloads)
    assert node.file.journal.highest == (1, 2)


async def test_a_restart_reloads_nothing(node, service, data):
    reloads = service.reloads
    again = await open_node(data, node.services)
    await Upkeep(again).turn()

    assert service.reloads == reloads
    assert again.local.applied() == real_bundle(OLD, 1).manifest


async def test_previous_moves_only_when_the_new_generation_is_proven(node, data, tmp_path, service):
    assert not (data / "previous").is_symlink()
    await install(node, real_bundle(NEW, 2))
    assert (data / "previous").readlink().name == "1-000001"

    script(tmp_path / "reload", "exit 0")
    node.services = impatient(node.services)
    await install(node, real_bundle(OTHER, 3))
    assert (data / "previous").readlink().name == "1-000001"


async def test_a_reload_that_lies_is_rolled_back_as_a_mismatch(node, data, tmp_path):
    before = (data / "current").readlink()
    script(tmp_path / "reload", "exit 0")
    node.services = impatient(node.services)
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, outcome.phase, outcome.reason) == (
        "rolled_back",
        "verify",
        Reason.VERIFY_MISMATCH,
    )
    assert (data / "current").readlink() == before
    assert [seen.leaf for seen in outcome.report.serving] == [leaf_of(OLD)]
    assert outcome.report.applied.generation == 1
    assert outcome.report.last_failed.digest == real_bundle(NEW, 2).manifest.digest


async def test_a_reload_that_fails_is_rolled_back_with_its_last_words(node, tmp_path):
    script(tmp_path / "reload", "echo this configuration is bad >&2; exit 7")
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, outcome.phase, outcome.reason) == ("rolled_back", "reload", Reason.RELOAD_FAILED)
    assert "exit status 7: this configuration is bad" in outcome.message


async def test_a_reload_that_hangs_is_killed_and_rolled_back(node, tmp_path, service):
    node.services = services(
        consumer(script(tmp_path / "hang", "sleep 60 & sleep 60"), port=service.port, timeout_s=0.3)
    )
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, outcome.phase, outcome.reason) == ("rolled_back", "reload", Reason.RELOAD_TIMEOUT)


async def test_a_port_that_listens_without_tls_is_unreachable_and_rolled_back(node, tmp_path):
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        dark = consumer(script(tmp_path / "quiet", "exit 0"), port=port, name="dark", verify_s=GIVEN_UP_S)
        node.services = services(dark)
        outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, outcome.phase, outcome.reason) == (
        "rolled_back",
        "verify",
        Reason.VERIFY_UNREACHABLE,
    )
    assert outcome.report.applied.generation == 1


async def test_a_rollback_that_is_not_served_is_told_as_such_and_healed_later(node, tmp_path, service):
    # the service takes the new files although its reload fails, and then refuses the way back
    script(
        tmp_path / "reload",
        f"[ -e {tmp_path}/done ] && exit 1; touch {tmp_path}/done; kill -HUP $PPID; exit 1",
    )
    patient, node.services = node.services, impatient(node.services)
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, outcome.phase, outcome.reason) == ("failed", "rollback", Reason.ROLLBACK_FAILED)
    assert node.file.journal.unproven is not None

    service.reload_script(tmp_path)
    node.services = patient
    await Upkeep(node).turn()
    assert node.file.journal.unproven is None
    assert [seen.leaf for seen in node.local.serving] == [leaf_of(OLD)]


async def test_a_first_generation_that_cannot_be_proven_stays_for_the_service_to_start_on(data, tmp_path):
    async with TlsService(data).run(OTHER, tmp_path) as service:
        running = consumer(script(tmp_path / "no", "exit 0"), port=service.port, verify_s=GIVEN_UP_S)
        state = await open_node(data, services(running))
        outcome = await install(state, real_bundle(NEW, 1))

    assert (outcome.result, outcome.reason) == ("failed", Reason.VERIFY_MISMATCH)
    assert (data / "current/server/privkey.pem").read_text() == NEW.key_pem
    assert outcome.report.applied is None
    assert outcome.report.last_failed.retry_after_s == 60

    async with TlsService(data).run(OTHER, tmp_path) as service:
        state.services = services(consumer(service.reload_script(tmp_path), port=service.port))
        again = await install(state, real_bundle(NEW, 1))
    assert again.result == "applied"
    assert again.report.last_failed is None
    assert [path.name for path in (data / "generations").iterdir()] == ["1-000001"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("key", Reason.KEY_MISMATCH),
        ("digest", Reason.BAD_DIGEST),
        ("trust", Reason.EMPTY_BUNDLE),
        ("expired", Reason.EXPIRED),
        ("future", Reason.NOT_YET_VALID),
    ],
)
async def test_a_bad_bundle_is_refused_and_nothing_is_touched(node, data, service, name, reason):
    old = pki.make_leaf(ROOT, not_before_s=pki.NOW_S - 10 * pki.DAY_S, not_after_s=pki.NOW_S - pki.DAY_S)
    new = pki.make_leaf(ROOT, not_before_s=pki.NOW_S + pki.DAY_S, not_after_s=pki.NOW_S + 9 * pki.DAY_S)
    bundle = {
        "key": real_bundle(NEW, 2, key_of=OLD),
        "digest": real_bundle(NEW, 2),
        "trust": real_bundle(OLD, 2, anchors=0),
        "expired": real_bundle(old, 2),
        "future": real_bundle(new, 2),
    }[name]
    if name == "digest":
        entry = bundle.manifest.by_path()["server/chain.pem"]
        bundle.payloads[entry.digest] = b"-----BEGIN CERTIFICATE-----"
    before, reloads = snapshot(data), service.reloads
    with pytest.raises(BundleError) as refused:
        await install(node, bundle)

    assert refused.value.reason == reason
    assert snapshot(data) == before
    assert service.reloads == reloads
    assert node.file.journal.last_failed.result == "rejected"
    assert node.local.applied().generation == 1


async def test_quarantine_and_its_ladder_survive_a_restart(node, data, tmp_path):
    script(tmp_path / "reload", "exit 1")
    for number in (2, 3):
        await install(node, real_bundle(NEW, number))
    again = await open_node(data, node.services)

    failed = again.local.report(pki.NOW_S).last_failed
    assert (failed.attempts, failed.retry_after_s) == (2, 300)
    assert again.local.quarantined(real_bundle(NEW, 4).manifest.digest, pki.NOW_S + 299) is not None
    assert again.local.quarantined(real_bundle(NEW, 4).manifest.digest, pki.NOW_S + 301) is None


async def test_what_a_wrong_clock_cannot_judge_is_refused_as_such_and_not_held_against_the_bundle(node):
    new = pki.make_leaf(ROOT, not_before_s=pki.NOW_S + pki.DAY_S, not_after_s=pki.NOW_S + 9 * pki.DAY_S)
    node.skew_s = -2 * pki.DAY_S
    with pytest.raises(BundleError) as refused:
        await install(node, real_bundle(new, 2))

    assert refused.value.reason == Reason.CLOCK_SKEW
    assert "-172800 s from the manager's" in refused.value.message
    assert node.file.journal.last_failed is None
    node.clock = lambda: pki.NOW_S + 2 * pki.DAY_S
    assert (await install(node, real_bundle(new, 2))).result == "applied"


async def test_a_disk_without_room_refuses_before_anything_is_touched(node, data, monkeypatch):
    before = snapshot(data)
    monkeypatch.setattr(tree, "MARGIN_BYTES", 1 << 60)
    with pytest.raises(BundleError) as refused:
        await install(node, real_bundle(NEW, 2))

    assert refused.value.reason == Reason.NO_SPACE
    assert snapshot(data) == before


async def test_a_key_that_was_damaged_on_disk_is_asked_for_and_not_held_against_the_bundle(node, data):
    (data / "current/server/privkey.pem").write_text("gone")
    bundle = real_bundle(OLD, 2)
    key = bundle.manifest.by_path()["server/privkey.pem"].digest
    assert node.local.has(key)
    del bundle.payloads[key]
    with pytest.raises(BundleError) as refused:
        await install(node, bundle)

    assert refused.value.reason == Reason.BAD_DIGEST
    assert not node.local.has(key)
    assert node.file.journal.last_failed is None


async def test_a_trust_store_that_shrinks_needs_force(node):
    await install(node, real_bundle(OLD, 2, anchors=10))
    with pytest.raises(BundleError) as refused:
        await install(node, real_bundle(OLD, 3, anchors=4))

    assert refused.value.reason == Reason.SHRINK_GUARD
    assert (await install(node, real_bundle(OLD, 3, anchors=4), forced=True)).result == "applied"


async def test_a_smaller_trust_store_is_taken_once_its_offer_says_that_an_operator_meant_it(node):
    await install(node, real_bundle(OLD, 2, anchors=10))
    with pytest.raises(BundleError):
        await install(node, real_bundle(OLD, 3, anchors=4), confirmed_anchors=5)
    outcome = await install(node, real_bundle(NEW, 3, anchors=4), confirmed_anchors=4)

    assert (outcome.result, outcome.message) == ("applied", ""), "the refusal of before does not rest on"


async def test_repeated_failures_climb_the_ladder_and_other_content_starts_anew(node, tmp_path):
    script(tmp_path / "reload", "exit 1")
    waits = [
        (await install(node, real_bundle(NEW, number))).report.last_failed.retry_after_s
        for number in (2, 3, 4, 5, 6)
    ]
    other = (await install(node, real_bundle(OTHER, 7))).report.last_failed

    assert waits == [60, 300, 900, 3600, 3600]
    assert (other.attempts, other.retry_after_s) == (1, 60)
    assert node.local.quarantined(real_bundle(OTHER, 7).manifest.digest, pki.NOW_S + 61) is None
