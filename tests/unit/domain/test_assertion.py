import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from common.errors import AccessError, InvalidInputError
from manager.domain.assertion import (
    ASSERTION_MAX_CHARS,
    LEEWAY_S,
    LIFETIME_MAX_S,
    check_assertion,
    issuer_of,
    read_public_key,
)
from tests import pki
from tests.oauth import claims, forge, public_pem, sign, sign_raw

NOW_S = pki.NOW_S
KEY = pki.make_key()
HOSTS = {"manager.example.com", "192.0.2.1", "2001:db8::1", "*.wild.example.com"}


def check(token: str, key=KEY):
    return check_assertion(token, public_pem(key), client_id="abc", hosts=HOSTS, now_s=NOW_S)


def signed(**changes) -> str:
    return sign(KEY, claims("abc", NOW_S, **changes))


def test_what_the_clients_send_is_taken_and_its_jti_kept_until_it_is_worthless():
    proven = check(signed(jti="once"))
    assert (proven.jti, proven.expires_s) == ("once", NOW_S + 3600 + LEEWAY_S)
    assert issuer_of(signed()) == "abc"


@pytest.mark.parametrize("secret", [public_pem(KEY), public_pem(KEY).strip(), ""])
@pytest.mark.parametrize("algorithm", ["none", "None", "HS256"])
def test_a_token_that_chooses_its_algorithm_is_refused(algorithm: str, secret: str):
    with pytest.raises(AccessError, match="not signed by its key with ES256"):
        check(forge(claims("abc", NOW_S), algorithm=algorithm, secret=secret))


def test_another_key_and_another_algorithm_of_the_same_family_are_refused():
    with pytest.raises(AccessError, match="not signed by its key"):
        check(sign(pki.make_key(), claims("abc", NOW_S)))
    large = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(AccessError, match="not signed by its key"):
        check(jwt.encode(claims("abc", NOW_S), large, algorithm="ES384"), large)
    head, body, signature = signed().split(".")
    with pytest.raises(AccessError, match="not signed by its key"):
        check(f"{head}.{body}.{signature[:-4]}AAAA")


@pytest.mark.parametrize(
    "audience",
    [
        "https://manager.example.com/oauth/token/",
        "https://MANAGER.example.com:8443/oauth/token",
        ["https://192.0.2.1/oauth/token/"],
        "https://[2001:db8::1]/oauth/token/",
        "https://one.wild.example.com/oauth/token/",
    ],
)
def test_every_name_of_the_manager_is_an_audience(audience: object):
    check(signed(aud=audience))


@pytest.mark.parametrize(
    "audience",
    [
        "https://other.example.com/oauth/token/",
        "https://manager.example.com.evil.example/oauth/token/",
        "https://manager.example.com@evil.example/oauth/token/",
        "http://manager.example.com/oauth/token/",
        "https://manager.example.com/oauth/",
        "https://manager.example.com",
        "https://two.one.wild.example.com/oauth/token/",
        "https://.wild.example.com/oauth/token/",
        "https://-@manager.example.com/oauth/token/",
        "https://@manager.example.com/oauth/token/",
        "https://other.example.com:443@manager.example.com/oauth/token/",
        "https://manager.example.com/oauth/token/?for=other.example.com",
        "https://manager.example.com/oauth/token/?",
        "https://manager.example.com/oauth/token/#https://other.example.com/",
        "https://manager.example.com/oauth/token/;x",
        "https://manager.example.com/oauth/token//",
        "https://manager.example.com//oauth/token/",
        "https://manager.example.com/OAUTH/TOKEN/",
        "https://manager.example.com/oauth/%74oken/",
        "https://manager.example.com/x/../oauth/token/",
        "https://manager.example.com\\/oauth/token/",
        "https://manager.example.com/oauth/\ttoken/",
        "https://manager.example.com/oauth/token/\n",
        " https://manager.example.com/oauth/token/",
        "https://manager.example.com:/oauth/token/",
        "https://manager.example.com:x/oauth/token/",
        "https://manager.example.com./oauth/token/",
        "https://2001:db8::1/oauth/token/",
        "https:manager.example.com/oauth/token/",
        "https://manager\uff0eexample.com/oauth/token/",
        "https://[x/oauth/token/",
        "manager.example.com",
        "",
        ["https://manager.example.com/oauth/token/", "https://other.example.com/oauth/token/"],
        [],
        [7],
        {"a": 1},
    ],
)
def test_an_assertion_for_somebody_else_is_refused(audience: object):
    with pytest.raises(AccessError, match="aud must be https://HOST/oauth/token/"):
        check(signed(aud=audience))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"exp": NOW_S - LEEWAY_S, "iat": NOW_S - 100}, "has expired"),
        ({"iat": NOW_S + LEEWAY_S + 1}, "from the future"),
        ({"nbf": NOW_S + LEEWAY_S + 1}, "from the future"),
        ({"exp": NOW_S + LIFETIME_MAX_S + 1}, "is valid for longer"),
        ({"exp": "soon"}, "exp must be a number"),
        ({"exp": True}, "exp must be a number"),
        ({"iat": float("inf")}, "iat must be a number"),
        ({"iat": [1]}, "iat must be a number"),
        ({"iat": 10**400}, "iat must be a number"),
        ({"exp": -(10**400)}, "exp must be a number"),
        ({"exp": 2**60}, "exp must be a number"),
        ({"exp": float("nan")}, "exp must be a number"),
        ({"exp": 1e308}, "exp must be a number"),
        ({"nbf": "now"}, "nbf must be a number"),
        ({"iat": NOW_S + 30, "exp": NOW_S + 29}, "ends before it begins"),
        ({"iat": NOW_S, "exp": NOW_S - 1}, "ends before it begins"),
        ({"nbf": NOW_S + 50, "exp": NOW_S + 49}, "ends before it begins"),
        ({"jti": "\ud800"}, "jti must have 1 to 256"),
        ({"jti": ""}, "jti must have 1 to 256"),
        ({"jti": "x" * 257}, "jti must have 1 to 256"),
        ({"jti": 7}, "sub and jti must be strings"),
        ({"iss": "other"}, "iss and sub must both"),
        ({"sub": "other"}, "iss and sub must both"),
        *(({name: None}, "must have the claims") for name in ("iss", "sub", "aud", "exp", "iat", "jti")),
    ],
)
def test_each_claim_is_checked(changes: dict, text: str):
    with pytest.raises(AccessError, match=text):
        check(signed(**changes))


def test_an_issuer_that_is_no_text_is_nobody():
    with pytest.raises(AccessError, match="who issued it"):
        issuer_of(signed(iss="\ud800"))


@pytest.mark.parametrize(
    ("head", "body", "text"),
    [
        ({"alg": "ES256", "crit": ["b64"], "b64": True}, None, "must be understood"),
        ({"alg": "ES256", "crit": []}, None, "not signed by its key"),
        ('{"alg": "ES256", "alg": "ES256"}', None, "a member twice"),
        ('{"alg": "none", "alg": "ES256"}', None, "a member twice"),
        ({"alg": "ES256"}, '{"exp": 1, ', "a member twice"),
        ({"alg": "ES256"}, '{"aud": "https://other.example.com/oauth/token/", ', "a member twice"),
        ({"alg": "ES256"}, '{"more": {"a": 1, "a": 2}, ', "a member twice"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(head, body: str | None, text: str):
    said = json.dumps(claims("abc", NOW_S))
    whole = said if body is None else body + said[1:]
    with pytest.raises(AccessError, match=text):
        check(sign_raw(KEY, head if isinstance(head, str) else json.dumps(head), whole))
    check(sign_raw(KEY, '{"alg": "ES256"}', said))


def test_a_clock_may_differ_by_the_leeway_and_no_more():
    check(signed(exp=NOW_S - LEEWAY_S + 1, iat=NOW_S - 1000))
    check(signed(iat=NOW_S + LEEWAY_S, exp=NOW_S + 100))


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "a" * (ASSERTION_MAX_CHARS + 1), forge({"iss": 7}, algorithm="none")]
)
def test_what_is_no_token_says_nothing(token: str):
    with pytest.raises(AccessError):
        issuer_of(token)


def test_a_public_key_is_kept_in_one_form():
    pem = public_pem(KEY)
    assert read_public_key(f"\n {pem}\r\n") == pem


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (KEY and pki.make_leaf(None).key_pem, "this is a private key"),
        ("x", "not a public key in PEM"),
        ("", "not a public key in PEM"),
        (public_pem(pki.make_rsa_key()), "curve P-256"),
        (public_pem(ed25519.Ed25519PrivateKey.generate()), "curve P-256"),
        (public_pem(ec.generate_private_key(ec.SECP384R1())), "curve P-256"),
    ],
)
def test_a_key_that_cannot_prove_a_client_is_refused_by_name(text: str, finding: str):
    with pytest.raises(InvalidInputError, match=finding):
        read_public_key(text)
