"""`certcast trust` against a manager that no CA of this machine vouches for."""

import hashlib
import json
import ssl
from pathlib import Path

import pytest
import typer

from tests.pki import current_leaf
from tests.unit.cli.fake_api import FakeApi, running

MADE = current_leaf(None, ["localhost"])
FINGERPRINT = hashlib.sha256(MADE.certificate_der).hexdigest()
COLONS = ":".join(FINGERPRINT[at : at + 2].upper() for at in range(0, 64, 2))


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    (directory / "cert.pem").write_text(MADE.certificate_pem)
    (directory / "key.pem").write_text(MADE.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    made = FakeApi()
    made.answer("GET", "fleet", {"nodes": [], "counts": {}})
    with running(made, context):
        yield made


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def at_terminal(monkeypatch, answer: bool) -> None:
    monkeypatch.setattr("manager.cli.trust._at_terminal", lambda: True)
    monkeypatch.setattr(typer, "confirm", lambda _, **__: answer)


def test_what_was_compared_is_kept_and_then_believed(run, api, here):
    done = run("trust", "--fingerprint", COLONS)
    assert done.exit_code == 0, done.stderr
    assert f"export CERTCAST_CA={here / 'manager.pem'}" in done.stdout
    assert run("status", CERTCAST_CA="manager.pem").exit_code == 0


def test_the_fingerprint_is_shown_as_the_manager_prints_it_and_a_person_says_yes(run, monkeypatch):
    at_terminal(monkeypatch, answer=True)
    done = run("trust", "--output", "m.pem")
    assert f"\n  {FINGERPRINT}\n" in done.stdout
    assert ssl.PEM_cert_to_DER_cert(Path("m.pem").read_text()) == MADE.certificate_der


@pytest.mark.parametrize("answer", [False, None])
def test_nothing_is_kept_without_a_yes(run, monkeypatch, answer):
    if answer is not None:
        at_terminal(monkeypatch, answer)
    done = run("trust")
    assert done.exit_code in {1, 2}
    assert not Path("manager.pem").exists()


def test_another_certificate_than_the_one_expected_is_refused(run):
    done = run("trust", "--fingerprint", "0" * 64)
    assert done.exit_code == 1
    assert f"shows another certificate, whose fingerprint is {FINGERPRINT}" in done.stderr
    assert not Path("manager.pem").exists()


def test_a_certificate_for_another_name_is_not_kept_since_it_would_not_help(run, api):
    url = api.url.replace("localhost", "127.0.0.1")
    done = run("trust", "--fingerprint", FINGERPRINT, CERTCAST_URL=url)
    assert done.exit_code == 1
    assert "IP address mismatch" in done.stderr


def test_no_user_password_or_token_is_sent(run, api):
    before = len(api.asked)
    assert run("trust", "--fingerprint", FINGERPRINT, CERTCAST_USER=None).exit_code == 0
    assert len(api.asked) == before


def test_a_file_that_is_there_is_kept(run):
    Path("manager.pem").write_text("mine")
    assert run("trust", "--fingerprint", FINGERPRINT).exit_code == 2
    assert Path("manager.pem").read_text() == "mine"


def test_programs_get_file_and_fingerprint(run, here):
    answer = json.loads(run("trust", "--fingerprint", FINGERPRINT, "--json").stdout)
    assert (answer["file"], answer["fingerprint"]) == ("manager.pem", FINGERPRINT)


@pytest.mark.parametrize(
    ("url", "output"),
    [
        ("https://no-such-host.invalid", "cannot find the host no-such-host.invalid"),
        ("https://127.0.0.1:9", "Connection refused"),
    ],
)
def test_who_cannot_be_asked_is_exit_status_3_with_the_reason(run, url, output):
    done = run("trust", CERTCAST_URL=url)
    assert done.exit_code == 3
    assert output in done.stderr
