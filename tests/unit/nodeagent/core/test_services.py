import pytest

from common.errors import InvalidInputError
from nodeagent.core.services import CONSUMERS_MAX, Consumer, Copy, Endpoint, Window
from nodeagent.core.servicesfile import UserDatabase, parse_services

ACCOUNTS = UserDatabase(
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
    shown = findings(
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
        "consumer 1: uses: 'clients' must be one of",
        "consumer 1: reload: 'nginx -s reload' must be a list",
        "consumer 1: timeout_s: 1000 must be more than 0 and at most 120",
        "consumer 'mail': reload: 'postfix' must begin with the program's absolute path",
        "consumer 'mail': endpoint 1: port: 99999",
        "consumer 'mail': endpoint 1: protocol: 'imap' must be one of https, tls, sip-tls, turns, smtp, ldap, xmpp",
        "consumer 'mail': endpoint 1: slot: 'client' is not among what the consumer uses",
    ):
        assert part in shown


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


SIP = """
[[consumer]]
name = "sip"
reload = ["/usr/bin/fs_cli"]
impact = "drops_calls"
window = "23:30-04:00"
urgent_hours = 48
unit = "freeswitch@main.service"
[[consumer.copy]]
file = "server/combined.pem"
to = "/var/lib/certcast/copies/agent.pem"
owner = "turnserver"
group = "ssl-cert"
mode = "0440"
"""


def test_when_a_service_may_be_reloaded_and_what_copy_it_gets_is_read():
    (sip,) = parse_services(SIP, ACCOUNTS).consumers
    assert (sip.impact, sip.window, sip.min_interval_s) == ("drops_calls", Window(start=1410, end=240), 3600)
    assert (sip.urgent_s, sip.unit) == (48 * 3600, "freeswitch@main.service")
    assert sip.copies == (
        Copy(path="server/combined.pem", to="/var/lib/certcast/copies/agent.pem", uid=105, gid=4, mode=0o440),
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('window = "23:30-04:00"', "", "window: is missing and says when calls may be dropped"),
        ('"23:30-04:00"', '"23:30-24:00"', "window: '23:30-24:00' must be a span of the day"),
        ('"23:30-04:00"', '"04:00-04:00"', "must be a span of the day"),
        ('"drops_calls"', '"some"', "impact: 'some' must be one of none, new_connections, drops_calls"),
        ("= 48", "= -1", "urgent_hours: -1 must be at least 0"),
        ("freeswitch@main.service", "--help", "unit: '--help' must be a unit's full name"),
        ("server/combined.pem", "../combined.pem", "file: '../combined.pem' is not a file of the tree"),
        ("server/combined.pem", "client/combined.pem", "is not among what the consumer uses"),
        ("/var/lib/certcast/copies/", "copies/", "must be a file's absolute path"),
        ("/copies/", "/../", "must be a file's absolute path"),
        ("/copies/", "//", "must be a file's absolute path"),
        ("agent.pem", "a\\u0000", "must be a file's absolute path"),
        ('"turnserver"', '"nobody-here"', "owner: there is no user 'nobody-here' on this node"),
        ('"ssl-cert"', '"nobody-here"', "group: there is no group 'nobody-here' on this node"),
        ('owner = "turnserver"', "", "owner: is missing and must be a user's name"),
        ('"0440"', '"0444"', "mode: '0444' would let everybody read a private key"),
        ('"0440"', '"440"', "mode: '440' must be four octal digits"),
        ('"0440"', "288", "mode: 288 must be four octal digits"),
        ('mode = "0440"', 'mode = "0440"\nshell = "x"', "shell: no such key"),
    ],
)
def test_what_is_wrong_with_a_window_or_a_copy_is_told(old, new, sentence):
    assert old in SIP
    assert sentence in findings(SIP.replace(old, new))


def test_calls_may_be_dropped_at_any_time_where_that_is_said():
    (sip,) = parse_services(SIP.replace("23:30-04:00", "any"), ACCOUNTS).consumers
    assert sip.window is None


def test_two_copies_never_share_a_path():
    assert "copy: the path '/var/lib/certcast/copies/agent.pem' is used twice" in findings(
        SIP + SIP.replace('name = "sip"', 'name = "other"')
    )
