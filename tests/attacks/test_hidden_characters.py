"""Whoever names something on a page, a reader, a node or who made a certificate, turns no words of it round and hides none."""

import re
import sys
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509

from common.api.codes import Role, Scope
from common.ids import NodeName
from common.text import HIDDEN, readable
from manager.domain.report import ConfigurationFault, Serving
from tests import pki
from tests.attacks.principals import api_token
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api
from tests.integration.web import visitor

UNSEEN = "\u202egnp\u2066\u200b\u2028\u00ad\ufeff\U000e0041\x1b[2J"
"""What turns round, takes no room, is a tag that nobody sees, or begins a command of a terminal."""

NAMED = f"renewal{UNSEEN}script"
HIDING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
LINK = re.compile(r'href="(/[^"#]*)"')


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiClient]:
    async with real_api(tmp_path, InPlace()) as made:
        await made.add_node("n1")
        yield made


def test_what_a_page_keeps_can_be_seen_or_is_white_space():
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    kept = readable(every)
    assert len(kept) == len(every)
    assert {char for char in kept if unicodedata.category(char) in HIDING} == set("\n\r\t")
    assert {char for char in every if char.isprintable()} <= set(kept)
    assert readable("Z\u00fcrich\u00a0\u2003\u6771\u4eac\n\tb") == "Z\u00fcrich\u00a0\u2003\u6771\u4eac\n\tb"


async def test_no_page_shows_a_character_that_hides_or_turns_what_stands_beside_it(
    api: ApiClient, record_property
):
    await api_token(api, Role.READ_ONLY, scope=Scope.READ_ONLY, label=NAMED)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAMED)])
    leaf = pki.make_leaf(None, ["n1.example.com"], subject=name)
    status, answer = await api.call(
        "POST", "certificates", {"certificate": leaf.certificate_pem, "private_key": leaf.key_pem}
    )
    assert status == 201, answer
    facts = api.fleet.registry.get(NodeName("n1"))
    facts.joined = True
    facts.serving = (Serving(consumer=NAMED, endpoint=NAMED, slot="server", leaf="ab", message=NAMED),)
    facts.configuration = (ConfigurationFault(code="services_invalid", message=NAMED),)
    facts.agent_version = NAMED
    seen, to_see, shown = set[str](), ["/"], 0
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        while to_see:
            path = to_see.pop()
            page = await browser.get(path, allow_redirects=False)
            seen.add(path)
            found = {f"U+{ord(char):04X}" for char in page.html if unicodedata.category(char) in HIDING}
            assert found <= {"U+000A", "U+000D", "U+0009"}, (path, found)
            shown += page.html.count(f"renewal{HIDDEN}gnp")
            if page.headers["Content-Type"].startswith("text/html"):
                to_see += {each for each in LINK.findall(page.html) if "?" not in each} - seen - set(to_see)
    print(f"on {len(seen)} pages the name was shown {shown} times")
    record_property("times shown", shown)
    assert len(seen) > 20
    assert shown > 5


async def test_a_text_that_is_edited_is_saved_as_it_was(api: ApiClient):
    leaf = pki.make_leaf(None, ["n1.example.com"])
    text = f"a note of {NAMED.replace(chr(0x1B), '')}\n{leaf.certificate_pem}"
    status, answer = await api.call(
        "POST", "certificates", {"certificate": text, "private_key": leaf.key_pem}
    )
    assert status == 201, answer
    number = answer["certificates"][0]["id"] if "certificates" in answer else answer["id"]
    stored = (await api.context.store.certificates.get(number)).text
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        page = await browser.get(f"/certificates/{number}/edit")
        assert page.values["certificate"] == [stored]
