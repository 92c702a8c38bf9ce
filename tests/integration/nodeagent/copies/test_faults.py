"""Copies, tree and service are of one generation after a fault and the next start."""

import asyncio
import os

import pytest

from common.errors import Reason
from common.runtime import durable
from nodeagent.install.installer import Installer
from nodeagent.install.state import ignore_progress
from nodeagent.install.upkeep import Upkeep
from tests.integration.agent_parts import (
    NEW,
    OLD,
    ROOT,
    install,
    open_node,
    real_bundle,
)
from tests.integration.nodeagent.copies.conftest import Service, is_in
from tests.patience import exit_code


def refuse_copy(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk have no room for the new key beside the service."""
    real = durable.write_file

    def refuse(path, data, **kwargs):
        if path == service.path and NEW.key_pem.encode() in data:
            raise OSError(28, "No space left on device")
        real(path, data, **kwargs)

    monkeypatch.setattr(durable, "write_file", refuse)


async def test_a_copy_that_the_disk_refuses_turns_the_installation_back(node, service, monkeypatch):
    refuse_copy(service, monkeypatch)
    outcome = await install(node, real_bundle(NEW, 2))

    assert (outcome.result, outcome.reason) == ("rolled_back", Reason.NO_SPACE)
    assert service.path.read_text() == service.live == service.loaded
    assert OLD.key_pem in service.loaded


async def test_a_copy_that_the_disk_refuses_keeps_only_its_own_part_from_going_live(
    node, service, monkeypatch
):
    refuse_copy(service, monkeypatch)
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

        def killing(real):
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
                setattr(os, name, killing(getattr(os, name)))
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
