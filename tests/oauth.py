"""Assertions of OAuth clients; wrong ones that a library refuses to make are made by hand."""

import base64
import hmac
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AUDIENCE = "https://manager.example.com/oauth/token/"


def public_pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def claims(client_id: str, now_s: float, **changes: Any) -> dict[str, Any]:
    """Return a client's claims; a change to None omits a claim."""
    made = {
        "iss": client_id,
        "sub": client_id,
        "aud": AUDIENCE,
        "iat": int(now_s),
        "exp": int(now_s) + 3600,
        "jti": f"{now_s}",
    }
    return {name: value for name, value in (made | changes).items() if value is not None}


def sign(key: ec.EllipticCurvePrivateKey, what: dict[str, Any]) -> str:
    return jwt.encode(what, key, algorithm="ES256")


def sign_raw(key: ec.EllipticCurvePrivateKey, head: str, body: str) -> str:
    """Sign texts unchanged, even those that a library would not write."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    said = part(head.encode()) + b"." + part(body.encode())
    r, s = decode_dss_signature(key.sign(said, ec.ECDSA(SHA256())))
    return (said + b"." + part(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode()


def forge(what: dict[str, Any], *, algorithm: str, secret: str = "") -> str:
    """Make a token without the key: unsigned, or with an HMAC whose secret is a public text."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    head = part(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    body = head + b"." + part(json.dumps(what).encode())
    signature = hmac.digest(secret.encode(), body, "sha256") if algorithm == "HS256" else b""
    return (body + b"." + part(signature)).decode()


def form(assertion: str, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        **changes,
    }
