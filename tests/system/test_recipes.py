"""The recipes against the real programs, each under its own account."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import Reason
from common.ids import fingerprint_of
from nodeagent.core.services import Copy, Services
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import ROOT, chained_bundle, install, open_node
from tests.system.recipe_services import real_service

ISSUER = pki.make_intermediate(ROOT)
RSA = pki.make_rsa_key()
OLD, NEW = (pki.make_leaf(ISSUER, [f"{name}.example.com"]) for name in ("old", "new"))

SERVICES = [
    pytest.param("nginx", marks=pytest.mark.services("root", "nginx")),
    pytest.param("haproxy", marks=pytest.mark.services("root", "haproxy")),
    pytest.param("kamailio", marks=pytest.mark.services("root", "kamailio", "kamcmd")),
    pytest.param("coturn", marks=pytest.mark.services("root", "turnserver")),
    pytest.param("prosody", marks=pytest.mark.services("root", "prosody", "setpriv")),
    pytest.param("exim", marks=pytest.mark.services("root", "exim4")),
]


def leaf_of(made: pki.Made) -> str:
    return fingerprint_of(made.certificate_der)


def on_disk(copy: Copy) -> tuple[int, int, int, bytes]:
    facts = Path(copy.to).stat()
    return facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode), Path(copy.to).read_bytes()


def overwrite(copy: Copy) -> None:
    Path(copy.to).write_text(OLD.certificate_pem + OLD.key_pem)


SEEN_S = 5.0
"""In which a real service shows what it goes on serving, also on a loaded machine."""


def lying(services: Services) -> Services:
    """The same services, whose reload does nothing."""
    return Services(
        consumers=tuple(
            replace(one, reload=("/bin/true",), verify_timeout_s=SEEN_S) for one in services.consumers
        )
    )


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_set_up_by_its_recipe_takes_a_new_certificate_with_its_chain(name):
    async with real_service(name) as service:
        services = service.services()
        quick = Services(consumers=tuple(replace(one, verify_timeout_s=0.5) for one in services.consumers))
        state = await open_node(service.data, quick)
        # the service cannot run before it has files, so they are installed and wait for it
        first = await install(state, chained_bundle(OLD, 1, chain=[ISSUER]))
        assert (first.result, [one.reason for one in first.report.waiting]) == ("applied", ["service"])
        await service.start()
        state.services = services
        await Upkeep(state).turn()
        assert state.local.report(0).waiting == []
        assert [seen.leaf for seen in state.local.serving] == [leaf_of(OLD)]

        outcome = await install(state, chained_bundle(NEW, 2, chain=[ISSUER]))
        assert (outcome.result, outcome.message) == ("applied", "")
        (seen,) = outcome.report.serving
        assert (seen.leaf, seen.sent, seen.reason) == (leaf_of(NEW), 1, "")
        for copy in services.consumers[0].copies:
            assert copy.uid != os.geteuid()
            assert on_disk(copy) == (
                copy.uid,
                copy.gid,
                copy.mode,
                (service.data / "current" / copy.path).read_bytes(),
            )

        # a chain alone is a reason to reload, too
        shorter = await install(state, chained_bundle(NEW, 3, chain=[]))
        assert (shorter.result, shorter.reloads) == ("applied", 1)
        assert shorter.report.serving[0].sent == 0

        if not service.real.watches_its_files:
            state.services = lying(services)
            refused = await install(state, chained_bundle(OLD, 4, chain=[ISSUER]))
            assert (refused.result, refused.reason) == ("rolled_back", Reason.VERIFY_MISMATCH)
            assert refused.report.serving[0].leaf == leaf_of(NEW)
            for copy in services.consumers[0].copies:
                assert on_disk(copy)[3] == (service.data / "current" / copy.path).read_bytes()

        # and after somebody overwrote its copy, the minute's work puts it right
        for copy in services.consumers[0].copies:
            state.services = services
            overwrite(copy)
            await Upkeep(state).turn()
            assert state.local.report(0).drifts == 1
            assert state.local.report(0).serving[0].leaf == leaf_of(NEW)
            assert on_disk(copy)[3] == (service.data / "current" / copy.path).read_bytes()
