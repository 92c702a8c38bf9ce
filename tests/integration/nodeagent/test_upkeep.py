"""Drift: what is found, how it is repaired, and what must be sent again."""

import shutil
import stat

import pytest

from common.wire.messages import Report
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    ROOT,
    consumer,
    install,
    open_node,
    real_bundle,
    services,
)

LEAF = pki.make_leaf(ROOT, ["node.example.com"])
NEXT = pki.make_leaf(ROOT, ["next.example.com"])
BUNDLE = real_bundle(LEAF, 1)


@pytest.fixture
async def node(data, service, tmp_path):
    state = await open_node(data, services(consumer(service.reload_script(tmp_path), port=service.port)))
    await install(state, BUNDLE)
    return state


def report(node) -> Report:
    return node.local.report(0)


async def test_an_untouched_tree_is_left_alone(node, data, service):
    before = (data / "current").readlink()
    await Upkeep(node).turn()

    assert (data / "current").readlink() == before
    assert (report(node).drifts, report(node).disk, service.reloads) == (0, BUNDLE.manifest.digest, 1)


async def test_a_widened_key_is_closed_again_without_a_reload(node, data, service):
    (data / "current/server/privkey.pem").chmod(0o644)
    await Upkeep(node).turn()

    assert stat.S_IMODE((data / "current/server/privkey.pem").stat().st_mode) == 0o600
    assert (report(node).drifts, report(node).disk, service.reloads) == (1, BUNDLE.manifest.digest, 1)


async def test_content_that_another_generation_holds_is_restored_and_read_again(node, data, service):
    await install(node, real_bundle(LEAF, 2))
    reloads = service.reloads
    (data / "current/server/privkey.pem").write_text("gone")
    await Upkeep(node).turn()

    assert (data / "current/server/privkey.pem").read_text() == LEAF.key_pem
    assert report(node).applied.generation == 2
    assert (report(node).drifts, service.reloads) == (1, reloads + 1)


async def test_an_added_file_is_left_behind(node, data, service):
    (data / "current/server/extra").write_text("what is this")
    await Upkeep(node).turn()

    assert not (data / "current/server/extra").exists()
    assert (report(node).drifts, service.reloads) == (1, 1)


async def test_a_link_that_was_turned_is_turned_back_and_services_read_again(node, data, service):
    await install(node, real_bundle(NEXT, 2))
    (data / "current").unlink()
    (data / "current").symlink_to("generations/1-000001")
    reloads = service.reloads
    await Upkeep(node).turn()

    assert (data / "current").readlink().name == "1-000002"
    assert (report(node).drifts, service.reloads) == (1, reloads + 1)


async def test_content_that_is_nowhere_any_more_is_reported_as_not_applied_and_taken_again(node, data):
    (data / "current/server/privkey.pem").write_text("gone")
    await Upkeep(node).turn()
    key = BUNDLE.manifest.by_path()["server/privkey.pem"].digest

    assert report(node).applied is None
    assert report(node).disk not in {"", BUNDLE.manifest.digest}
    assert not node.local.has(key)
    assert node.local.has(BUNDLE.manifest.by_path()["server/chain.pem"].digest)
    assert node.local.highest() < BUNDLE.manifest.version

    outcome = await install(node, BUNDLE)
    assert outcome.result == "applied"
    assert report(node).disk == BUNDLE.manifest.digest
    assert node.local.highest() == BUNDLE.manifest.version


async def test_a_tree_that_is_gone_at_start_is_taken_again(node, data, service):
    shutil.rmtree(data / "generations")
    again = await open_node(data, node.services)
    await Upkeep(again).turn()
    assert report(again).applied is None

    assert (await install(again, BUNDLE)).result == "applied"
    assert report(again).applied.generation == 1


async def test_a_lost_journal_is_made_anew_from_the_link_with_one_reload(node, data, service):
    (data / "journal.json").write_text("{")
    again = await open_node(data, node.services)
    await Upkeep(again).turn()
    await Upkeep(again).turn()

    assert report(again).applied.generation == 1
    assert again.local.highest() == (1, 1)
    assert service.reloads == 2
    assert (data / "journal.json.damaged").exists()


async def test_a_consumer_that_was_added_is_reloaded_once(node, service, tmp_path):
    reload = service.reload_script(tmp_path)
    node.services = services(*node.services.consumers, consumer(reload, port=service.port, name="second"))
    await Upkeep(node).turn()
    await Upkeep(node).turn()

    assert service.reloads == 2
    assert [seen.consumer for seen in report(node).serving] == ["web", "second"]


async def test_old_generations_go_late_and_three_stay(node, data):
    for number in range(2, 7):
        await install(node, real_bundle(LEAF, number))
    await Upkeep(node).turn()
    # this test's clock lies ahead of the disk's, so every directory has had its grace
    assert sorted(path.name for path in (data / "generations").iterdir()) == [
        "1-000004",
        "1-000005",
        "1-000006",
    ]
