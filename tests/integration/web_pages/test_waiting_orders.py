"""Orders that wait for somebody, in the list of renewals."""

import time
from dataclasses import replace

from common.api.codes import Role
from common.ids import CertificateId
from manager.domain.renewal.records import AccountId, ChallengeKind, Problem, Terms
from tests.browser.showroom import Showroom
from tests.integration.certcast_api.renewing import RenewingApi
from tests.integration.web import visitor

WAITS = "node 'conf2', port 80 does not show the proof for meet.example.test (it answers 404)."


async def test_the_list_says_for_whom_an_order_waits(world: RenewingApi):
    renewals, number = (
        world.api.use_cases.renewals,
        await Showroom(world.api).upload(["meet.example.test"], days=300),
    )
    terms = Terms(account_id=AccountId(await world.account()), challenge=ChallengeKind.HTTP)
    made = await renewals.switch_on(CertificateId(number), terms, actor="ada")
    order = await renewals.order_now(made.id, actor="ada")
    waiting = replace(order, problem=Problem(at_s=time.time(), message=WAITS))
    await world.api.context.store.orders.keep(waiting)
    async with visitor(world.api, Role.READ_ONLY) as browser:
        assert f"Ordering It waits: {WAITS}" in (await browser.get("/renewals")).text
