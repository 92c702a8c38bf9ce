import re
from pathlib import Path

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request

from common.api.accounts import NewAccount
from common.api.codes import Role
from common.api.uploads import NewCertificate
from common.api.users import NewUser
from common.errors import (
    AccessError,
    BundleError,
    CertcastError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PkiError,
    Reason,
    StorageError,
    ThrottledError,
)
from manager.api.app import ROUTES
from manager.http.authentication import _basic, check_origin
from manager.http.errors import answer, is_own_failure, status_of
from manager.pki.read.findings import PkiFindingsError
from manager.usecases.renewal.ports import CaError

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"


def test_no_two_routes_are_the_same():
    assert len({(route.method, re.sub(r"\{\w+\}", "{}", route.path)) for route in ROUTES}) == len(ROUTES)


def documented() -> dict[tuple[str, str], str]:
    """Return the roles that the document gives for each method and path."""
    found, methods = {}, []
    for line in DOCUMENT.read_text().splitlines():
        columns = line.split("|")
        for span in re.findall(r"`([^`]+)`", columns[1]) if len(columns) > 3 else ():
            method, _, path = span.partition(" ")
            if method not in {"GET", "POST", "PUT", "PATCH", "DELETE"}:
                continue
            methods.append(method)
            if path:
                found.update({(each, path.partition("?")[0].split()[0]): columns[2] for each in methods})
                methods = []
    return found


def test_every_route_and_its_role_is_documented_and_no_other():
    roles = documented()
    assert set(roles) == {(route.method, route.path) for route in ROUTES}
    for route in ROUTES:
        assert route.summary
        assert route.role.value in roles[route.method, route.path], route


def test_looking_needs_no_more_than_read_only_and_changing_more_than_that():
    private = {
        "users",
        "audit",
        "audit/head",
        "audit/verify",
        "oauth-clients",
        "users/{name}/sessions",
        "join-tokens",
        "accounts/{id}/directory",  # each look is a request to somebody else's server
    }
    for route in ROUTES:
        if route.method == "GET":
            assert (route.role is Role.READ_ONLY) == (route.path not in private), route
        elif route.path not in {"tokens", "tokens/{id}"}:  # a token can do no more than who makes it
            others = {
                "push": Role.OPERATOR,
                "alarms/acknowledge": Role.OPERATOR,
                "renewals/{id}/order": Role.OPERATOR,
                "renewals/{id}/test": Role.OPERATOR,
                "certificates/download": Role.READ_ONLY,  # changes nothing; keys need more, see the API's own test
            }
            assert route.role is others.get(route.path, Role.ADMINISTRATOR), route


def test_a_body_with_secrets_never_shows_in_a_repr():
    upload = NewCertificate(certificate="c", private_key="the key", private_key_passphrase="the phrase")
    assert "the" not in repr(upload)
    assert "the password" not in repr(NewUser(name="ada", password="the password"))
    account = NewAccount(name="le", directory_url="https://ca/", binding_id="kid", binding_key="the key")
    assert "the key" not in repr(account)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInputError("name", "x"), 400),
        (InvalidInputError("", "x", reason=Reason.TOO_BIG), 413),
        (PkiError("x"), 400),
        (PkiFindingsError([PkiError("x", reason=Reason.KEY_MISMATCH)]), 400),
        (AccessError("x"), 401),
        (AccessError("x", reason=Reason.FORBIDDEN), 403),
        (ThrottledError(1), 429),
        (NotFoundError("x"), 404),
        (ConflictError("x"), 409),
        (CertcastError("x", reason=Reason.UNSUPPORTED), 415),
        (StorageError("x", reason=Reason.NO_SPACE), 507),
        (StorageError("x"), 503),
        (StorageError("x", reason=Reason.BUSY), 503),
        (CertcastError("x", reason=Reason.TIMEOUT), 503),
        (CertcastError("x", reason=Reason.INTERNAL), 500),
        (CaError("x"), 502),
        (BundleError("x"), 500),
    ],
)
def test_every_kind_of_failure_has_its_status(error: CertcastError, status: int):
    assert status_of(error) == status


def test_a_failure_tells_its_field_and_every_finding_with_its_place():
    findings = [PkiError("one", file="certificate", block=2, line=9), PkiError("two")]
    said = msgspec.json.decode(answer(PkiFindingsError(findings)).body)["error"]
    assert said["findings"] == [
        {"message": "one", "file": "certificate", "block": 2, "line": 9},
        {"message": "two", "file": None, "block": None, "line": None},
    ]
    assert msgspec.json.decode(answer(InvalidInputError("slot", "x")).body)["error"]["field"] == "slot"


def test_what_a_ca_refuses_is_told_with_its_words_and_for_how_long_it_asks_to_wait():
    limited = answer(CaError("ca.example.com limits how often it is asked", retry_after_s=3600.4))
    assert (limited.status, limited.headers["Retry-After"]) == (502, "3600")
    assert "limits how often" in msgspec.json.decode(limited.body)["error"]["message"]
    refused = CaError("ca.example.com refused (unauthorized)")
    assert "Retry-After" not in answer(refused).headers
    assert not is_own_failure(refused)


@pytest.mark.parametrize("text", ["", "!!!!", "YQ==", "/w==", "YWRhOnB3", "w7w6w7w="])
def test_credentials_are_a_name_and_a_password_or_refused(text: str):
    pairs = {"YWRhOnB3": ("ada", "pw"), "w7w6w7w=": ("ü", "ü")}
    if text in pairs:
        assert _basic(text) == pairs[text]
        return
    with pytest.raises(AccessError):
        _basic(text)


def test_a_page_of_this_manager_is_known_by_its_host():
    own = {"Host": "M.example.com:8443", "Origin": "https://m.example.com:8443"}
    check_origin(make_mocked_request("POST", "/", headers=own))
    for origin in ("https://m.example.com", "https://m.example.com:8443.evil.example", "null", ""):
        with pytest.raises(AccessError):
            check_origin(make_mocked_request("POST", "/", headers={**own, "Origin": origin}))


def test_what_the_browser_says_of_a_page_counts_more_than_names_that_a_proxy_may_change():
    proxied = {"Host": "127.0.0.1:8443", "Origin": "https://m.example.com"}
    check_origin(make_mocked_request("POST", "/", headers={**proxied, "Sec-Fetch-Site": "same-origin"}))
    with pytest.raises(AccessError):
        check_origin(make_mocked_request("POST", "/", headers={**proxied, "Sec-Fetch-Site": "cross-site"}))
