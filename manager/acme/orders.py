"""Orders at a CA (RFC 8555 7.4, 7.5, RFC 9773): created, proven, finalised, and their certificates.

Decides which requests are repeated differently: an order is repeated without the certificate that it
replaces, and a proof that the CA has validated already is not answered again.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.json_util import encode_b64jose

from manager.acme.answers import (
    ORDERS_MAX,
    checked_url,
    read_authorization,
    read_names,
    read_order,
    read_profile,
    read_suggested,
)
from manager.acme.keys import Payload, prove
from manager.acme.refusals import GONE, RefusedError
from manager.acme.session import CaSession, Signer
from manager.domain.renewal.records import ChallengeKind, Proof
from manager.usecases.renewal.ports import Authorization, CaError, Ordered, Suggested

PAGES_MAX: Final = 20
"""How many pages of an account's list of orders are read."""

ORDERS_LOOKED_AT: Final = 50
"""How many orders are examined for one that can be continued; each takes a request."""

ALTERNATES_MAX: Final = 10
"""Chains of a certificate; Let's Encrypt never had more than three at once."""

NOT_REPLACED: Final = frozenset({"alreadyReplaced", "malformed", "serverInternal", "unauthorized"})
"""How CAs refuse to replace a certificate that they do not know, or that was replaced already (RFC 9773
5)."""

CERTIFICATE_MARK: Final = "-----BEGIN CERTIFICATE-----"


def order(session: CaSession, names: Sequence[str], *, profile: str, replaces: str) -> Ordered:
    """Create an order.

    Raises CaError `invalidProfile` if the CA has no profiles: it would issue any certificate.
    """
    points = session.endpoints()
    fields: dict[str, Any] = {"identifiers": [_identifier(name) for name in names]}
    if profile:
        if not points.offered.profiles:
            raise CaError(
                f"{session.ca} has no profiles, so none is called '{profile}'; leave it out",
                type="invalidProfile",
                is_final=True,
            )
        fields["profile"] = profile
    if replaces and points.renewal_info:
        try:
            return _order(session, {**fields, "replaces": replaces})
        except RefusedError as error:
            if error.type not in NOT_REPLACED:
                raise
    return _order(session, fields)


def _order(session: CaSession, fields: dict[str, Any]) -> Ordered:
    response = session.post(session.endpoints().new_order, Payload(fields))
    return read_order(response.read(), url=response.created_url(), retry_after_s=response.retry_after_s)


def _identifier(name: str) -> dict[str, str]:
    """Return a name as an identifier in an order (RFC 8555 9.7.7, RFC 8738)."""
    try:
        return {"type": "ip", "value": str(ipaddress.ip_address(name))}
    except ValueError:
        return {"type": "dns", "value": name.lower()}


def find_order(session: CaSession, account_url: str, names: Sequence[str], *, profile: str) -> Ordered | None:
    """Return the latest order of these names and this profile that is pending or ready.

    An order that is being signed, or was, has a request already, whose key may be lost. Without a wanted
    profile, an order that has one is not used: nothing tells whether the CA chose it.
    """
    wanted = frozenset(_identifier(name)["value"] for name in names)
    for url in reversed(_orders(session, account_url)[-ORDERS_LOOKED_AT:]):
        try:
            response = session.post(url, None)
        except RefusedError as error:
            if error.status not in GONE:
                raise
            continue
        answer = response.read()
        found = read_order(answer, url=url, retry_after_s=response.retry_after_s)
        is_same = read_names(answer) == wanted and read_profile(answer) == profile
        if is_same and found.status in {"pending", "ready"}:
            return found
    return None


def _orders(session: CaSession, account_url: str) -> Sequence[str]:
    """Return the addresses of the account's orders (RFC 8555 7.1.2.1), none if the CA does not list them."""
    page = session.post(account_url, None).read().optional_url("orders")
    found: list[str] = []
    for _ in range(PAGES_MAX):
        if not page or len(found) >= ORDERS_MAX:
            break
        response = session.post(page, None)
        listed = response.read().list("orders", at_most=ORDERS_MAX)
        found += [checked_url(session.ca, each, "orders") for each in listed]
        page = next(iter(response.links("next")), "")
    return found


def look(session: CaSession, url: str) -> Ordered:
    """Return an order's current state."""
    response = session.post(url, None)
    return read_order(response.read(), url=url, retry_after_s=response.retry_after_s)


def authorization(
    session: CaSession, signer: Signer, url: str, kind: ChallengeKind, *, account_url: str
) -> Authorization:
    """Return an authorization's current state. Its name includes "*."; its proof's name does not."""
    response = session.post(url, None)
    authorization = read_authorization(response.read())
    refused = [each for each in authorization.challenges.values() if each.problem.type or each.problem.detail]
    refused.sort(key=lambda each: each is not authorization.challenges.get(kind))
    problem = refused[0].problem if refused else None
    return Authorization(
        url=url,
        name=f"*.{authorization.name}" if authorization.is_wildcard else authorization.name,
        status=authorization.status,
        proof=prove(authorization, kind, url=url, key=signer.key, account_url=account_url),
        type=problem.type if problem is not None else "",
        message=problem.detail if problem is not None else "",
        retry_after_s=response.retry_after_s,
    )


def answer(session: CaSession, proof: Proof) -> None:
    """Ask the CA to validate a proof, unless it has done so already."""
    try:
        session.post(proof.challenge_url, Payload({}))
    except RefusedError:
        authorization = read_authorization(session.post(proof.authorization_url, None).read())
        waiting = [each for each in authorization.challenges.values() if each.url == proof.challenge_url]
        if authorization.status == "pending" and all(each.status == "pending" for each in waiting):
            raise


def finalize(session: CaSession, url: str, request_pem: str) -> None:
    """Submit a signing request."""
    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
    except ValueError:
        raise CaError("the signing request cannot be read", is_final=True) from None
    session.post(url, Payload({"csr": encode_b64jose(request.public_bytes(Encoding.DER))}))


def download(session: CaSession, url: str) -> Sequence[str]:
    """Return the certificate with each chain that the CA offers for it (RFC 8555 7.4.2)."""
    first = session.post(url, None)
    others = [each for each in first.links("alternate") if each != url][:ALTERNATES_MAX]
    chains = [
        _chain(session, first.body),
        *(_chain(session, session.post(each, None).body) for each in others),
    ]
    return tuple(dict.fromkeys(chains))


def _chain(session: CaSession, body: bytes) -> str:
    if not body.isascii() or CERTIFICATE_MARK.encode() not in body:
        raise CaError(f"{session.ca} sent something other than a certificate")
    return body.decode("ascii")


def suggested(session: CaSession, ari_id: str) -> Suggested | None:
    """Return when the CA suggests renewing a certificate (RFC 9773 4).

    None if it suggests nothing or does not know it.
    """
    url = session.endpoints().renewal_info
    if not url:
        return None
    try:
        response = session.get(f"{url}/{ari_id}")
    except RefusedError as error:
        if error.is_final:
            return None
        raise
    return read_suggested(response.read(), retry_after_s=response.retry_after_s)
