import pytest

from tests import pki
from tests.oauth import public_pem

MADE = {"client_id": "ab" * 16, "name": "terraform", "role": "operator", "public_key": "x", "created_at_s": 0}


def test_a_program_is_registered_with_its_public_key_and_told_where_to_ask(api, run, tmp_path):
    pem = public_pem(pki.make_key())
    (tmp_path / "client.pub").write_text(pem)
    api.answer("POST", "oauth-clients", MADE, status=201)
    arguments = ["--role", "operator", "--public-key", str(tmp_path / "client.pub")]
    done = run("oauth-client", "add", "terraform", *arguments)
    assert done.exit_code == 0, done.stderr
    body = {"name": "terraform", "role": "operator", "public_key": pem}
    assert api.asked == [("POST", "oauth-clients", body)]
    assert f"{api.url}/oauth/token/" in done.stdout
    assert "ab" * 16 in done.stdout


@pytest.mark.parametrize("content", [pki.make_leaf(None).key_pem.encode(), b"\xff", None])
def test_a_private_key_or_no_key_is_never_sent(api, run, tmp_path, content):
    file = tmp_path / "client.key"
    if content is not None:
        file.write_bytes(content)
    done = run("oauth-client", "add", "terraform", "--role", "operator", "--public-key", str(file))
    assert (done.exit_code, api.asked) == (2, [])


def test_programs_are_listed_and_removed(api, run):
    api.answer("GET", "oauth-clients", {"clients": [MADE]})
    api.answer("DELETE", "oauth-clients/terraform", "", status=204)
    shown = run("oauth-client", "list").stdout
    assert "terraform" in shown
    assert "ab" * 16 in shown
    assert run("oauth-client", "remove", "terraform").stdout == "Removed terraform.\n"
    assert run("oauth-client", "remove", "..").exit_code == 2
