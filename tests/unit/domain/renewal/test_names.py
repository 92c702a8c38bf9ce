"""Names that a certificate can be ordered for, and what is wrong with others."""

import pytest

from manager.domain.renewal.names import host_fault, kind_of, name_fault


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("meet.example.com", "host"),
        ("Meet.Example.COM", "host"),
        ("*.example.com", "wildcard"),
        ("xn--mnchen-3ya.example", "host"),
        ("1.2.3.example", "host"),
        ("3com.com", "host"),
        ("192.0.2.1", "address"),
        ("2001:db8::1", "address"),
        # with a joiner (IDNA2008), and with a character that Python does not know yet
        ("xn--mgba3gch31f060k.com", "host"),
        ("xn--11b2ezcw70k.example", "host"),
        ("*." + "x." * 125 + "x", "wildcard"),
        ("*." + "x." * 125 + "xx", None),
        ("fe80::1%eth0", None),
        ("localhost", None),
        ("*.*.example.com", None),
        ("a_b.example.com", None),
        ("-a.example.com", None),
        ("a.example.com;", None),
    ],
)
def test_a_name_is_of_a_kind_that_cas_prove_or_of_none(name: str, kind: str | None):
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    ("host", "fault"),
    [
        ("10.0.0.999", "ends in a number, as only an IPv4 address does, and is none"),
        ("1.2.3", "ends in a number, as only an IPv4 address does, and is none"),
        ("a.0x1f", "ends in a number, as only an IPv4 address does, and is none"),
        ("xn--a", "has a part ('xn--a') that stands for no international name"),
        ("xn--.com", "has a part ('xn--') that stands for no international name"),
        ("xn--abc-.com", "has a part ('xn--abc-') that stands for no international name"),
        ("a..b", "has nothing before a dot"),
        (".a", "has nothing before a dot"),
        ("", "is empty"),
        ("ca.example.com.", "ends with a dot, which is to be left out"),
        ("x" * 64 + ".com", "has a part of more than 63 characters"),
        ("x." * 126 + "xx", "has more than 253 characters"),
        (
            "a b.com",
            "has a part ('a b') that has something other than letters, digits and hyphens, or begins or ends with a hyphen",
        ),
        (
            "b\xfccher.com",
            "has characters that names in DNS do not have; write it as 'xn--bcher-kva.com'",
        ),
        ("ca", ""),
        ("xn--strae-oqa.de", ""),
        ("xn--ls8h.la", ""),
    ],
)
def test_what_no_machine_can_be_called_is_told_with_why(host: str, fault: str):
    assert host_fault(host) == fault


def test_a_name_without_a_domain_is_of_a_host_and_not_to_be_ordered():
    assert (host_fault("ca"), name_fault("ca")) == (
        "",
        "is no host name with a domain, such as meet.example.com, nor an IP address",
    )


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "a.localhost", "*.localhost"])
def test_a_name_that_leads_each_machine_to_itself_is_told_so(name: str):
    assert name_fault(name) == "leads each machine to itself (RFC 6761 6.3)"


def test_a_machine_that_is_reached_may_have_a_low_line_in_its_name_which_is_shown_as_it_is():
    assert host_fault("my_ca", is_reached=True) == ""
    assert host_fault("my_ca") == host_fault("my_ca!", is_reached=True).replace("my_ca!", "my_ca")
    assert host_fault("my_ca!", is_reached=True).startswith("has a part ('my_ca!') that has something other")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("*.192.0.2.1", "is a wildcard of an IP address, for which no CA signs anything"),
        (
            "*.b\xfccher.example",
            "has characters that names in DNS do not have; write it as '*.xn--bcher-kva.example'",
        ),
        ("*." + "x." * 126 + "x", "has more than 253 characters"),
    ],
)
def test_a_wildcard_is_told_what_is_wrong_with_it_as_a_whole(name: str, fault: str):
    assert name_fault(name) == fault
