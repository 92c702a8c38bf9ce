"""Proofs that take long to show, and those that the CA wants no more: each order is shown once more, and then fails in words."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from manager.domain.renewal.moments import LADDER_S
from manager.domain.renewal.records import ChallengeKind, OrderState, Proof
from manager.usecases.renewal.ports import Authorization
from manager.usecases.renewal.proving import VALIDATED_WITHIN_S
from tests.fakes.ca import ModelCa
from tests.pki import DAY_S
from tests.renewals import Renewing

HOUR_S = 3600.0
ANEW = "The proofs are placed again because "


@pytest.fixture
def _by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CA want to see what the account's key of now makes of its token (RFC 8555 8.1)."""
    authorization = ModelCa.authorization

    async def for_key(ca: ModelCa, url: str, kind: ChallengeKind) -> Authorization:
        made = ca.server.by_authorization[url]
        if url in made.proofs and made.proven[url] == "pending":
            made.proofs[url] = replace(made.proofs[url], response=f"token.{sum(ca.key_pem.encode())}")
        found = await authorization(ca, url, kind)
        return found if found.proof is None else replace(found, proof=made.proofs[url])

    monkeypatch.setattr(ModelCa, "authorization", for_key)


async def test_proofs_that_take_over_an_hour_to_place_are_looked_at(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=40)
    place = world.showing.place

    async def slowly(proofs: Sequence[Proof], *, until_s: float) -> None:
        world.now[0] += 3700
        await place(proofs, until_s=until_s)

    monkeypatch.setattr(world.showing, "place", slowly)
    await world.pass_time(DAY_S)
    assert await world.states(renewal) == [OrderState.SERVED]
    assert world.server.asked["answer"] == 1


async def test_what_may_be_gone_is_shown_anew_once_and_then_a_failure_in_words(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.server.validation_s = DAY_S
    await world.pass_time(60, step_s=5)
    for _ in range(2):
        assert await world.states(renewal) == [OrderState.PLACED]
        # no manager runs meanwhile
        world.now[0] += 2 * HOUR_S
        await world.pass_time(60, step_s=5)
    (order,) = await world.orders(renewal)
    gone = "they were placed more than an hour ago and may be gone"
    assert [each.message for each in order.steps if each.message] == [
        f"{ANEW}{gone}.",
        f"the CA could not be asked to validate the proofs because {gone}",
    ]
    kept = await world.renewal(renewal)
    assert (order.state, kept.failures) == (OrderState.ORDERED, 1)
    assert kept.retry_at_s <= world.now[0] + LADDER_S[0]


@pytest.mark.usefixtures("_by_key")
async def test_an_order_whose_account_gets_another_key_shows_what_that_key_makes_of_it(world: Renewing):
    renewal = await world.renewing("n1", "n2", age_days=31)
    world.showing.missing_at = lambda _name: "a node"
    await world.pass_time(12, step_s=4)
    assert await world.states(renewal) == [OrderState.ORDERED]
    await world.accounts.change_key(renewal.terms.account_id, actor="ada")
    world.showing.missing_at = lambda _name: ""
    await world.pass_time(120, step_s=5)
    (order,) = await world.orders(renewal)
    assert (order.state, (await world.renewal(renewal)).failures) == (OrderState.SERVED, 0)
    other = "the CA now wants a different proof for n1.example.com"
    assert [each.message for each in order.steps if each.message] == [f"{ANEW}{other}."]
    assert (world.server.asked["answer"], world.showing.placed) == (2, {})


async def test_a_ca_that_wants_something_else_each_time_is_a_failure(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=40)
    authorization, count = ModelCa.authorization, [0]

    async def another(ca: ModelCa, url: str, kind: ChallengeKind) -> Authorization:
        found = await authorization(ca, url, kind)
        count[0] += 1
        return replace(found, proof=replace(found.proof, token=f"token-{count[0]}"))

    monkeypatch.setattr(ModelCa, "authorization", another)
    await world.pass_time(60, step_s=5)
    kept = await world.renewal(renewal)
    assert await world.states(renewal) == [OrderState.ORDERED]
    assert kept.problem.message.startswith(
        "the CA could not be asked to validate the proofs because the CA now wants a different"
    )
    assert world.server.asked["answer"] == 0


@pytest.mark.parametrize(
    ("asked", "looks"), [((300.0, 120.0), [0.0, 300.0, 600.0]), ((7 * DAY_S,), [0.0, 1803.0])]
)
async def test_a_ca_that_says_when_to_look_at_an_authorization_again_is_asked_then(
    world: Renewing, monkeypatch: pytest.MonkeyPatch, asked: tuple[float, ...], looks: list[float]
):
    nodes = [f"n{number}" for number in range(1, len(asked) + 1)]
    renewal = await world.renewing(*nodes, age_days=40)
    authorization, at = ModelCa.authorization, list[float]()

    async def saying(ca: ModelCa, url: str, kind: ChallengeKind) -> Authorization:
        at.append(world.now[0])
        found = await authorization(ca, url, kind)
        return replace(found, retry_after_s=dict(zip(nodes, asked, strict=True))[found.name.split(".")[0]])

    monkeypatch.setattr(ModelCa, "authorization", saying)
    world.server.validation_s = DAY_S
    await world.pass_time(looks[-1] + 30, step_s=5)
    assert sorted({each - at[0] for each in at}) == looks
    is_over = looks[-1] > VALIDATED_WITHIN_S
    assert await world.states(renewal) == [OrderState.FAILED if is_over else OrderState.PLACED]
