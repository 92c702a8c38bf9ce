import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from manager.http.proxies import HOPS_MAX, Proxies

PROXY = "10.0.0.1"
PROXIES = Proxies(["10.0.0.0/24", "2001:db8:9::/64"])


def behind(*headers: tuple[str, str]) -> tuple[str, str]:
    request = make_mocked_request("GET", "/", CIMultiDict([("Host", "inner.example"), *headers]))
    return PROXIES.client(request, PROXY)


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([], PROXY),
        ([("X-Forwarded-For", "192.0.2.7")], "192.0.2.7"),
        # what the client sent stands to the left of what the proxy adds
        ([("X-Forwarded-For", "203.0.113.9, 192.0.2.7")], "192.0.2.7"),
        ([("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "192.0.2.7")], "192.0.2.7"),
        # proxies of ours behind one another
        ([("X-Forwarded-For", "203.0.113.9, 192.0.2.7, 10.0.0.2, 2001:db8:9::5")], "192.0.2.7"),
        ([("X-Forwarded-For", "10.0.0.7")], "10.0.0.7"),
        ([("X-Forwarded-For", "192.0.2.7:4711")], "192.0.2.7"),
        ([("X-Forwarded-For", "[2001:db8::7]:4711")], "2001:db8::7"),
        ([("X-Forwarded-For", "2001:db8::7")], "2001:db8::7"),
        ([("X-Forwarded-For", "192.0.2.7, unknown")], PROXY),
        ([("X-Forwarded-For", "192.0.2.7, unknown, 10.0.0.3")], "10.0.0.3"),
        ([("X-Forwarded-For", ", ".join(["10.0.0.9"] * (HOPS_MAX + 1)))], "10.0.0.9"),
        ([("Forwarded", "for=192.0.2.7;proto=https")], "192.0.2.7"),
        ([("Forwarded", 'For="[2001:db8::7]:4711", for=10.0.0.2')], "2001:db8::7"),
        ([("Forwarded", "for=203.0.113.9"), ("Forwarded", "for=192.0.2.7")], "192.0.2.7"),
        ([("Forwarded", "for=_hidden")], PROXY),
        ([("Forwarded", "for=unknown, for=10.0.0.2")], "10.0.0.2"),
        ([("Forwarded", 'for="203.0.113.9, for="[2001:db8::7]"')], PROXY),
        ([("Forwarded", "for=192.0.2.7"), ("X-Forwarded-For", "192.0.2.7")], "192.0.2.7"),
        # the proxy writes one of them, and the client sent the other
        ([("Forwarded", "for=203.0.113.9"), ("X-Forwarded-For", "192.0.2.7")], PROXY),
    ],
)
def test_the_client_is_the_right_most_address_that_is_no_trusted_proxys(headers, address: str):
    assert behind(*headers)[0] == address


def test_the_host_is_what_the_browser_asked_the_proxy_for():
    assert behind(("Forwarded", "for=192.0.2.7;host=certs.example"))[1] == "certs.example"
    assert behind(("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Host", "x.example, certs.example"))[1] == (
        "certs.example"
    )
    assert behind(("X-Forwarded-For", "192.0.2.7"))[1] == "inner.example"
    disputed = [("Forwarded", "for=203.0.113.9;host=evil.example"), ("X-Forwarded-For", "192.0.2.7")]
    assert behind(*disputed)[1] == "inner.example"


def test_only_listed_networks_are_trusted():
    assert PROXIES.trust("10.0.0.255")
    assert PROXIES.trust("::ffff:10.0.0.1")
    for address in ("10.0.1.1", "2001:db8:9:1::1", "", "in-process", "::1"):
        assert not PROXIES.trust(address)
    assert not Proxies([]).trust("127.0.0.1")
