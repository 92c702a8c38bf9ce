"""docs/renewal.md as it is typed: from no account to certificates of a CA on the ports of nodes, and to the account's end."""

import re
import shlex
from pathlib import Path

import pytest

from tests import pki
from tests.system.renewing import RenewingFleet, renewing_fleet

DOCUMENT = Path(__file__).parents[2] / "docs" / "renewal.md"
COMMAND = re.compile(r"^    (certcast [^#\n]*?) *(?:#.*)?$", re.MULTILINE)
NEW, THERE = "meet.example.com", "talk.example.com"
ORDERED = 2
"""Nodes that the document orders a certificate for; the third has one already."""

WITH_A_BINDING = "--eab-id"
"""This CA wants none; tests/integration/acme has one that does."""


def typed() -> list[list[str]]:
    return [shlex.split(line) for line in COMMAND.findall(DOCUMENT.read_text())]


async def upload(there: RenewingFleet) -> None:
    """Give the third node a certificate that somebody else's CA has made, for a name of its own."""
    _, issuer = pki.current_ca("By hand")
    made = pki.current_leaf(issuer, [THERE])
    body = {
        "certificate": made.certificate_pem + issuer.certificate_pem,
        "private_key": made.key_pem,
        "nodes": [str(there.names[ORDERED])],
        "slot": "server",
    }
    await there.fleet.api.call("POST", "certificates", body)


@pytest.mark.services("root", "nginx", "openssl", "pebble", "pebble-challtestsrv")
async def test_what_the_document_says_renews_certificates_as_it_is_typed(tmp_path: Path):
    async with renewing_fleet(tmp_path, "conf1", "conf2", "conf3") as there:
        there.pebble.point(NEW, [each.address for each in there.places[:ORDERED]])
        there.pebble.point(THERE, [each.address for each in there.places[ORDERED:]])
        await upload(there)
        trusted = tmp_path / "root.pem"
        trusted.write_text(there.pebble.trust_pem)
        url, printed = there.pebble.directory_url, {}
        staging = ["--staging", f"{url}?tests"]
        own = ["--directory", url, *staging, "--trusted-ca", str(trusted), "--agree-to-terms"]
        for words in typed():
            line = " ".join(words)
            if WITH_A_BINDING in words:
                continue
            if words[1:3] == ["account", "remove"]:
                for each in await there.use_cases.renewals.list():
                    await there.fleet.site.run(
                        "certcast", "renewal", "remove", str(each.renewal.id), "--force"
                    )
            if words[1:3] == ["account", "add"]:
                words = [*words[:4], *own]  # noqa: PLW2901 - which this CA wants
            if words[1:3] == ["account", "deactivate"]:
                with pytest.raises(RuntimeError, match=f"of {NEW} .* would stop"):
                    await there.fleet.site.run(*words)
                # whoever types it is asked
                words.append("--force")
            printed[line] = await there.fleet.site.run(*words)
            if line.startswith("certcast renewal set --account"):
                (first,) = await there.use_cases.renewals.list()
                await there.until_served(first.renewal)
                before = await there.leaf_on_ports(NEW, first=ORDERED)
            if words[1] == "renew":
                assert await there.leaf_on_ports(NEW, first=ORDERED) != before
        assert len(printed) > 10
        assert [each.name for each in await there.use_cases.accounts.list()] == ["own"]
