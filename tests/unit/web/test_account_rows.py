"""Accounts at CAs as pages show them."""

import pytest

from manager.domain.renewal.records import AccountId, AccountRecord
from manager.web.account_rows import ca_name, shown_accounts


def account(number: int, name: str, *, url: str = "", deactivated_s: float | None = None) -> AccountRecord:
    return AccountRecord(
        id=AccountId(number),
        name=name,
        directory_url="https://ca.example.com/directory",
        staging_url="",
        trusted_cas="",
        contact=("mailto:ops@example.com",),
        binding_id="",
        url=url,
        terms_agreed=False,
        created_s=0.0,
        deactivated_s=deactivated_s,
    )


@pytest.mark.parametrize(
    ("directory_url", "name"),
    [
        ("https://acme-v02.api.letsencrypt.org/directory", "Let's Encrypt"),
        ("https://acme-staging-v02.api.letsencrypt.org/directory", "Let's Encrypt (staging)"),
        ("https://ca.example.com:9000/acme/acme/directory", "ca.example.com"),
    ],
)
def test_a_ca_is_called_by_the_name_that_it_is_known_by_else_by_its_host(directory_url: str, name: str):
    assert ca_name(directory_url) == name


def test_accounts_are_in_the_order_of_their_names_and_those_that_are_over_come_last():
    made = [account(1, "a", deactivated_s=5.0), account(2, "c"), account(3, "B", url="https://ca/3")]
    shown = shown_accounts(made, [])
    assert [(each.record.id, each.state[1]) for each in shown] == [
        (3, "Registered"),
        (2, "Not registered yet"),
        (1, "Deactivated"),
    ]
    assert shown[0].contact == ["ops@example.com"]
