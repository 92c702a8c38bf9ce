"""What a change would mean is shown before it is made, and asked where somebody sits at a terminal."""

from collections.abc import Callable

import pytest
from aiohttp import web

from common.api.errors import ConsequenceAnswer
from manager.cli import confirming
from manager.cli.failures import ApiRefusedError, lines
from tests.unit.cli.contract import complete, success_type
from tests.unit.cli.fake_api import LEAF, PREFIX, FakeApi

NAMES = {
    "code": "name_mismatch",
    "message": "It is not valid for names of conf1 (conf1.example.com).",
    "severity": "error",
    "asks": True,
    "nodes": ["conf1"],
}
KEY = {
    "code": "key_replaced",
    "message": "certificate 3 ('a', fingerprint ab) has the issuer and serial number (01) of 'b'.",
    "severity": "error",
    "asks": True,
    "nodes": [],
}
KEPT = {"id": 7, "fingerprint": LEAF, "created": True, "nodes": [], "consequences": [NAMES]}

CHANGES = {
    "assign": (["certificate", "assign", "7", "--node", "conf1"], "POST", "certificates/7/assign"),
    "add": (["certificate", "add", "--certificate", "a.pem"], "POST", "certificates"),
    "edit": (["certificate", "edit", "7", "--no-nodes"], "PATCH", "certificates/7"),
    "delete": (["certificate", "delete", "7"], "POST", "certificates/delete"),
    "import": (["certificate", "import", "a.pem"], "POST", "import"),
    "answer": (["csr", "answer", "5", "a.pem", "--take-over"], "POST", "requests/5/answer"),
    "csr delete": (["csr", "delete", "5"], "DELETE", "requests/5"),
    "node remove": (["node", "remove", "conf1"], "DELETE", "nodes/conf1"),
    "ca delete": (["ca", "delete", "2"], "POST", "trusted-cas/delete"),
    "ca edit": (["ca", "edit", "2", "--chains-only"], "PATCH", "trusted-cas/2"),
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIx\n-----END CERTIFICATE-----\n")


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirming, "can_ask", lambda: True)


@pytest.fixture
def asking(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str | None]]:
    """Let the fake want a confirmation by these tokens in turn; returns what came as `confirm`."""

    def wants(*tokens: str, found: list[dict] = [NAMES]) -> list[str | None]:  # noqa: B006 - never changed
        confirmed: list[str | None] = []
        left = list(tokens)

        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.json() if await request.text() else {}
            confirm = body.get("confirm", request.query.get("confirm"))
            confirmed.append(confirm)
            api.asked.append((request.method, request.path, body))
            if confirm is not None and left:
                output = {"token": left.pop(0), "consequences": found}
                error = {"reason": "confirmation_needed", "message": "asked", "confirmation": output}
                return web.json_response({"error": error}, status=409)
            kind = success_type(request.method, request.path.removeprefix(PREFIX))
            return web.json_response(complete(KEPT, kind) if kind is not None else KEPT)

        monkeypatch.setattr(api, "handle", handle)
        return confirmed

    return wants


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def served(api: FakeApi, asking):
    """Serve the fake once what it answers is settled."""
    from contextlib import contextmanager

    from tests.unit.cli.fake_api import running

    @contextmanager
    def serve(*tokens: str, found: list[dict] = [NAMES]):  # noqa: B006 - never changed
        confirmed = asking(*tokens, found=found)
        with running(api):
            yield confirmed

    return serve


@pytest.mark.parametrize("name", CHANGES)
def test_nobody_at_a_terminal_means_that_nothing_is_changed_until_force_says_so(served, run, name):
    arguments, _, _ = CHANGES[name]
    with served("t1") as confirmed:
        done = run(*arguments)
        assert done.exit_code == 1
        assert done.stderr.splitlines() == [
            "certcast: this needs confirmation, and nothing was changed; to confirm, repeat it with --force",
            "  error: It is not valid for names of conf1 (conf1.example.com).",
        ]
        assert confirmed == [""]
        assert run(*arguments, "--force").exit_code == 0
        assert confirmed == ["", None]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.usefixtures("at_terminal")
def test_somebody_at_a_terminal_is_shown_what_it_means_and_asked(served, run, name):
    arguments, _, _ = CHANGES[name]
    with served("t1") as confirmed:
        done = run(*arguments, text="y\n")
        assert done.exit_code == 0, done.stderr
        assert "error: It is not valid for names of conf1" in done.stderr
        assert "Continue anyway?" in done.stderr
        assert confirmed == ["", "t1"]


@pytest.mark.usefixtures("at_terminal")
def test_a_no_changes_nothing(served, run):
    with served("t1") as confirmed:
        done = run(*CHANGES["assign"][0], text="n\n")
        assert done.exit_code == 1
        assert done.stderr.endswith("certcast: nothing was changed\n")
        assert confirmed == [""]


@pytest.mark.usefixtures("at_terminal")
def test_what_changed_meanwhile_is_shown_and_asked_anew(served, run):
    with served("t1", "t2") as confirmed:
        assert run(*CHANGES["assign"][0], text="y\ny\n").exit_code == 0
        assert confirmed == ["", "t1", "t2"]


@pytest.mark.parametrize("name", ["add", "answer"])
def test_another_key_is_replaced_only_where_that_is_said_by_name(served, run, api, name):
    arguments, _, _ = CHANGES[name]
    with served("t1", found=[KEY]) as confirmed:
        done = run(*arguments)
        assert "to confirm, repeat it with --replace" in done.stderr
        assert "has the issuer and serial number (01)" in done.stderr
        assert run(*arguments, "--replace").exit_code == 0
        assert confirmed == ["", ""]
        assert [body.get("replace") for _, _, body in api.asked] == [None, True]


def test_what_an_assignment_meant_is_told_once_with_how_bad_it_is(served, run):
    with served():
        output = run(*CHANGES["assign"][0]).stdout
    assert output.count("error: It is not valid for names of conf1") == 1


def test_what_asks_for_a_confirmation_is_printed_once():
    asks = ConsequenceAnswer(code="expired", message="It expired.", severity="error", asks=True, nodes=())
    refused = ApiRefusedError(
        "this needs confirmation, and nothing was changed: It expired.",
        status=409,
        consequences=(asks,),
        token="t",
    )
    assert list(lines(refused)) == [
        "certcast: this needs confirmation, and nothing was changed",
        "  error: It expired.",
    ]
