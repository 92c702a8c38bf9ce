"""The words for what is wrong with services.toml: where it is, and what was probably meant."""

import pytest

from nodeagent.core.file_lines import lines_of_keys
from nodeagent.core.servicesfile import ServicesError, UserDatabase, parse_services, salvage_services

ACCOUNTS = UserDatabase(uid={"root": 0}.get, gid={"root": 0}.get)

FILE = """\
# who uses the files
[files]
group = "root"

[[consumer]]
name = "web"
reload = ["/usr/sbin/nginx"]

[[ consumer.endpoint ]]   # the first
host = "127.0.0.1"
port = 443
protocol = "https"

[[consumer]]
name = "sip"
reload = ["/usr/sbin/kamcmd"]
[[consumer.endpoint]]
host = "127.0.0.1"
port = 5061
protocol = "sip-tls"
[[consumer.endpoint]]
host = "127.0.0.1"
port = 5062
protocol = "sip-tls"
[[consumer.copy]]
file = "server/combined.pem"
to = "/etc/x.pem"
owner = "root"
group = "root"
mode = "0400"
"""


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(ServicesError) as refused:
        parse_services(text, ACCOUNTS)
    return refused.value.mistakes


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            'name = "web"\nreload',
            'name = "web"\nrelaod',
            "line 7: consumer 'web': relaod: no such key; did you mean 'reload'?",
        ),
        (
            "port = 443\n",
            "prot = 443\n",
            "line 11: consumer 'web': endpoint 1: prot: no such key; did you mean 'port'?",
        ),
        (
            "port = 5062",
            "port = 99999",
            "line 23: consumer 'sip': endpoint 2: port: 99999 must be a port, 1 to 65535",
        ),
        (
            'protocol = "https"',
            'protocol = "htps"',
            (
                "line 12: consumer 'web': endpoint 1: protocol: 'htps' must be one of https, tls, sip-tls, turns, smtp, ldap, xmpp; "
                "did you mean 'https'?"
            ),
        ),
        (
            'owner = "root"',
            'owner = "gone"',
            "line 28: consumer 'sip': copy 1: owner: there is no user 'gone' on this node",
        ),
        ('mode = "0400"\n', "", "line 25: consumer 'sip': copy 1: mode: is missing and must be four octal"),
        ('group = "root"\n\n', 'grup = "root"\n\n', "line 3: files.grup: no such key; did you mean 'group'?"),
        (
            "[files]",
            "colour = 1\n[files]",
            "line 2: colour: no such key; known are challenges, consumer, files",
        ),
        ("[[consumer]]\nname", "[[consumer]\nname", "this is not TOML"),
        ("[files]", "[fils]", "line 2: fils: no such key; did you mean 'files'?"),
        (
            "[[consumer.copy]]",
            "[[consumer.copies]]",
            "line 25: consumer 'sip': copies: no such key; did you mean 'copy'?",
        ),
    ],
)
def test_a_mistake_names_its_line_its_key_and_the_nearest_right_word(old, new, sentence):
    assert old in FILE
    assert any(one.startswith(sentence) for one in mistakes(FILE.replace(old, new, 1))), mistakes(
        FILE.replace(old, new, 1)
    )


def test_a_text_over_several_lines_hides_no_line_and_adds_no_key():
    text = 'a = """\n[b]\nc = 1\n"""\n[d]\ne = 1\n'
    assert lines_of_keys(text) == {((), "a"): 1, (("d",), ""): 5, (("d",), "e"): 6}


def test_a_key_in_an_inline_table_has_no_line_and_is_told_all_the_same():
    text = 'consumer = [{ name = "web", relaod = [] , reload = ["/bin/true"] }]'
    assert mistakes(text) == ("consumer 'web': relaod: no such key; did you mean 'reload'?",)


def test_of_a_file_that_was_right_once_each_consumer_that_still_is_remains():
    text = FILE.replace('owner = "root"', 'owner = "gone"')
    services, lost = salvage_services(text, ACCOUNTS)
    assert [one.name for one in services.consumers] == ["web"]
    assert len(lost) == 1
    assert "there is no user 'gone'" in lost[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[consumer]\nname = "web"\n',
            "line 1: consumer: is a table and must be written as [[consumer]] tables",
        ),
        (
            "files = [{a = 1}]\n",
            "line 1: files: is a list with tables and must be a table",
        ),
        ("files = true\n", "line 1: files: true must be a table"),
        ("files = 2026-01-02\n", "line 1: files: 2026-01-02 must be a table"),
    ],
)
def test_a_value_is_quoted_as_the_file_has_it_and_never_as_a_program_would(text, said):
    assert said in mistakes(text)
