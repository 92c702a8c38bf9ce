"""The readers that are fed at random: what each may raise, and what it is fed at first.

A target takes bytes and returns; whatever it raises is a fault of the reader. Its seeds are made by code, since no key or
certificate is kept; what once went wrong is kept below `corpus/`, by the target's name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from common.bundle.manifest import canonical
from common.errors import (
    AccessError,
    BundleError,
    InstallError,
    InvalidInputError,
    PkiError,
    ProtocolError,
)
from common.pki.pem import read_blocks
from common.wire import enrolment, frames
from common.wire.joining import only_frame
from manager.infinity_api.contract.errors import InvalidRequestError
from manager.infinity_api.contract.index import RESOURCES
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.pfx import open_pfx
from manager.pki.read.reader import read_file
from nodeagent.core.journal import Journal, encode_journal
from nodeagent.core.servicesfile import ServicesError
from tests import pki
from tests.fuzz.readers import (
    LEAF,
    PASSPHRASE,
    PUBLIC_KEY,
    SIGNED,
    run_assertion,
    run_batch,
    run_body,
    run_certificate,
    run_form,
    run_frames,
    run_join,
    run_journal,
    run_key,
    run_manifest,
    run_message,
    run_multipart,
    run_pem,
    run_public_key,
    run_query,
    run_services,
    run_token,
)
from tests.integration.agent_parts import ROOT, real_bundle

CORPUS: Final = Path(__file__).parent / "corpus"
VECTORS: Final = Path(__file__).parents[1] / "vectors"
RECIPES: Final = Path(__file__).parents[2] / "nodeagent/recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`run` raises nothing but one of `refusals`, which stand for "refused as documented"."""

    name: str
    run: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]

    def try_one(self, data: bytes) -> None:
        """Feed it. Raises what must not be raised."""
        try:
            self.run(data)
        except self.refusals:
            return

    @property
    def kept(self) -> list[bytes]:
        """What once went wrong."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).glob("*"))]


def pkcs12_file() -> bytes:
    builder = serialization.PrivateFormat.PKCS12.encryption_builder().kdf_rounds(10)
    sealed = builder.key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC).build(PASSPHRASE.encode())
    return pkcs12.serialize_key_and_certificates(b"a", LEAF.key, LEAF.certificate, [ROOT.certificate], sealed)


def plain_key() -> bytes:
    return LEAF.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def sealed_key() -> bytes:
    (block,) = read_blocks(LEAF.encrypted_key_pem(PASSPHRASE)).blocks
    return block.der


def vectors(*names: str) -> list[bytes]:
    return [bytes.fromhex((VECTORS / f"{name}.hex").read_text()) for name in names]


_MESSAGES: Final = (
    "hello",
    "welcome",
    "offer",
    "want",
    "payload",
    "outcome",
    "outcome_ack",
    "progress",
    "rejected",
    "tick",
)


_TOKEN: Final = enrolment.JoinToken(
    node="n1",
    addresses=("m.test:9422",),
    fingerprint=f"SHA256:{'A' * 43}",
    secret="s" * 43,
    expires_s=pki.NOW_S,
)


_PKI: Final = (PkiError, PkiFindingsError)


TARGETS: Final[Mapping[str, Target]] = {
    one.name: one
    for one in (
        Target(
            name="pem",
            run=run_pem,
            refusals=_PKI,
            seeds=lambda: [
                f"{LEAF.certificate_pem}{ROOT.certificate_pem}{LEAF.key_pem}".encode(),
                LEAF.encrypted_key_pem(PASSPHRASE).encode(),
            ],
        ),
        Target(
            name="certificate",
            run=run_certificate,
            refusals=_PKI,
            seeds=lambda: [LEAF.certificate_der, ROOT.certificate_der],
        ),
        Target(
            name="pkcs12",
            run=lambda data: open_pfx(data, PASSPHRASE),
            refusals=_PKI,
            seeds=lambda: [pkcs12_file()],
        ),
        Target(
            name="pkcs7",
            run=lambda data: read_file(data, "a certificate"),
            refusals=_PKI,
            seeds=lambda: [
                pkcs7.serialize_certificates([LEAF.certificate, ROOT.certificate], encoding)
                for encoding in (serialization.Encoding.DER, serialization.Encoding.PEM)
            ],
        ),
        Target(
            name="key",
            run=run_key,
            refusals=_PKI,
            seeds=lambda: [b"\x00" + plain_key(), b"\x01" + sealed_key()],
        ),
        Target(
            name="batch",
            run=run_batch,
            refusals=_PKI,
            seeds=lambda: [
                f"{LEAF.certificate_pem}{ROOT.certificate_pem}{LEAF.key_pem}".encode(),
                pkcs12_file(),
            ],
        ),
        Target(name="frames", run=run_frames, refusals=(ProtocolError,), seeds=lambda: vectors(*_MESSAGES)),
        Target(
            name="message",
            run=run_message,
            refusals=(ProtocolError,),
            seeds=lambda: [frames.FrameDecoder(1 << 20).feed(one)[0][0] for one in vectors(*_MESSAGES)],
        ),
        Target(
            name="manifest",
            run=run_manifest,
            refusals=(BundleError,),
            seeds=lambda: [
                (VECTORS / "manifest.json").read_bytes().strip(),
                canonical(real_bundle(LEAF, 1).manifest),
            ],
        ),
        Target(
            name="join",
            run=run_join,
            refusals=(ProtocolError,),
            seeds=lambda: [
                only_frame(enrolment.EnrolRequest(node="n1", secret="s" * 43, agent_version="1")),
                only_frame(enrolment.EnrolReply(ok=False, reason="forbidden", message="no")),
            ],
        ),
        Target(
            name="token",
            run=run_token,
            refusals=(InvalidInputError,),
            seeds=lambda: [enrolment.encode_token(_TOKEN).encode()],
        ),
        Target(
            name="query",
            run=run_query,
            refusals=(InvalidRequestError,),
            seeds=lambda: [
                bytes([number]) + query
                for number in range(len(RESOURCES))
                for query in (
                    b"limit=5&offset=1&order_by=-name",
                    b"name__icontains=a&id__in=1,2&key_id__isnull=true",
                    b"name__regex=%5Ea%2B%24&subject_name__istartswith=A&id__gte=2",
                )
            ],
        ),
        Target(
            name="body",
            run=run_body,
            refusals=(InvalidRequestError,),
            seeds=lambda: [
                bytes([number]) + body
                for number in range(len(RESOURCES))
                for body in (
                    b'{"name":"a","certificate":"x","private_key":null,"nodes":["/api/admin/configuration/v1/x/1/"]}',
                    b'{"objects":[{"id":1,"name":"a"}],"deleted_objects":[]}',
                )
            ],
        ),
        Target(
            name="form",
            run=run_form,
            refusals=(InvalidInputError,),
            seeds=lambda: [b"user=admin&password=p%20w&next=%2F&tick=1&tick=2"],
        ),
        Target(
            name="multipart",
            run=run_multipart,
            refusals=(InvalidInputError,),
            seeds=lambda: [
                (
                    b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
                    b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.pem"\r\n'
                    b"Content-Type: application/x-pem-file\r\n\r\nbytes\r\n--b--\r\n"
                )
            ],
        ),
        Target(
            name="assertion",
            run=run_assertion,
            refusals=(AccessError,),
            seeds=lambda: [token.encode() for token in SIGNED],
        ),
        Target(
            name="public_key",
            run=run_public_key,
            refusals=(InvalidInputError,),
            seeds=lambda: [PUBLIC_KEY.encode()],
        ),
        Target(
            name="services",
            run=run_services,
            refusals=(ServicesError,),
            seeds=lambda: [
                path.read_bytes().replace(b"NAME", b"name") for path in sorted(RECIPES.glob("*.toml"))
            ],
        ),
        Target(
            name="journal",
            run=run_journal,
            refusals=(InstallError,),
            seeds=lambda: [encode_journal(Journal())],
        ),
    )
}
