"""Renewals for the showroom: some of every state, with the orders, failures and words of CAs that lead there."""

import time
from dataclasses import replace

from common.ids import CertificateId, NodeName
from manager.domain.renewal.account_fields import AccountFields
from manager.domain.renewal.records import (
    AccountId,
    ChallengeKind,
    OrderId,
    OrderRecord,
    OrderState,
    Problem,
    RenewalId,
    RenewalRecord,
    Step,
    Terms,
)
from manager.domain.renewal.schedule import entry_of, names_of
from manager.usecases.csrs import CsrChanges, KeyChoice
from manager.usecases.usecases import UseCases
from tests import pki

ACTOR = "administrator"
REFUSED = (
    "acme-v02.api.letsencrypt.org refused london.example.com (unauthorized): "
    "No TXT record found at _acme-challenge.london.example.com"
)
UNSHOWN = "the CA has not been asked yet because berlin-1 does not answer on port 80 (connection refused)"
WAITS = "node berlin-2 answers http://new.example.com/.well-known/acme-challenge/... with 404."
KEY_PEM = pki.make_leaf(None, ["x"]).key_pem
DONE = (
    (OrderState.CREATED, 0.0, ""),
    (OrderState.ORDERED, 0.6, ""),
    (OrderState.PLACED, 9.8, ""),
    (OrderState.VALIDATED, 14.1, ""),
    (OrderState.FINALISED, 14.9, ""),
    (OrderState.DOWNLOADED, 16.2, ""),
    (OrderState.TAKEN_OVER, 16.9, ""),
    (OrderState.SERVED, 19.4, ""),
)
"""States, when they were reached, and what was said then."""

TESTED = (*DONE[:6], (OrderState.TESTED, 16.4, ""))
"""What a test order does."""


async def renew(use_cases: UseCases) -> None:
    """Let certificates of the showroom be renewed, and let that go well, badly, or wait."""
    store = use_cases._context.store
    account = await add_account(use_cases)
    served = await switch_on(use_cases, account, 1)
    await keep_order(use_cases, served, TESTED, began_s=time.time() - 61 * pki.DAY_S, is_test=True)
    again = (*DONE[:2], (OrderState.ORDERED, 901.0, UNSHOWN), *((s, at + 5400, m) for s, at, m in DONE[2:]))
    await keep_order(use_cases, served, again, began_s=time.time() - 60 * pki.DAY_S, answer=1)
    await fail(use_cases, await switch_on(use_cases, account, 2, ChallengeKind.DNS))
    await open_request(use_cases, 4)
    coming = await use_cases.renewals.order_new(
        Terms(account_id=account, challenge=ChallengeKind.HTTP, names=("new.example.com",)),
        nodes=[NodeName("berlin-1"), NodeName("berlin-2")],
        slot="client",
        actor=ACTOR,
    )
    await keep_order(use_cases, coming.renewal, DONE[:2], began_s=time.time() - 40, problem=WAITS)
    paused = await switch_on(use_cases, account, 3, ChallengeKind.DNS)
    await store.renewals.keep(replace(paused, is_paused=True))
    for number in range(7, 14):
        await switch_on(use_cases, account, number)


async def add_account(use_cases: UseCases) -> AccountId:
    """Add an account at a public CA, as registered there."""
    fields = AccountFields(
        name="Let's Encrypt",
        directory_url="https://acme-v02.api.letsencrypt.org/directory",
        staging_url="https://acme-staging-v02.api.letsencrypt.org/directory",
        contact=["ops@example.com"],
        terms_agreed=True,
    )
    account = await use_cases.accounts.add(fields, actor=ACTOR)
    registered = replace(account, url="https://acme-v02.api.letsencrypt.org/acme/acct/1234567")
    await use_cases._context.store.accounts.keep(registered)
    return account.id


async def switch_on(
    use_cases: UseCases, account: AccountId, number: int, challenge: ChallengeKind = ChallengeKind.HTTP
) -> RenewalRecord:
    """Let a certificate be renewed with the account."""
    terms = Terms(
        account_id=account, challenge=challenge, profile="tlsserver", preferred_chain="ISRG Root X1"
    )
    return (await use_cases.renewals.switch_on(CertificateId(number), terms, actor=ACTOR)).renewal


async def keep_order(
    use_cases: UseCases,
    renewal: RenewalRecord,
    steps: tuple[tuple[OrderState, float, str], ...],
    *,
    began_s: float,
    is_test: bool = False,
    answer: int | None = None,
    problem: str = "",
) -> None:
    """Keep an order that has come so far."""
    assert renewal.terms is not None
    orders, inventory = use_cases._context.store.orders, await use_cases.inventory()
    entry = entry_of(renewal, inventory.entries)
    order = OrderRecord(
        id=OrderId(0),
        renewal_id=RenewalId(renewal.id),
        is_test=is_test,
        state=OrderState.CREATED,
        names=names_of(renewal.terms, entry),
        terms=renewal.terms,
        replaces="",
        replaces_leaf=None,
        request_pem="",
        steps=tuple(Step(at_s=began_s + at_s, state=state, message=said) for state, at_s, said in steps),
        answer_id=None if answer is None else CertificateId(answer),
        problem=Problem(at_s=began_s, message=problem) if problem else None,
        created_s=began_s,
        changed_s=began_s + steps[-1][1],
    )
    added = await orders.add(order, private_key_pem=KEY_PEM)
    await orders.keep(replace(added, state=steps[-1][0]))


async def fail(use_cases: UseCases, renewal: RenewalRecord) -> None:
    """Let an order fail for the second time, in the CA's words."""
    now_s, at_first = time.time(), (OrderState.ORDERED, 62.0, REFUSED)
    steps = (*DONE[:3], at_first, (OrderState.PLACED, 371.0, ""), (OrderState.FAILED, 433.0, REFUSED))
    await keep_order(use_cases, renewal, steps, began_s=now_s - 900, problem=REFUSED)
    problem = Problem(
        at_s=now_s - 467,
        message=REFUSED,
        type="unauthorized",
        detail="No TXT record found at _acme-challenge.london.example.com",
    )
    failed = replace(renewal, failures=2, retry_at_s=now_s + 3133, problem=problem)
    await use_cases._context.store.renewals.keep(failed)


async def open_request(use_cases: UseCases, number: int) -> None:
    """Let a certificate be renewed by a request, which waits for its answer."""
    made = await use_cases.renewals.switch_on(
        CertificateId(number), None, send_to="pki@example.com", actor=ACTOR
    )
    key = KeyChoice(private_key=pki.make_leaf(None, ["x"]).key_pem)
    request = await use_cases.csrs.create(
        replaces=CertificateId(number), changes=CsrChanges(), key=key, actor=ACTOR
    )
    await use_cases._context.store.renewals.keep(replace(made.renewal, request_id=request.id))
