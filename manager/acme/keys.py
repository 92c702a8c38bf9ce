"""Keys of accounts, and what they sign.

Proofs of names (RFC 8555 8.1), bindings (7.3.4) and key changes (7.3.5).

Decides which algorithm a key signs with. Pure. Invariant: no error and no repr contains a key, a secret or a
key authorization.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from acme import jws, messages
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.interfaces import JSONDeSerializable
from josepy.json_util import encode_b64jose
from josepy.jwa import ES256, ES384, ES512, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA
from josepy.jws import JWS

from manager.acme.answers import AuthorizationAnswer, Challenge
from manager.domain.renewal.bindings import is_binding_key
from manager.domain.renewal.records import ChallengeKind, Proof
from manager.usecases.renewal.ports import CaError

_SIGNED_BY: Final = {
    "secp256r1": ES256,
    "secp384r1": ES384,
    "secp521r1": ES512,
}
"""RFC 7518 3.4."""


class Payload(JSONDeSerializable):
    """A request's payload, in the library's type."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def to_partial_json(self) -> Mapping[str, Any]:
        return self._fields

    @classmethod
    def from_json(cls, jobj: Mapping[str, Any]) -> "Payload":
        """Return the payload again; the library requires this of everything that it sends."""
        return cls(jobj)


@dataclass(frozen=True, slots=True)
class AccountKey:
    """A private key with its signature algorithm."""

    jwk: JWK = field(repr=False)
    algorithm: JWASignature

    @classmethod
    def load(cls, pem: str) -> "AccountKey":
        """Read a key in PEM. Raises CaError if ACME has no algorithm for it."""
        try:
            key = load_pem_private_key(pem.encode(), None)
        except (TypeError, UnsupportedAlgorithm, ValueError):
            raise CaError("the account's key cannot be read", is_final=True) from None
        if isinstance(key, rsa.RSAPrivateKey):
            return cls(JWKRSA(key=key), RS256)
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _SIGNED_BY:
            return cls(JWKEC(key=key), _SIGNED_BY[key.curve.name])
        raise CaError("the account's key is of a kind that no CA takes", is_final=True)

    def authorize(self, token: str) -> str:
        """Return the key authorization of a token."""
        return f"{token}.{encode_b64jose(self.jwk.thumbprint())}"


def prove(
    authorization: AuthorizationAnswer, kind: ChallengeKind, *, url: str, key: AccountKey, account_url: str
) -> Proof | None:
    """Return what to show to prove a name.

    None if nothing is needed, or this kind of proof is not possible.
    """
    challenge = authorization.challenges.get(kind)
    if authorization.status != "pending" or challenge is None:
        return None
    response = _response(kind, challenge, authorization=authorization, key=key, account_url=account_url)
    if response is None:
        return None
    return Proof(
        name=authorization.name,
        authorization_url=url,
        challenge_url=challenge.url,
        token=challenge.token,
        response=response,
    )


def _response(
    kind: ChallengeKind,
    challenge: Challenge,
    *,
    authorization: AuthorizationAnswer,
    key: AccountKey,
    account_url: str,
) -> str | None:
    match kind:
        case ChallengeKind.HTTP if challenge.token:
            return key.authorize(challenge.token)
        case ChallengeKind.DNS if challenge.token:
            return encode_b64jose(hashlib.sha256(key.authorize(challenge.token).encode()).digest())
        case ChallengeKind.DNS_PERSIST if challenge.issuers:
            # any of the CA's names will do; always choosing the same one lets a record stay
            policy = "; policy=wildcard" if authorization.is_wildcard else ""
            return f"{min(challenge.issuers).lower()}; accounturi={account_url}{policy}"
        case _:
            return None


def bind(key: AccountKey, *, binding_id: str, binding_key: str, new_account_url: str) -> Mapping[str, Any]:
    """Return the proof that the owner of `binding_id` wants this key (RFC 8555 7.3.4).

    Raises CaError if the secret is not base64url.
    """
    if not is_binding_key(binding_key):
        raise CaError("the key of the binding is not base64url", is_final=True)
    return messages.ExternalAccountBinding.from_data(
        key.jwk.public_key(),
        binding_id,
        binding_key.rstrip("="),
        messages.Directory({"newAccount": new_account_url}),
    )


def roll_over(old: AccountKey, new: AccountKey, *, account_url: str, key_change_url: str) -> JWS:
    """Return the key change signed by the new key, for the old one to sign (RFC 8555 7.3.5)."""
    payload = Payload({"account": account_url, "oldKey": old.jwk.public_key()})
    signed: JWS = jws.JWS.sign(
        payload.json_dumps().encode(), key=new.jwk, alg=new.algorithm, nonce=None, url=key_change_url
    )
    return signed
