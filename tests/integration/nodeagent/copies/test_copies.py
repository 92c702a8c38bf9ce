"""Copies of a generation's files in other places: written, repaired and loaded."""

import stat
from dataclasses import replace

import pytest

from common.errors import Reason
from common.runtime import durable
from nodeagent.install.upkeep import Upkeep
from tests.integration.agent_parts import (
    NEW,
    OLD,
    install,
    real_bundle,
    services,
)


async def test_a_copy_is_there_with_its_mode_before_the_service_is_reloaded(node, service):
    outcome = await install(node, real_bundle(NEW, 2))

    assert outcome.result == "applied"
    assert service.path.read_text() == service.loaded == service.live
    assert NEW.key_pem in service.loaded
    assert stat.S_IMODE(service.path.stat().st_mode) == 0o400
    assert service.shown() == ["service.pem"]


async def test_a_copy_goes_back_with_its_generation(node, service):
    service.fails_once()
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, outcome.reason) == ("rolled_back", Reason.RELOAD_FAILED)
    assert service.path.read_text() == service.loaded == service.live
    assert OLD.key_pem in service.loaded


async def test_a_copy_is_not_written_again_where_it_is_right(node, service):
    before = service.path.stat()
    await Upkeep(node).turn()
    await install(node, real_bundle(OLD, 2))
    assert service.path.stat() == before


@pytest.mark.parametrize("what", ["content", "missing", "link"])
async def test_a_copy_that_was_changed_is_written_again_reloaded_and_counted(node, service, what):
    reloads = service.reloads
    if what == "content":
        service.path.chmod(0o600)
        service.path.write_text("other")
    else:
        service.path.unlink()
    elsewhere = service.directory / "elsewhere"
    elsewhere.write_text("not ours")
    if what == "link":
        service.path.symlink_to(elsewhere)
    await Upkeep(node).turn()

    assert service.path.read_text() == service.live
    assert not service.path.is_symlink()
    assert elsewhere.read_text() == "not ours"
    assert (service.reloads, node.local.report(0).drifts) == (reloads + 1, 1)
    assert node.local.is_disk_right


async def test_a_copy_whose_mode_was_widened_is_closed_again_without_a_reload(node, service):
    reloads = service.reloads
    service.path.chmod(0o644)
    await Upkeep(node).turn()

    assert stat.S_IMODE(service.path.stat().st_mode) == 0o400
    assert (service.reloads, node.local.report(0).drifts) == (reloads, 1)


async def test_a_copy_that_cannot_be_repaired_is_reported_as_drift(node, service, monkeypatch):
    service.path.chmod(0o644)

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(durable, "write_file", refuse)
    with pytest.raises(Exception, match="could not be written"):
        await Upkeep(node).turn()
    assert not node.local.is_disk_right

    monkeypatch.undo()
    await Upkeep(node).turn()
    assert node.local.is_disk_right


async def test_a_copy_that_is_declared_later_is_written_and_loaded(node, service):
    other = service.place / "other.pem"
    node.services = services(
        *node.services.consumers, replace(service.services(to=other).consumers[0], name="second")
    )
    await Upkeep(node).turn()
    assert other.read_text() == service.live
