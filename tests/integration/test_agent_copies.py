"""Copies for services that cannot read the tree: in step with the generation, and never anything else."""

import asyncio
import os
import re
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import InstallError, Reason
from common.runtime import durable
from nodeagent.core.retention import GRACE_S
from nodeagent.core.services import Copy, Endpoint
from nodeagent.install.installer import Installer
from nodeagent.install.state import ignore_progress
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    ROOT,
    TlsService,
    consumer,
    install,
    open_node,
    real_bundle,
    script,
    services,
)
from tests.patience import exit_code

OLD = pki.make_leaf(ROOT, ["old.example.com"])
NEW = pki.make_leaf(ROOT, ["new.example.com"])


class Service:
    """A service that reads its copy when it is reloaded."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.place = directory / "place"
        self.place.mkdir()
        self.path = self.place / "service.pem"
        self.data = directory / "data"
        self.works()

    def works(self) -> None:
        script(
            self.directory / "reload",
            f"cp {self.path} {self.directory}/loaded; echo x >>{self.directory}/count",
        )

    def fails_once(self) -> None:
        script(
            self.directory / "reload",
            f"cp {self.path} {self.directory}/loaded; [ -e {self.directory}/f ] || {{ touch {self.directory}/f; exit 1; }}",
        )

    def services(self, *, mode: int = 0o400, to: Path | None = None):
        copy = Copy(
            path="server/combined.pem",
            to=str(to or self.path),
            uid=os.geteuid(),
            gid=os.getegid(),
            mode=mode,
        )
        return services(replace(consumer(self.directory / "reload"), copies=(copy,)))

    @property
    def live(self) -> str:
        return (self.data / "current/server/combined.pem").read_text()

    @property
    def loaded(self) -> str:
        return (self.directory / "loaded").read_text()

    @property
    def reloads(self) -> int:
        return len((self.directory / "count").read_text().split())

    def shown(self) -> list[str]:
        return sorted(path.name for path in self.place.iterdir())


def is_in(place: Path, descriptor: int | None) -> bool:
    """Whether this is an open descriptor of the directory."""
    return descriptor is not None and Path(f"/proc/self/fd/{descriptor}").readlink() == place


@pytest.fixture
def service(tmp_path):
    return Service(tmp_path)


@pytest.fixture
async def node(service):
    state = await open_node(service.data, service.services())
    assert (await install(state, real_bundle(OLD, 1))).result == "applied"
    return state


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
    assert node.local.is_disk_right()


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
    assert not node.local.is_disk_right()

    monkeypatch.undo()
    await Upkeep(node).turn()
    assert node.local.is_disk_right()


async def test_a_copy_that_is_declared_later_is_written_and_loaded(node, service):
    other = service.place / "other.pem"
    node.services = services(
        *node.services.consumers, replace(service.services(to=other).consumers[0], name="second")
    )
    await Upkeep(node).turn()
    assert other.read_text() == service.live


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("no directory", "no directory .*/nowhere for the copy"),
        ("directory is a link", "over a link"),
        ("is a directory", "not a plain file"),
        ("is a link", "not a plain file"),
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


async def test_a_copy_that_the_disk_refuses_turns_the_installation_back(node, service, monkeypatch):
    real = durable.write_file

    def refuse(path, data, **kwargs):
        if path == service.path and NEW.key_pem.encode() in data:
            raise OSError(28, "No space left on device")
        real(path, data, **kwargs)

    monkeypatch.setattr(durable, "write_file", refuse)
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, outcome.reason) == ("rolled_back", Reason.NO_SPACE)
    assert service.path.read_text() == service.live == service.loaded
    assert OLD.key_pem in service.loaded


async def test_a_copy_that_the_disk_refuses_keeps_only_its_own_part_from_going_live(
    node, service, monkeypatch
):
    real = durable.write_file

    def refuse(path, data, **kwargs):
        if path == service.path and NEW.key_pem.encode() in data:
            raise OSError(28, "No space left on device")
        real(path, data, **kwargs)

    monkeypatch.setattr(durable, "write_file", refuse)
    outcome = await install(node, real_bundle(NEW, 2, anchors=2))

    assert outcome.result == "applied"
    (refused,) = outcome.report.refused
    assert (refused.part, refused.reason) == ("server", Reason.NO_SPACE)
    assert str(service.path) in refused.message
    assert service.path.read_text() == service.live == service.loaded
    assert OLD.key_pem in service.loaded
    trusted = (service.data / "current/trust/ca-certificates.pem").read_text()
    assert trusted == ROOT.certificate_pem * 2


CHANGES = ("open", "write", "fchmod", "fchown", "fsync", "replace", "rename", "symlink", "unlink")


def killed_at(service: Service, number: int) -> bool:
    """Install in a forked child that dies at its change number `number`; whether there was one.

    Counted from the copy's first change on; what comes before is the sweep's in tests/crash.
    """
    pid = os.fork()
    if pid == 0:
        count: list[int] = []

        def struck(real):
            def call(*args, **kwargs):
                is_change = real is not real_open or args[1] & os.O_CREAT
                is_copy = real is real_open and is_in(service.place, kwargs.get("dir_fd"))
                if is_change and (count or is_copy):
                    count.append(1)
                    if len(count) == number + 1:
                        os._exit(9)
                return real(*args, **kwargs)

            return call

        async def run():
            state = await open_node(service.data, service.services())
            for name in CHANGES:
                setattr(os, name, struck(getattr(os, name)))
            await install(state, real_bundle(NEW, 2))

        real_open, status = os.open, 70
        try:
            asyncio.run(run())
            status = 0
        finally:
            os._exit(status)
    status = exit_code(pid)
    assert status in {0, 9}
    return status == 9


@pytest.mark.parametrize("fails", [False, True])
def test_a_kill_at_any_change_leaves_copy_tree_and_service_on_one_generation_after_the_next_start(
    tmp_path, fails
):
    for number in range(21 if fails else 13):
        directory = tmp_path / str(number)
        directory.mkdir()
        service = Service(directory)

        async def begin(service=service):
            await install(await open_node(service.data, service.services()), real_bundle(OLD, 1))

        async def start_again(service=service):
            state = await open_node(service.data, service.services())
            await Installer(state).resume(progress=ignore_progress)
            await Upkeep(state).turn()

        asyncio.run(begin())
        if fails:
            service.fails_once()
        assert killed_at(service, number)
        service.works()
        asyncio.run(start_again())
        assert service.path.read_text() == service.live == service.loaded, number
        assert service.shown() == ["service.pem"], number


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
