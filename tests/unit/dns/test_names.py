"""Names of records: where a CA looks, and which names it can look for at all."""

import pytest

from manager.dns.names import CHALLENGE, NAME_MAX, check_changeable, record_name
from manager.usecases.renewal.ports import CaError


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("example.com", "_acme-challenge.example.com"),
        ("*.example.com", "_acme-challenge.example.com"),
        ("Conf.Example.COM", "_acme-challenge.conf.example.com"),
        ("xn--bcher-kva.example", "_acme-challenge.xn--bcher-kva.example"),
    ],
)
def test_a_record_stands_below_the_name_and_a_wildcards_below_what_it_is_for(name, record):
    assert record_name(name, CHALLENGE) == record


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("bücher.example", "has other than ASCII letters; write it as 'xn--bcher-kva.example'"),
        ("example.com.", "ends in a dot"),
        ("a" * 64 + ".example", "has a part of more than 63 characters"),
        ("192.0.2.1", "is an IP address among the DNS names"),
        ("2001:db8::1", "is an IP address among the DNS names"),
        ("a.*.example", "has a wildcard where clients do not expand it"),
        ("a_b.example", "has an underscore"),
        ("a..example", "is not a host name"),
        ("", "is not a host name"),
        ("a\x1b[31m.example", "is not a host name"),
    ],
)
def test_a_name_that_dns_does_not_have_is_told_with_what_is_wrong(name, why):
    with pytest.raises(CaError) as refused:
        record_name(name, CHALLENGE)
    assert why in refused.value.message
    assert refused.value.is_final
    assert refused.value.message.isprintable()


def test_a_name_may_be_so_long_that_its_record_just_is_one():
    longest = NAME_MAX - len(CHALLENGE) - 1
    name = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * (longest - 192)])
    assert len(record_name(name, CHALLENGE)) == NAME_MAX
    with pytest.raises(CaError, match="too long: with _acme-challenge before it"):
        record_name(name.replace("d", "dd", 1), CHALLENGE)


@pytest.mark.parametrize(
    "record",
    [
        "_acme-challenge.example.com",
        "8e5700ea-a4bf-41c7-8a77-e990661dcc6a.auth.example",
        "_acme_challenge.a_b.example",
        "x",
    ],
)
def test_a_record_of_a_host_or_a_service_is_changed(record):
    check_changeable(record)


@pytest.mark.parametrize(
    "record",
    [
        "--config=/tmp/evil.proofs.example",
        "-rf.proofs.example",
        "a.-b.proofs.example",
        "x\\.proofs.example",
        "`id`.proofs.example",
        "a|b.proofs.example",
        "*.proofs.example",
        "a\\010b.proofs.example",
        "a b.proofs.example",
        "a..example",
        "",
    ],
)
def test_a_record_whose_name_could_mean_something_else_to_a_command_or_have_a_dot_in_a_label_is_not_changed(
    record,
):
    with pytest.raises(CaError, match="its labels are not made of"):
        check_changeable(record)
