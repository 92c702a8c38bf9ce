"""`certcast certificate diff`."""

import json

from tests.unit.cli.test_naming import entry

CHAIN = {"state": "complete", "explanation": "complete", "links": [{"subject": "leaf"}, {"subject": "CN=CA"}]}
OLD = entry(3, "a.example.com", "abcd", "a.example.com", "old.example.com", key_type="RSA", key_bits=2048)
NEW = entry(7, "a.example.com", "beef", "a.example.com", "new.example.com", key_type="RSA", key_bits=4096)


def test_only_what_differs_is_shown(api, run):
    api.answer("GET", "certificates/3", OLD | {"chain_of_trust": CHAIN})
    api.answer("GET", "certificates/7", NEW | {"chain_of_trust": CHAIN})
    shown = run("certificate", "diff", "3", "7")
    assert shown.exit_code == 0, shown.stderr
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert "names only here old.example.com new.example.com" in lines
    assert "key RSA 2048 RSA 4096" in lines
    assert not [line for line in lines if line.startswith(("subject", "chain", "valid"))]


def test_the_same_content_is_said_to_be_the_same(api, run):
    api.answer("GET", "certificates/3", OLD)
    api.answer("GET", "certificates/4", OLD | {"id": 4})
    assert run("certificate", "diff", "3", "4").stdout == "Certificates 3 and 4 have the same content.\n"


def test_programs_get_both_and_the_names_of_what_differs(api, run):
    api.answer("GET", "certificates/3", OLD)
    api.answer("GET", "certificates/7", NEW)
    answer = json.loads(run("certificate", "diff", "3", "7", "-o", "json").stdout)
    assert answer["differs"] == ["names only here", "key", "fingerprint"]
    assert [each["id"] for each in answer["certificates"]] == [3, 7]
