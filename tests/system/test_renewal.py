"""Renewal from end to end: a CA that speaks ACME, a manager, three agents with an nginx each, and ports that OpenSSL looks at."""

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from manager.domain.renewal.records import ChallengeKind, OrderRecord, OrderState
from tests.bind import PORT, TsigKey, nameservers, zone_text
from tests.pebble import DAY_S, Faults
from tests.system.renewing import CA_AGENT, SHARED, RenewingFleet, renewing_fleet
from tests.system.test_metrics import scrape

NEEDED = pytest.mark.services("root", "nginx", "openssl", "pebble", "pebble-challtestsrv")
OWN_AGENT = "Certcast"
"""How the manager calls itself when it looks for a proof as the CA will."""
ORDERS_ENOUGH = 4
"""pebble takes an older proof of a name for one order in a hundred, even where it is told never to, and then looks for none."""


def entry_pem(text: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text.encode())


async def leaf_of(there: RenewingFleet, number: int) -> str:
    """Return the fingerprint of a certificate in the store."""
    return (await there.store.certificates.get(number)).fingerprint


def reached(orders: Sequence[OrderRecord], state: OrderState) -> bool:
    """Return whether the latest order has come so far, or further."""
    return bool(orders) and any(step.state is state for step in orders[0].steps)


@NEEDED
async def test_a_name_of_three_nodes_is_proven_by_whichever_the_ca_asks_and_every_port_shows_the_new_leaf(
    tmp_path: Path,
):
    secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    async with renewing_fleet(tmp_path, "n1", "n2", "n3", bindings={"kid-1": secret}) as there:
        account = await there.account(binding_id="kid-1", binding_key=secret)
        renewal = await there.order(account, SHARED, *(f"{name}.renew.example" for name in there.names))
        (first,) = await there.until_served(renewal)
        leaves = [await there.leaf_on_ports(SHARED)]
        for place in there.places:
            before = place.asked_by(CA_AGENT, SHARED)
            others = [each.address for each in there.places if each is not place]
            there.pebble.point(SHARED, [place.address, *others])
            for _ in range(ORDERS_ENOUGH):
                await there.use_cases.renewals.order_now(renewal.id, actor="ada")
                orders = await there.until_served(renewal, count=len(leaves) + 1)
                leaves.append(await there.leaf_on_ports(SHARED))
                if place.asked_by(CA_AGENT, SHARED) > before:
                    break
            assert place.asked_by(CA_AGENT, SHARED) > before
        assert len(set(leaves)) == len(leaves) > len(there.places)
        assert all(place.asked_by(OWN_AGENT, SHARED) for place in there.places)
        shown = entry_pem(leaves[-1]).fingerprint(entry_pem(leaves[-1]).signature_hash_algorithm)
        assert shown.hex() == await leaf_of(there, orders[0].answer_id)
        assert first.answer_id != orders[0].answer_id
        _, samples = await scrape(there.fleet.session, there.fleet.site.url)
        assert samples["certcast_renewals", ""] == 1
        assert samples["certcast_renewals_failing", ""] == samples["certcast_renewal_failures_total", ""] == 0
        assert samples["certcast_renewal_served_seconds_count", ""] == len(leaves)
        assert samples["certcast_renewal_next_timestamp_seconds", ""] > orders[0].created_s
        assert await there.store.placed_challenges.all() == []


@NEEDED
async def test_a_manager_that_is_killed_while_the_ca_looks_and_while_nodes_install_goes_on_with_the_same_order(
    tmp_path: Path,
):
    async with renewing_fleet(tmp_path, "n1", "n2", "n3", faults=Faults(sleep_s=4)) as there:
        account = await there.account()
        renewal = await there.order(account, SHARED)
        for state in (OrderState.PLACED, OrderState.TAKEN_OVER):
            await there.until(renewal, lambda orders, state=state: reached(orders, state))
            await there.kill_manager()
        (order,) = await there.until_served(renewal)
        assert order.state is OrderState.SERVED
        await there.leaf_on_ports(SHARED)
        assert there.pebble.log.count("Issued certificate serial") == 1


@NEEDED
async def test_a_profile_and_a_preferred_chain_are_served_and_a_window_that_the_ca_moves_is_obeyed_at_once(
    tmp_path: Path,
):
    async with renewing_fleet(tmp_path, "n1", "n2", "n3") as there:
        account = await there.account()
        renewal = await there.order(
            account, SHARED, profile="shortlived", preferred_chain=there.pebble.root_name(1)
        )
        await there.until_served(renewal)
        leaf = await there.leaf_on_ports(SHARED, root=1)
        life = entry_pem(leaf).not_valid_after_utc - entry_pem(leaf).not_valid_before_utc
        assert abs(life.total_seconds() - 6 * DAY_S) < 60
        past = datetime.now(UTC) - timedelta(days=1)
        window = {"start": past.isoformat(), "end": (past + timedelta(hours=1)).isoformat()}
        there.pebble.suggest(leaf, json.dumps({"suggestedWindow": window}))
        async with there.store.transaction():
            # as once the hours have passed for which the CA wants not to be asked, and no window counts
            known = await there.store.renewals.get(renewal.id)
            await there.store.renewals.keep(replace(known, poll_at_s=0.0, window_from_s=0.0))
        orders = await there.until_served(renewal, count=2)
        assert orders[0].replaces != ""
        assert await there.leaf_on_ports(SHARED, root=1) != leaf


SETTINGS = """
[dns]
resolvers = ["{address}"]

[[dns.zone]]
names = ["renew.example"]
server = "{address}"
key_file = "{key_file}"
"""


@pytest.mark.services("root", "nginx", "openssl", "pebble", "pebble-challtestsrv", "ip", "named")
async def test_names_that_no_ca_reaches_are_proven_by_records_that_bind_takes_and_loses_again(tmp_path: Path):
    key = TsigKey()
    with nameservers(1, keys=[key]) as (named,):
        named.serve("renew.example", zone_text({"ns": named.address}), writers=[key])
        named.start()
        settings = SETTINGS.format(address=named.address, key_file=key.written(tmp_path / "zone.key"))
        async with renewing_fleet(
            tmp_path, "n1", "n2", "n3", resolver=f"{named.address}:{PORT}", settings=settings
        ) as there:
            account = await there.account()
            names = ("*.renew.example", "renew.example")
            renewal = await there.order(account, *names, challenge=ChallengeKind.DNS)
            await there.until_served(renewal)
            await there.leaf_on_ports("anything.renew.example")
            assert named.texts("_acme-challenge.renew.example") == []
            assert sum(place.asked_by(CA_AGENT, "renew.example") for place in there.places) == 0
