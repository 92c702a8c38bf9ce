"""A place that cannot take a copy keeps only its own service waiting."""

import os
import re
import time
from dataclasses import replace

import pytest

from common.errors import InstallError
from nodeagent.core.retention import GRACE_S
from nodeagent.core.services import Endpoint
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    NEW,
    OLD,
    TlsService,
    consumer,
    install,
    open_node,
    real_bundle,
    script,
    services,
)
from tests.integration.nodeagent.copies.conftest import Service, is_in


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("no directory", "no directory .*/nowhere for the copy"),
        ("directory is a link", "would replace a link"),
        ("is a directory", "not a regular file"),
        ("is a link", "not a regular file"),
        ("is ours", "agent's own directory"),
    ],
)
async def test_a_place_that_cannot_take_a_copy_keeps_its_service_waiting_and_says_why(
    node, service, what, sentence
):
    (service.directory / "alias").symlink_to(service.place)
    (service.place / "directory").mkdir()
    (service.place / "link").symlink_to("/etc/passwd")
    to = {
        "no directory": service.directory / "nowhere/a.pem",
        "directory is a link": service.directory / "alias/a.pem",
        "is a directory": service.place / "directory",
        "is a link": service.place / "link",
        "is ours": service.data / "generations/a.pem",
    }[what]
    node.services = service.services(to=to)
    reloads, before = service.reloads, service.path.read_text()
    outcome = await install(node, real_bundle(NEW, 2))

    assert outcome.result == "applied"
    assert re.search(sentence, outcome.message)
    (waiting,) = outcome.report.waiting
    assert (waiting.consumer, waiting.reason) == ("web", "service")
    assert re.search(sentence, waiting.message)
    await Upkeep(node).turn()
    assert (service.reloads, service.path.read_text()) == (reloads, before)
    assert [one.consumer for one in node.local.report(pki.NOW_S).waiting] == ["web"]


async def test_a_place_that_is_gone_holds_up_only_its_service_and_only_until_it_is_back(node, service):
    other = script(service.directory / "other", f"echo x >>{service.directory}/others")
    node.services = services(*node.services.consumers, consumer(other, name="other"))
    service.path.unlink()
    service.place.rmdir()

    outcome = await install(node, real_bundle(NEW, 2))
    assert (outcome.result, outcome.reloads) == ("applied", 1)
    assert (service.directory / "others").read_text() == "x\n"

    service.place.mkdir()
    await Upkeep(node).turn()
    assert service.path.read_text() == service.live == service.loaded
    assert node.local.report(pki.NOW_S).waiting == []


async def test_a_place_that_only_refuses_when_it_is_used_keeps_only_its_service_waiting(
    node, service, monkeypatch
):
    """As an immutable directory does, or an export that root may not write to: no look tells."""
    other = script(service.directory / "other", f"echo x >>{service.directory}/others")
    node.services = services(*node.services.consumers, consumer(other, name="other"))
    real = os.open

    def refuse(path, flags, *args, **kwargs):
        if flags & os.O_CREAT and is_in(service.place, kwargs.get("dir_fd")):
            raise OSError(1, "Operation not permitted", str(path))
        return real(path, flags, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        outcome = await install(node, real_bundle(NEW, 2))
    assert (outcome.result, outcome.reloads) == ("applied", 1)
    (waiting,) = outcome.report.waiting
    assert (waiting.consumer, waiting.reason) == ("web", "service")
    assert "cannot be written: Operation not permitted" in waiting.message
    assert OLD.key_pem in service.path.read_text()

    await Upkeep(node).turn()
    assert service.path.read_text() == service.live == service.loaded
    assert service.shown() == ["service.pem"]


async def test_a_place_that_went_away_is_no_reason_to_keep_old_generations(node, service):
    for generation in range(2, 7):
        await install(node, real_bundle(OLD if generation % 2 else NEW, generation))
    before = len(node.tree.names())
    service.path.unlink()
    service.place.rmdir()
    node.clock = lambda: max(pki.NOW_S, time.time()) + 2 * GRACE_S
    with pytest.raises(InstallError, match="could not be written"):
        await Upkeep(node).turn()
    assert len(node.tree.names()) < before
    assert "web" not in node.file.journal.loaded
    service.place.mkdir()
    await Upkeep(node).turn()
    assert service.path.read_text() == service.live == service.loaded


async def test_a_service_whose_copy_has_no_place_is_not_taken_for_settled_by_what_its_port_shows(tmp_path):
    service = Service(tmp_path)
    async with TlsService(service.data).run(OLD, tmp_path) as running:
        (only,) = service.services().consumers
        port = Endpoint(host="127.0.0.1", port=running.port, protocol="https")
        state = await open_node(service.data, services(replace(only, endpoints=(port,))))
        service.works()
        script(tmp_path / "reload", f"kill -HUP {os.getpid()}")
        assert (await install(state, real_bundle(OLD, 1))).result == "applied"
        service.path.unlink()
        service.place.rmdir()
        upkeep = Upkeep(state)
        with pytest.raises(InstallError, match="could not be written"):
            await upkeep.turn()
        await upkeep.turn()
        assert "web" not in state.file.journal.loaded
        service.place.mkdir()
        await upkeep.turn()
        assert service.path.read_text() == service.live


@pytest.mark.parametrize("place", ["missing", "link", "file", "anybody's"])
async def test_an_agent_starts_although_a_copy_has_no_place_any_more(tmp_path, place):
    service = Service(tmp_path)
    state = await open_node(service.data, service.services())
    assert (await install(state, real_bundle(OLD, 1))).result == "applied"

    service.place.rename(tmp_path / "elsewhere")
    match place:
        case "link":
            service.place.symlink_to(tmp_path / "elsewhere")
        case "file":
            service.place.write_text("")
        case "anybody's":
            service.place.mkdir()
            service.place.chmod(0o777)
    again = await open_node(service.data, service.services())
    outcome = await install(again, real_bundle(NEW, 2))
    assert (outcome.result, outcome.report.applied.generation) == ("applied", 2)
    assert [one.consumer for one in outcome.report.waiting] == ["web"]
