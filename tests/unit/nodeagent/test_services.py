import pytest

from common.errors import InvalidInputError
from nodeagent.core.services import CONSUMERS_MAX, Consumer, Endpoint
from nodeagent.core.servicesfile import Accounts, parse_services

ACCOUNTS = Accounts(
    uid={"root": 0, "turnserver": 105}.get, gid={"root": 0, "ssl-cert": 4, "turnserver": 110}.get
)

WHOLE = """
[files]
group = "ssl-cert"

[[consumer]]
name = "kamailio"
uses = ["server", "trust"]
reload = ["/usr/sbin/kamcmd", "tls.reload"]
timeout_s = 10
verify_timeout_s = 2.5

[[consumer.endpoint]]
host = "127.0.0.1"
port = 5061
protocol = "sip-tls"
sni = "sip.example.com"

[[consumer]]
name = "nginx"
reload = ["/usr/sbin/nginx", "-s", "reload"]
"""


def findings(text: str) -> str:
    with pytest.raises(InvalidInputError) as refused:
        parse_services(text, ACCOUNTS)
    assert refused.value.field == "services"
    return refused.value.message


def test_a_whole_file_is_read_with_its_defaults():
    services = parse_services(WHOLE, ACCOUNTS)

    assert services.secret_gid == 4
    assert services.consumers[0] == Consumer(
        name="kamailio",
        uses=("server", "trust"),
        reload=("/usr/sbin/kamcmd", "tls.reload"),
        timeout_s=10,
        verify_timeout_s=2.5,
        endpoints=(Endpoint(host="127.0.0.1", port=5061, protocol="sip-tls", sni="sip.example.com"),),
    )
    assert services.consumers[1].uses == ("server",)
    assert services.consumers[1].endpoints == ()


def test_an_empty_file_is_a_node_that_only_keeps_the_files():
    assert parse_services("", ACCOUNTS).consumers == ()


def test_every_finding_is_told_at_once_with_its_key_and_value():
    told = findings(
        """
        colour = "red"
        [[consumer]]
        name = "Web"
        uses = ["server", "clients"]
        reload = "nginx -s reload"
        timeout_s = 1000
        [[consumer]]
        name = "mail"
        reload = ["postfix", "reload"]
        [[consumer.endpoint]]
        host = "127.0.0.1"
        port = 99999
        protocol = "imap"
        slot = "client"
        """
    )
    for part in (
        "colour: no such key",
        "consumer 1: name: 'Web' must be",
        "consumer 1: uses: 'clients' is none of",
        "consumer 1: reload: 'nginx -s reload' must be a list",
        "consumer 1: timeout_s: 1000 must be more than 0 and at most 120",
        "consumer 'mail': reload: 'postfix' must begin with the program's absolute path",
        "consumer 'mail': endpoint 1: port: 99999",
        "consumer 'mail': endpoint 1: protocol: 'imap' is none of https, tls, sip-tls, turns, smtp, ldap, xmpp",
        "consumer 'mail': endpoint 1: slot: 'client' is not among what the consumer uses",
    ):
        assert part in told


def test_a_name_is_used_once():
    one = '[[consumer]]\nname = "a"\nreload = ["/bin/true"]\n'
    assert "the name 'a' is used twice" in findings(one + one)


def test_there_is_a_limit_to_consumers_and_endpoints():
    one = '[[consumer]]\nname = "a{}"\nreload = ["/bin/true"]\n'
    endpoint = '[[consumer.endpoint]]\nhost = "::1"\nport = 443\nprotocol = "tls"\n'
    assert "the limit is 16" in findings("".join(one.format(number) for number in range(CONSUMERS_MAX + 1)))
    assert "the limit is 64" in findings(one.format(1) + endpoint * 65)


@pytest.mark.parametrize(
    "text",
    [
        "consumer = 3",
        "files = 3",
        "[consumer]\nname = 'a'",
        "not toml",
        "[[consumer]]\nname='a'\nreload=['/x']\nendpoint=3",
        "[[consumer]]\nname='a'\nreload=[]",
        '[[consumer]]\nname="a"\nreload=["/x\\u0000"]',
        "[[consumer]]\nname='a'\nreload=['/x']\ntimeout_s=true",
        "[[consumer]]\nname='a'\nreload=['/x']\nuses=[]",
        "[[consumer]]\nname='a'\nreload=['/x']\nuses=[['server']]",
        "[[consumer]]\nname='a'\nreload=['/x']\n[[consumer.endpoint]]\nhost=['x']\nport=true\nprotocol=[]\nslot=[]",
        "[files]\ngroup = 'a b'",
        "x" * 70_000,
    ],
)
def test_a_wrong_shape_is_refused_and_never_an_exception_of_another_kind(text):
    findings(text)


def test_an_endpoints_label_tells_it_from_others():
    assert Endpoint(host="::1", port=443, protocol="tls").label == "[::1]:443"
    assert Endpoint(host="a", port=443, protocol="tls", sni="b").label == "a:443/b"
