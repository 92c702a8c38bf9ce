"""A client's assertion: a short-lived JSON Web Token, signed with the client's own key (RFC 7523 3).

Decides whether an assertion proves its client; the caller checks that it was not used before.

Invariants: only ES256 is accepted, whatever the token claims; tokens that two parsers could read differently
are refused.
"""

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from jwt.exceptions import InvalidJTIError, InvalidSubjectError
from jwt.utils import base64url_decode

from common.errors import AccessError, InvalidInputError

ALGORITHM: Final = "ES256"
TOKEN_PATH: Final = "/oauth/token/"  # noqa: S105 - a path
ASSERTION_MAX_CHARS: Final = 8192
LIFETIME_MAX_S: Final = 3600.0
"""Longest accepted lifetime: clients make assertions for an hour."""

LEEWAY_S: Final = 60.0
"""Accepted difference between a client's clock and ours."""

JTI_MAX: Final = 256
KEY_MAX: Final = 8192
MOMENT_MAX_S: Final = 2**53
"""The largest number of seconds that is exact in every reader of JSON (RFC 8259 6)."""

_AUDIENCE: Final = re.compile(
    r"https://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::[0-9]{1,5})?"
    + re.escape(TOKEN_PATH)
    + "?"
)
"""Our token endpoint only: no user, query or fragment, and nothing that a parser would normalise."""

_CLAIMS: Final = ("iss", "sub", "aud", "exp", "iat", "jti")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """A verified assertion: `jti` may be used once until `expires_s`."""

    jti: str
    expires_s: float


def read_public_key(text: str) -> str:
    """Return a client's public key in its one PEM form. Raises InvalidInputError."""
    if "PRIVATE KEY" in text:
        raise InvalidInputError(
            "public_key", "this is a private key; keep it, and give its public key (openssl pkey -pubout)"
        )
    try:
        key = load_pem_public_key(text[:KEY_MAX].strip().encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInputError("public_key", "this is not a public key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidInputError(
            "public_key", f"a client signs with {ALGORITHM}, which needs an ECDSA key on the curve P-256"
        )
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def issuer_of(token: str) -> str:
    """Return the claimed issuer of a token, without verification. Raises AccessError."""
    if len(token) > ASSERTION_MAX_CHARS:
        raise AccessError(f"the assertion is longer than {ASSERTION_MAX_CHARS} characters")
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise AccessError("the assertion is not a JSON Web Token") from error
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not _is_text(issuer):
        raise AccessError("the assertion does not say who issued it (iss)")
    return issuer


def check_assertion(
    token: str, public_key: str, *, client_id: str, hosts: Collection[str], now_s: float
) -> Assertion:
    """Check a token of this client, meant for one of these hosts. Raises AccessError."""
    try:
        claims = jwt.decode(
            token,
            public_key,
            algorithms=[ALGORITHM],
            # times are checked below by our clock, and the audience against all our names
            options={
                "require": list(_CLAIMS),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": False,
            },
        )
    except jwt.MissingRequiredClaimError as error:
        raise AccessError(f"the assertion must have the claims {', '.join(_CLAIMS)}") from error
    except (InvalidSubjectError, InvalidJTIError) as error:
        raise AccessError("the assertion's sub and jti must be strings") from error
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise unproven() from error
    _check_members(token)
    if claims["sub"] != client_id or claims["iss"] != client_id:
        raise AccessError("the assertion's iss and sub must both be the client's id")
    if not _is_for(claims["aud"], hosts):
        raise AccessError(
            f"the assertion is not for this manager: aud must be https://HOST{TOKEN_PATH} with a name or address of it"
        )
    return Assertion(jti=_jti(claims["jti"]), expires_s=_expiry(claims, now_s))


def unproven() -> AccessError:
    """Return the error for an unknown client and for a wrong signature alike, so that it reveals no client ids."""
    return AccessError(f"the client is not known, or the assertion is not signed by its key with {ALGORITHM}")


def _jti(value: str) -> str:
    if not 1 <= len(value) <= JTI_MAX or not _is_text(value):
        raise AccessError(f"the assertion's jti must have 1 to {JTI_MAX} characters")
    return value


def _expiry(claims: Mapping[str, Any], now_s: float) -> float:
    """Check the times; return until when the jti must be remembered."""
    expires_s, issued_s = _moment(claims, "exp"), _moment(claims, "iat")
    begins_s = _moment(claims, "nbf") if "nbf" in claims else issued_s
    if max(issued_s, begins_s) > expires_s:
        raise AccessError("the assertion ends before it begins: exp must not be earlier than iat and nbf")
    if expires_s <= now_s - LEEWAY_S:
        raise AccessError("the assertion has expired; is the client's clock right?")
    if max(issued_s, begins_s) > now_s + LEEWAY_S:
        raise AccessError("the assertion is from the future; is the client's clock right?")
    if expires_s - issued_s > LIFETIME_MAX_S:
        raise AccessError(f"the assertion is valid for longer than {LIFETIME_MAX_S:.0f} s")
    return expires_s + LEEWAY_S


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= MOMENT_MAX_S or not math.isfinite(value):
        raise AccessError(f"the assertion's {name} must be a number of seconds")
    return float(value)


def _is_text(value: str) -> bool:
    """Whether a text can be encoded: half of a surrogate pair cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_members(token: str) -> None:
    """Refuse duplicate members (RFC 7515 4), and critical extensions (4.1.11), of which we know none."""
    for part in token.split(".")[:2]:
        try:
            members = json.loads(base64url_decode(part), object_pairs_hook=_once)
        except ValueError as error:
            raise AccessError("the assertion has a member twice") from error
        if part == token.partition(".")[0] and "crit" in members:
            raise AccessError(
                "the assertion has extensions that must be understood (crit), and none is known here"
            )


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _is_for(audience: object, hosts: Collection[str]) -> bool:
    """Whether the only audience is our token endpoint (RFC 7523 3, 3)."""
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    found = _AUDIENCE.fullmatch(_with_lower_host(audience)) if isinstance(audience, str) else None
    if found is None:
        return False
    host = found["host"].strip("[]")
    return host in hosts or any(
        name.startswith("*.") and host.partition(".")[2] == name[2:] for name in hosts
    )


def _with_lower_host(audience: str) -> str:
    """Return an audience with scheme and host in lower case; the path is compared unchanged (RFC 7523 3, 3)."""
    scheme, separator, rest = audience.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host}".lower() + slash + path
