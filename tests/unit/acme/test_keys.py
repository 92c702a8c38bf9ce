"""What an account's key makes: proofs, bindings, and never itself in words."""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from manager.acme.answers import AuthorizationAnswer, Challenge
from manager.acme.keys import AccountKey, Payload, bind, prove
from manager.acme.refusals import ProblemDocument
from manager.domain.renewal.records import ChallengeKind
from manager.usecases.renewal.ports import CaError
from tests import pki

URL = "https://ca.example/authz/1"
ACCOUNT = "https://ca.example/accounts/1"
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"


def pem_of(key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


KEY = AccountKey.load(pem_of(pki.make_key()))


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def thumbprint(key: AccountKey) -> str:
    """Count it by hand (RFC 7638 3)."""
    public = key.jwk.public_key().to_json()
    text = json.dumps({name: public[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    return base64url(hashlib.sha256(text.encode()).digest())


def asked(
    kind: str, *, token: str = TOKEN, issuers=(), wildcard: bool = False, status="pending"
) -> AuthorizationAnswer:
    challenge = Challenge(
        url="https://ca.example/c/1",
        status="pending",
        token=token,
        issuers=issuers,
        problem=ProblemDocument("", ""),
    )
    return AuthorizationAnswer(
        name="a.example.com", is_wildcard=wildcard, status=status, challenges={kind: challenge}
    )


def proof(found: AuthorizationAnswer, kind: ChallengeKind):
    return prove(found, kind, url=URL, key=KEY, account_url=ACCOUNT)


def test_a_text_proves_by_the_token_and_the_keys_thumbprint():
    found = proof(asked("http-01"), ChallengeKind.HTTP)
    assert found.response == f"{TOKEN}.{thumbprint(KEY)}"
    assert (found.name, found.token) == ("a.example.com", TOKEN)
    assert found.authorization_url == URL
    assert found.response not in repr(found)


def test_a_token_is_not_written_anew():
    # its last character has bits that no byte has, which decoding would drop
    odd = "A" * 21 + "B"
    assert proof(asked("http-01", token=odd), ChallengeKind.HTTP).response.startswith(f"{odd}.")


def test_a_record_proves_by_the_digest_of_the_same():
    digest = hashlib.sha256(f"{TOKEN}.{thumbprint(KEY)}".encode()).digest()
    assert proof(asked("dns-01"), ChallengeKind.DNS).response == base64url(digest)


@pytest.mark.parametrize(("wildcard", "end"), [(False, ""), (True, "; policy=wildcard")])
def test_a_record_that_stays_names_the_ca_and_the_account(wildcard, end):
    found = proof(
        asked("dns-persist-01", token="", issuers=("b.example", "A.example"), wildcard=wildcard),
        ChallengeKind.DNS_PERSIST,
    )
    assert (found.token, found.response) == ("", f"a.example; accounturi={ACCOUNT}{end}")


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (asked("http-01"), ChallengeKind.DNS),
        (asked("http-01", status="valid"), ChallengeKind.HTTP),
        (asked("http-01", token=""), ChallengeKind.HTTP),
        (asked("dns-01", token=""), ChallengeKind.DNS),
        (asked("dns-persist-01"), ChallengeKind.DNS_PERSIST),
    ],
)
def test_there_is_nothing_to_show_where_nothing_is_asked_or_not_in_this_way(found, kind):
    assert proof(found, kind) is None


def test_a_binding_is_signed_by_its_secret_for_this_key_and_place():
    secret = b"a secret of the owner"
    found = bind(
        KEY, binding_id="kid-1", binding_key=base64url(secret), new_account_url="https://ca.example/new"
    )
    signed = f"{found['protected']}.{found['payload']}".encode()
    assert found["signature"] == base64url(hmac.digest(secret, signed, "sha256"))
    protected = json.loads(base64.urlsafe_b64decode(found["protected"] + "=="))
    assert protected == {"alg": "HS256", "kid": "kid-1", "url": "https://ca.example/new"}
    payload = json.loads(base64.urlsafe_b64decode(found["payload"] + "=="))
    assert payload == KEY.jwk.public_key().to_json()


@pytest.mark.parametrize("secret", ["", "a+b/", "with space", "=", "é", "abcde"])
def test_a_secret_that_is_no_base64url_is_refused_without_being_said(secret):
    with pytest.raises(CaError) as caught:
        bind(KEY, binding_id="kid-1", binding_key=secret, new_account_url="https://ca.example/new")
    assert caught.value.message == "the key of the binding is not base64url"


@pytest.mark.parametrize(
    "key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())]
)
def test_a_key_that_no_ca_takes_is_refused(key):
    with pytest.raises(CaError) as caught:
        AccountKey.load(pem_of(key))
    assert caught.value.is_final


def test_a_key_is_in_no_repr():
    assert repr(KEY) == "AccountKey(algorithm=ES256)"


def test_what_is_sent_is_read_again_as_it_was():
    assert Payload.json_loads(Payload({"a": [1]}).json_dumps()).to_partial_json() == {"a": [1]}
