"""Copies of a part that was left out stay nowhere, and a copy without a place names its service."""

import os
from dataclasses import replace

from nodeagent.core.services import Consumer, Copy
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    NEW,
    OTHER,
    install,
    open_node,
    script,
    services,
)
from tests.integration.nodeagent.partial_installs.conftest import bundle, counting, web


def copied_client(tmp_path, to, text: str, name: str = "client") -> Consumer:
    copy = Copy(path="client/combined.pem", to=str(to), uid=os.geteuid(), gid=os.getegid(), mode=0o400)
    return replace(counting(tmp_path, name, text), copies=(copy,))


async def test_a_copy_of_a_slot_that_was_left_out_stays_nowhere_neither_at_first_nor_after_a_retry(
    data, service, tmp_path
):
    to = tmp_path / "client.pem"
    https = web(service.reload_script(tmp_path), service.port)
    failing = copied_client(tmp_path, to, f"grep -q 'PRIVATE KEY' {to} && echo x >>{tmp_path}/saw; exit 1")
    state = await open_node(data, services(https, failing))
    for now_s, result in ((pki.NOW_S, "applied"), (pki.NOW_S + 61, "rolled_back")):
        state.clock = lambda now_s=now_s: now_s
        outcome = await install(state, bundle(1, client=OTHER))
        assert outcome.result == result
        assert [one.part for one in outcome.report.refused] == ["client"]
        assert not to.exists(), "nothing that is installed stands behind it"
    assert (tmp_path / "saw").read_text() == "x\nx\n", "the service was asked with its copy each time"

    copied_client(tmp_path, to, "exit 0")
    state.clock = lambda: pki.NOW_S + 500
    assert (await install(state, bundle(1, client=OTHER))).result == "applied"
    assert OTHER.key_pem in to.read_text()


async def test_a_file_that_somebody_else_put_in_the_place_of_a_copy_is_not_removed(data, service, tmp_path):
    to = tmp_path / "client.pem"
    https = web(service.reload_script(tmp_path), service.port)
    failing = copied_client(tmp_path, to, f"rm -f {to}; echo mine >{to}; exit 1")
    state = await open_node(data, services(https, failing))
    assert (await install(state, bundle(1, client=OTHER))).result == "applied"
    assert to.read_text() == "mine\n"


async def test_a_failed_first_bundle_names_the_service_whose_copy_has_no_place(data, service, tmp_path):
    to = tmp_path / "nowhere/client.pem"
    https = web(script(tmp_path / "https", "echo it is broken; exit 1"), service.port, "server")
    state = await open_node(data, services(https, copied_client(tmp_path, to, "exit 0")))
    outcome = await install(state, bundle(1, NEW))
    assert outcome.result == "failed"
    assert outcome.report.waiting == [], "it uses nothing of this bundle"
    outcome = await install(state, bundle(2, NEW, client=OTHER))
    assert outcome.result == "failed"
    (waiting,) = outcome.report.waiting
    assert (waiting.consumer, waiting.reason) == ("client", "service")
    assert "there is no directory" in waiting.message
    await Upkeep(state).turn()
    assert [one.consumer for one in state.local.report(pki.NOW_S).waiting] == ["client"]
    reopened = await open_node(data, state.services)
    await Upkeep(reopened).turn()
    assert [one.consumer for one in reopened.local.report(pki.NOW_S).waiting] == ["client"]

    # as after an installation that succeeds, who has no place keeps nobody from being proven
    service.load()
    await Upkeep(reopened).turn()
    assert reopened.local.applied() == bundle(2, NEW, client=OTHER).manifest
    assert [one.consumer for one in reopened.local.report(pki.NOW_S).waiting] == ["client"]
    to.parent.mkdir()
    await Upkeep(reopened).turn()
    assert OTHER.key_pem in to.read_text()
    assert reopened.local.report(pki.NOW_S).waiting == []
