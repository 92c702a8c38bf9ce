"""A manager loads what speaks to CAs and DNS servers once something is renewed, and not before."""

import asyncio
import sys

from demo.site import Process
from manager.domain.renewal.account_fields import AccountFields
from manager.domain.renewal.records import AccountId, ChallengeKind, Terms
from tests.patience import PATIENCE_S, ended
from tests.sites import CopyingSite
from tests.system.fleet import RealFleet, real_fleet
from tests.system.renewing import kept_by

PROGRAM = """
import atexit, sys
from manager.entry import daemon
atexit.register(lambda: print("LOADED", *sys.modules))
daemon()
"""
CLIENT = {"acme", "josepy", "requests", "urllib3"}
"""What speaks ACME."""


class TellingSite(CopyingSite):
    """Its manager says as it ends which modules it has loaded."""

    async def serve(self) -> Process:
        return await self.spawn(
            "manager.log",
            *(sys.executable, "-c", PROGRAM, "serve", "--data", str(self.data)),
            *("--https", f"127.0.0.1:{self.https}", "--ssh", f"127.0.0.1:{self.ssh}"),
        )

    async def loaded(self) -> set[str]:
        """End the manager; return what it has loaded."""
        process = self.processes["manager.log"]
        process.terminate()
        await ended(process)
        log = (self.directory / "manager.log").read_text()
        lines = [line for line in log.splitlines() if line.startswith("LOADED ")]
        assert len(lines) == 1, log[-3000:]
        return set(lines[0].split()[1:])


async def metrics_of(fleet: RealFleet) -> str:
    async with fleet.session.get(f"{fleet.site.url}/metrics") as answer:
        return await answer.text()


async def test_a_manager_in_which_nothing_is_renewed_loads_nothing_for_it():
    site = TellingSite()
    async with real_fleet(site=site) as fleet:
        assert "certcast_renewals 0.0" in await metrics_of(fleet)
        loaded = await site.loaded()
    assert "manager.renewing" in loaded
    assert not {each.partition(".")[0] for each in loaded} & (CLIENT | {"dns"})
    assert not [each for each in loaded if each.startswith("manager.acme")]


async def test_what_speaks_acme_is_loaded_once_a_certificate_is_ordered():
    site = TellingSite()
    async with real_fleet(site=site):
        async with kept_by(site) as (_, use_cases):
            fields = AccountFields(name="nobody", directory_url="https://127.0.0.1:1/directory")
            account = await use_cases.accounts.add(fields, actor="ada")
            terms = Terms(
                account_id=AccountId(account.id), challenge=ChallengeKind.HTTP, names=("a.example.com",)
            )
            made = await use_cases.renewals.order_new(terms, nodes=[], slot="server", actor="ada")
            async with asyncio.timeout(PATIENCE_S):
                while (await use_cases.renewals.show(made.renewal.id)).renewal.problem is None:  # noqa: ASYNC110 - another process asks
                    await asyncio.sleep(0.1)
            shown = await use_cases.renewals.show(made.renewal.id)
        loaded = await site.loaded()
    assert "127.0.0.1 cannot be asked" in shown.renewal.problem.message
    assert {each.partition(".")[0] for each in loaded} & (CLIENT | {"dns"}) == CLIENT
