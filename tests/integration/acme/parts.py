"""Accounts, requests and proofs for tests that ask a CA."""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from manager.acme.ca import AcmeCa
from manager.domain.renewal.records import AccountId, AccountRecord, ChallengeKind, Proof
from manager.usecases.renewal.ports import Authorization, CaError, Ordered
from tests import pki
from tests.fakes.hostile_ca import HostileCa, Reply, json_reply
from tests.patience import PATIENCE_S
from tests.pebble import Pebble

NAMES: Final = ("a.example.com",)


def key_pem(key: pki.Key | ec.EllipticCurvePrivateKey | None = None) -> str:
    made = key if key is not None else pki.make_key()
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def account(
    directory_url: str,
    *,
    trust_pem: str = "",
    contact: tuple[str, ...] = (),
    binding_id: str = "",
    url: str = "",
    staging_url: str = "",
    terms_agreed: bool = True,
) -> AccountRecord:
    return AccountRecord(
        id=AccountId(1),
        name="Example CA",
        directory_url=directory_url,
        staging_url=staging_url,
        trusted_cas=trust_pem,
        contact=contact,
        binding_id=binding_id,
        url=url,
        terms_agreed=terms_agreed,
        created_s=0.0,
    )


def asking(
    record: AccountRecord, threads: ThreadPoolExecutor, *, key: str | None = None, call_s: float = PATIENCE_S
) -> AcmeCa:
    """Return what asks the CA of an account, by a new key if none is given."""
    return AcmeCa(
        record,
        directory_url=record.directory_url,
        account_url=record.url,
        key_pem=key if key is not None else key_pem(),
        clock=time.time,
        threads=threads,
        call_s=call_s,
    )


def request_pem(names: Sequence[str], addresses: Sequence[str] = ()) -> str:
    """Return a signing request of a new key."""
    general: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    general += [x509.IPAddress(ipaddress.ip_address(text)) for text in addresses]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(pki.make_key(), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def show(pebble: Pebble, kind: ChallengeKind, proof: Proof) -> None:
    """Show a proof where pebble looks for it."""
    match kind:
        case ChallengeKind.HTTP:
            pebble.show_text(proof.token, proof.response)
        case ChallengeKind.DNS:
            pebble.show_record(f"_acme-challenge.{proof.name}", proof.response)
        case ChallengeKind.DNS_PERSIST:
            pebble.show_record(f"_validation-persist.{proof.name}", proof.response)


async def prove(ca: AcmeCa, pebble: Pebble, ordered: Ordered, kind: ChallengeKind) -> None:
    """Prove every name of an order, and wait until the CA has seen it. pebble takes an older proof now and then, even where it is told never to."""
    for url in ordered.authorization_urls:
        found = await ca.authorization(url, kind)
        if found.status == "valid":
            continue
        assert found.proof is not None
        show(pebble, kind, found.proof)
        await ca.answer(found.proof)
    for url in ordered.authorization_urls:
        assert (await decided(ca, url, kind)).status == "valid"


async def unproven(ca: AcmeCa, name: str, kind: ChallengeKind) -> Authorization:
    """Order a name that may have been proven before, until the CA wants to see a proof: pebble takes the older one now and then."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            ordered = await ca.order([name], profile="classic", replaces="")
            found = await ca.authorization(ordered.authorization_urls[0], kind)
            if found.status == "pending":
                return found


async def decided(ca: AcmeCa, url: str, kind: ChallengeKind) -> Authorization:
    """Wait until an authorization is no longer pending."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await ca.authorization(url, kind)
            if found.status != "pending":
                return found


async def issue(
    ca: AcmeCa,
    pebble: Pebble,
    names: Sequence[str],
    *,
    addresses: Sequence[str] = (),
    kind: ChallengeKind = ChallengeKind.HTTP,
    profile: str = "classic",
    replaces: str = "",
) -> Sequence[str]:
    """Order a certificate, and take every step to it; return its chains."""
    ordered = await ca.order([*names, *addresses], profile=profile, replaces=replaces)
    await prove(ca, pebble, ordered, kind)
    await ca.finalize(ordered.finalize_url, request_pem(names, addresses))
    now = await finalised(ca, ordered.url)
    assert now.status == "valid"
    return await ca.download(now.certificate_url)


async def finalised(ca: AcmeCa, url: str) -> Ordered:
    """Wait until an order is no longer processed."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            now = await ca.look(url)
            if now.status != "processing":
                return now


async def refused(awaited: Awaitable[object]) -> CaError:
    """Return why a CA was of no use."""
    with pytest.raises(CaError) as caught:
        await awaited
    error = caught.value
    assert error.message.isprintable()
    assert len(error.message) < 2000
    return error


async def order(ca, **terms):
    return await ca.order(NAMES, **{"profile": "", "replaces": "", **terms})


def made(hostile: HostileCa, **more) -> Reply:
    """Return the answer to an order."""
    return json_reply(hostile.order(**more), status=201, Location=hostile.url("/orders/1"))


def pending(hostile: HostileCa, token: object) -> Reply:
    """An authorization that waits for a proof by HTTP with this token."""
    challenge = {"type": "http-01", "url": hostile.url("/c"), "token": token, "status": "pending"}
    identifier = {"type": "dns", "value": "a.example.com"}
    return json_reply({"status": "pending", "identifier": identifier, "challenges": [challenge]})
