import base64
import ssl
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from common.errors import InvalidInputError
from manager.cli.access import Options, check_url
from manager.cli.app import app
from tests.patience import PATIENCE_S
from tests.pki import current_leaf
from tests.unit.cli.conftest import PASSWORD
from tests.unit.cli.fake_api import FakeApi, node, running

FLEET = {"nodes": [node()], "counts": {"in_sync": 1}}


def test_without_a_command_the_first_steps_are_told():
    shown = CliRunner().invoke(app, [])
    assert shown.exit_code == 0
    assert "certcast node add NAME" in shown.stdout


def commands(command: Any, *names: str) -> Iterator[tuple[str, ...]]:
    """Yield the whole name of every command that does something."""
    below = getattr(command, "commands", None)
    if below is None:
        yield names
    for name, one in (below or {}).items():
        yield from commands(one, *names, name)


@pytest.mark.parametrize("command", list(commands(get_command(app))), ids=" ".join)
def test_every_command_has_help_with_an_example_and_json(command: tuple[str, ...]):
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert f"Example: certcast {' '.join(command)}" in shown.stdout
    assert "--json" in shown.stdout


@pytest.mark.parametrize(
    "group", ["", "node", "certificate", "csr", "ca", "alarm", "user", "token", "oauth-client"]
)
def test_a_list_of_commands_says_of_each_what_it_does_in_a_line(group: str):
    shown = CliRunner().invoke(app, [*group.split(), "--help"], terminal_width=80).stdout
    listed = shown.partition("Commands:")[2]
    assert listed
    assert "..." not in listed


def test_help_loads_nothing_heavy():
    program = (
        "import sys\nfrom manager.cli.app import app\n"
        "try:\n    app(['status', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'aiohttp', 'asyncssh', 'cryptography', 'msgspec', 'rich', 'sqlalchemy'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr


def test_a_user_is_sent_as_http_basic(api, run):
    api.answer("GET", "fleet", FLEET)
    assert run("status").exit_code == 0
    sent = api.headers[0]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == f"anna:{PASSWORD}"


def test_a_token_is_sent_as_bearer_and_needs_no_user(api, run):
    api.answer("GET", "fleet", FLEET)
    run("status", CERTCAST_USER=None, CERTCAST_PASSWORD=None, CERTCAST_TOKEN="cct_x")
    assert api.headers[0]["Authorization"] == "Bearer cct_x"


def test_a_user_who_is_typed_outweighs_a_token_left_in_the_environment(api, run):
    api.answer("GET", "fleet", FLEET)
    run("--user", "bert", "status", CERTCAST_TOKEN="cct_x")
    assert api.headers[0]["Authorization"].startswith("Basic ")


def test_the_password_can_come_from_standard_input(api, run):
    api.answer("GET", "fleet", FLEET)
    run("--password-stdin", "status", text="pässword\n", CERTCAST_PASSWORD=None)
    sent = api.headers[0]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "anna:pässword"


@pytest.mark.parametrize(
    ("variables", "output"),
    [
        ({"CERTCAST_URL": None}, "--url"),
        ({"CERTCAST_USER": None}, "--user"),
        ({"CERTCAST_PASSWORD": None}, "no terminal"),
        ({"CERTCAST_URL": "https://anna:secret@host"}, "must not carry"),
        ({"CERTCAST_URL": "http://manager.example.com"}, "use https"),
        ({"CERTCAST_URL": "manager.example.com"}, "https://MANAGER"),
        ({"CERTCAST_CA": "/nowhere/ca.pem"}, "there is no file"),
    ],
)
def test_what_is_missing_or_wrong_before_anything_is_sent_is_exit_status_2(api, run, variables, output):
    done = run("status", **variables)
    assert done.exit_code == 2
    assert output in done.stderr
    assert "secret" not in done.stderr
    assert not api.asked


def test_plain_http_to_another_machine_needs_insecure():
    assert check_url("http://192.0.2.1/", insecure=True) == "http://192.0.2.1"
    assert check_url("http://[::1]:8000", insecure=False) == "http://[::1]:8000"
    with pytest.raises(InvalidInputError):
        check_url("http://192.0.2.1", insecure=False)


def test_no_secret_is_in_the_representation_of_what_holds_it(monkeypatch):
    monkeypatch.setenv("CERTCAST_PASSWORD", PASSWORD)
    with_token = Options(
        url="https://m", user="a", token="cct_secret", password_stdin=False, ca=None, insecure=False
    )
    with_user = Options(url="https://m", user="a", token=None, password_stdin=False, ca=None, insecure=False)
    text = f"{with_token} {with_token.resolve()} {with_user.resolve()}"
    assert "cct_secret" not in text
    assert PASSWORD not in text


def test_a_manager_that_does_not_listen_is_exit_status_3(run):
    done = run("status", CERTCAST_URL="http://127.0.0.1:9")
    assert done.exit_code == 3
    assert "Connection refused" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture
def tls_api(tmp_path):
    """Serve the fake over TLS with a certificate for localhost, whose file is returned too."""
    made_leaf = current_leaf(None, ["localhost"])
    (tmp_path / "cert.pem").write_text(made_leaf.certificate_pem)
    (tmp_path / "key.pem").write_text(made_leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    made = FakeApi()
    made.answer("GET", "fleet", FLEET)
    with running(made, context):
        yield made, str(tmp_path / "cert.pem")


def test_an_untrusted_manager_is_exit_status_3_and_is_sent_nothing(tls_api, run):
    api, _ = tls_api
    done = run("status", CERTCAST_URL=api.url)
    assert done.exit_code == 3
    assert "--ca FILE" in done.stderr
    assert "--insecure" in done.stderr
    assert not api.asked


def test_the_managers_own_certificate_is_enough_as_ca(tls_api, run):
    api, pem = tls_api
    assert run("--ca", pem, "status", CERTCAST_URL=api.url).exit_code == 0


def test_the_ca_does_not_excuse_another_name(tls_api, run):
    api, pem = tls_api
    done = run("--ca", pem, "status", CERTCAST_URL=api.url.replace("localhost", "127.0.0.1"))
    assert done.exit_code == 3
    assert not api.asked


def test_insecure_asks_whoever_answers(tls_api, run):
    api, _ = tls_api
    assert run("--insecure", "status", CERTCAST_URL=api.url).exit_code == 0


def test_a_ca_file_without_a_certificate_is_exit_status_2(tmp_path, run):
    (tmp_path / "ca.pem").write_text("no certificate")
    done = run("--ca", str(tmp_path / "ca.pem"), "status", CERTCAST_URL="https://localhost:9")
    assert done.exit_code == 2
    assert "holds no PEM certificate" in done.stderr


def test_credentials_do_not_follow_a_redirect(api, run):
    api.answer("GET", "fleet", "https://elsewhere.example.com/", status=302)
    done = run("status")
    assert done.exit_code == 1
    assert "https://elsewhere.example.com/" in done.stderr
    assert len(api.asked) == 1


def test_what_is_not_a_managers_answer_is_told_as_such(api, run):
    done = run("status")
    assert done.exit_code == 3
    assert "not a Certcast manager: it answered with HTTP status 404" in done.stderr
    api.answer("GET", "fleet", '{"something": "else"}')
    done = run("status")
    assert done.exit_code == 1
    assert "not understood" in done.stderr


def test_a_refusal_is_one_sentence_and_what_drives_a_terminal_is_taken_out(api, run):
    api.refuse("GET", "fleet", 403, "you may not \x1b[31mdo this\nreally")
    done = run("status")
    assert done.exit_code == 1
    assert "\x1b" not in done.stderr
    assert done.stderr.count("\n") == 1
