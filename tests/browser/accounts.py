"""Accounts at CAs for the showroom: one that certificates are renewed with, one that waits to be registered, one that is over; and renewals that are set up."""

import time

from common.ids import CertificateId, NodeName
from manager.domain.renewal.account_fields import AccountFields
from manager.domain.renewal.records import AccountId, ChallengeKind, OrderState, Terms
from manager.usecases.renewal.ports import Cas
from manager.usecases.usecases import UseCases
from tests.browser.renewed import DONE, TESTED, keep_order
from tests.fakes.ca import ModelCas
from tests.fakes.ca_server import CaServer
from tests.fakes.showing import ModelShowing

ACTOR = "administrator"
PROFILES = {
    "classic": "https://ca.example.net/profiles#classic",
    "shortlived": "https://ca.example.net/profiles#shortlived",
}


def some_cas() -> Cas:
    """Return CAs of which every account asks the same."""
    showing = ModelShowing(time.time)
    server = CaServer(time.time, showing, profiles=PROFILES, needs_binding=True)
    return ModelCas(server, CaServer(time.time, showing))


async def add_accounts(use_cases: UseCases) -> None:
    """Add them."""
    accounts = use_cases.accounts
    used = await _add(use_cases, "Internal CA", "https://step-ca.internal.example.com/acme/acme/directory")
    await accounts.register(used, agrees=True, actor=ACTOR)
    terms = Terms(account_id=used, challenge=ChallengeKind.HTTP)
    for number in (14, 15, 16, 17):
        await use_cases.renewals.switch_on(CertificateId(number), terms, actor=ACTOR)
    await _add(
        use_cases,
        "Certificates of the customers' portal, ordered by the operations team in Oslo",
        "https://acme.example.net/v2/customers-0123456789abcdef/directory",
        binding="kid-8b0d4d2e5a8c4c57a1f8e2b90c1f77aa",
    )
    over = await _add(use_cases, "Before the merger", "https://acme.example.org/directory")
    await accounts.register(over, actor=ACTOR)
    await accounts.deactivate(over, actor=ACTOR)
    await try_orders(use_cases, (await accounts.list())[0].id)


async def try_orders(use_cases: UseCases, account: AccountId) -> None:
    """Set up renewals that are tried before they are switched on: with success, in vain, and one that goes on."""
    refused = "node bergen-1 answers http://rooms.example.com/.well-known/acme-challenge/... with 404"
    failed = (*DONE[:2], (OrderState.FAILED, 3.1, refused))
    for name, nodes, steps, problem in (
        ("meet.example.com", ["london-1", "london-2"], TESTED, ""),
        ("rooms.example.com", ["bergen-1"], failed, refused),
        ("talk.example.com", ["madrid-1"], DONE[:3], ""),
    ):
        made = await use_cases.renewals.order_new(
            Terms(account_id=account, challenge=ChallengeKind.HTTP, names=(name,)),
            nodes=[*map(NodeName, nodes)],
            slot="client",
            paused=True,
            actor=ACTOR,
        )
        await keep_order(
            use_cases, made.renewal, steps, began_s=time.time() - 20, is_test=True, problem=problem
        )


async def _add(use_cases: UseCases, name: str, directory_url: str, *, binding: str = "") -> AccountId:
    fields = AccountFields(
        name=name,
        directory_url=directory_url,
        contact=["ops@example.com", "night-shift@example.com"],
        binding_id=binding,
        binding_key="c2VjcmV0LWJpbmRpbmcta2V5" if binding else "",
    )
    return (await use_cases.accounts.add(fields, actor=ACTOR)).id
