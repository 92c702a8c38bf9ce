"""The readers that are fed at random, each with its oracle: what it may raise, and what must be true of what it returns.

A target takes bytes and returns; whatever it raises is a fault of the reader. Its seeds are made by code, since no key or
certificate is kept; what once went wrong is kept below `corpus/`, by the target's name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from common.bundle.manifest import canonical, parse_manifest
from common.errors import (
    AccessError,
    BundleError,
    InstallError,
    InvalidInputError,
    PkiError,
    ProtocolError,
)
from common.pki.certificate import decode
from common.pki.pem import Block, pem_of, read_blocks
from common.wire import enrolment, frames, messages
from manager.domain import assertion
from manager.infinity_api.contract.bodies import read_bulk, read_values
from manager.infinity_api.contract.description import Kind, Resource
from manager.infinity_api.contract.errors import RefusedError
from manager.infinity_api.contract.index import RESOURCES
from manager.infinity_api.contract.query import read_query, select
from manager.pki.judge.lint import lint
from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.keys import load_private_key, private_key_pem
from manager.pki.read.pfx import open_pfx
from manager.pki.read.reader import as_text, read_file
from manager.pki.read.redaction import without_private_keys
from manager.pki.text.certificate import text_form
from manager.web.forms import parse_form
from nodeagent.core.journal import Journal, decode_journal, encode_journal
from nodeagent.core.servicesfile import Accounts, ServicesError, parse_services, salvage_services
from tests import pki
from tests.integration.agent_parts import ROOT, real_bundle

CORPUS: Final = Path(__file__).parent / "corpus"
VECTORS: Final = Path(__file__).parents[1] / "vectors"
RECIPES: Final = Path(__file__).parents[2] / "nodeagent/recipes"
INPUT_MAX_BYTES: Final = 16 * 1024
PASSPHRASE: Final = "word"
BOUNDARY: Final = "b"
FIELDS_MAX: Final = 100
LEAF: Final = pki.make_leaf(ROOT, ["a.example.com"], addresses=["192.0.2.1"])
ACCOUNTS: Final = Accounts(uid=lambda _name: 1000, gid=lambda _name: 1000)
PUBLIC_KEY: Final = (
    LEAF.key.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


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


def _text(data: bytes) -> str:
    """Any text: bytes that are no UTF-8 stand for the characters with their numbers."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


# -- X.509


def _pem(data: bytes) -> None:
    text = _text(data)
    reading = read_blocks(text)
    # what is written of the blocks reads as the same blocks
    written = "".join(pem_of(one.der, label=one.label, headers=one.headers) for one in reading.blocks)
    assert [one.der for one in read_blocks(written).blocks] == [one.der for one in reading.blocks]
    assert LEAF.key_pem.splitlines()[1] not in without_private_keys(text)
    as_text(data, "a certificate")


def _certificate(data: bytes) -> None:
    found = decode(data)
    assert data.startswith(found.der)
    assert found.der == data or found.oddities, "what is left out is told"
    assert text_form(found).startswith("Certificate:")
    lint(found, now_s=pki.NOW_S)
    assert [block.der for block in read_blocks(found.pem).blocks] == [found.der]


def _key(data: bytes) -> None:
    label = "ENCRYPTED PRIVATE KEY" if data[:1] == b"\x01" else "PRIVATE KEY"
    block = Block(label=label, der=data[1:])
    written = private_key_pem(load_private_key(block, PASSPHRASE))
    (again,) = read_blocks(written).blocks
    assert private_key_pem(load_private_key(again)) == written


def _batch(data: bytes) -> None:
    read_batch([ImportFile("file", data)], passphrase=PASSPHRASE)


def _pkcs12() -> bytes:
    builder = serialization.PrivateFormat.PKCS12.encryption_builder().kdf_rounds(10)
    sealed = builder.key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC).build(PASSPHRASE.encode())
    return pkcs12.serialize_key_and_certificates(b"a", LEAF.key, LEAF.certificate, [ROOT.certificate], sealed)


def _plain_key() -> bytes:
    return LEAF.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _sealed_key() -> bytes:
    (block,) = read_blocks(LEAF.encrypted_key_pem(PASSPHRASE)).blocks
    return block.der


# -- the wire


def _frames(data: bytes) -> None:
    """Any cut of the stream gives the same frames, and they are written as they came."""
    whole = frames.FrameDecoder(INPUT_MAX_BYTES).feed(data)
    cut = data[0] if data else 0
    decoder = frames.FrameDecoder(INPUT_MAX_BYTES)
    assert decoder.feed(data[:cut]) + decoder.feed(data[cut:]) == whole
    written = b"".join(frames.encode_frame(header, blob) for header, blob in whole)
    assert data == written + data[len(written) :]
    assert decoder.buffered_bytes == len(data) - len(written)


def _message(data: bytes) -> None:
    said = messages.decode(data)
    ((header, _),) = frames.FrameDecoder(INPUT_MAX_BYTES * 8).feed(messages.encode(said))
    # NaN is not equal to itself; what is written stays the same
    assert messages.encode(messages.decode(header)) == messages.encode(said)


def _manifest(data: bytes) -> None:
    assert canonical(parse_manifest(data)) == data


def _join(data: bytes) -> None:
    for read, write in (
        (enrolment.EnrolDecoder().request, enrolment.encode_request),
        (enrolment.EnrolDecoder().reply, enrolment.encode_reply),
    ):
        try:
            said = read(data)
        except ProtocolError:
            continue
        if said is not None:
            assert getattr(enrolment.EnrolDecoder(), read.__name__)(write(said)) == said


def _token(data: bytes) -> None:
    token = enrolment.decode_token(_text(data))
    assert enrolment.encode_token(
        enrolment.decode_token(enrolment.encode_token(token))
    ) == enrolment.encode_token(token)


# -- HTTP


def _query(data: bytes) -> None:
    """The first byte chooses the resource; the rest is the query."""
    resource = RESOURCES[data[0] % len(RESOURCES)] if data else RESOURCES[0]
    parameters = parse_qsl(_text(data[1:]), keep_blank_values=True)
    query = read_query(resource, parameters)
    select(query, _rows(resource))


def _rows(resource: Resource) -> list[dict[str, object]]:
    """A row with a value of its field's type wherever that is a text or a whole number, and one without any."""
    typed = {Kind.STRING: "a.example.com", Kind.INTEGER: 1}
    return [{field.name: typed.get(field.kind) for field in resource.by_name.values()}, {}]


def _body(data: bytes) -> None:
    resource = RESOURCES[data[0] % len(RESOURCES)] if data else RESOURCES[0]
    try:
        body = msgspec.json.decode(data[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for read in (
        lambda: read_values(resource, body, whole=True),
        lambda: read_values(resource, body, whole=False),
        lambda: read_bulk(resource, body),
    ):
        try:
            read()
        except RefusedError:
            continue


def _form(data: bytes) -> None:
    form = parse_form(data, None, FIELDS_MAX)
    assert sum(len(values) for values in form.fields.values()) <= FIELDS_MAX


def _multipart(data: bytes) -> None:
    form = parse_form(data, BOUNDARY, FIELDS_MAX)
    count = sum(len(values) for values in form.fields.values()) + sum(
        len(files) for files in form.files.values()
    )
    assert count <= FIELDS_MAX
    assert sum(len(one.data) for files in form.files.values() for one in files) <= len(data)


def _assertion(data: bytes) -> None:
    token = _text(data)
    assertion.issuer_of(token)
    try:
        assertion.check_assertion(token, PUBLIC_KEY, client_id="c", hosts=["m.test"], now_s=pki.NOW_S)
    except AccessError:
        return
    assert token in SIGNED, "a token was taken that nobody signed"


def _public_key(data: bytes) -> None:
    written = assertion.read_public_key(_text(data))
    assert assertion.read_public_key(written) == written


@cache
def _signed() -> tuple[str, ...]:
    claims = {
        "iss": "c",
        "sub": "c",
        "aud": f"https://m.test{assertion.TOKEN_PATH}",
        "iat": pki.NOW_S,
        "exp": pki.NOW_S + 60,
        "jti": "1",
    }
    return (jwt.encode(claims, LEAF.key, algorithm="ES256"),)


SIGNED: Final = _signed()


# -- the node's files


def _services(data: bytes) -> None:
    text = _text(data)
    services = parse_services(text, ACCOUNTS)
    again, lost = salvage_services(text, ACCOUNTS)
    assert (again, lost) == (services, ())


def _journal(data: bytes) -> None:
    journal = decode_journal(data)
    assert encode_journal(decode_journal(encode_journal(journal))) == encode_journal(journal)


def _vectors(*names: str) -> list[bytes]:
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
            run=_pem,
            refusals=_PKI,
            seeds=lambda: [
                f"{LEAF.certificate_pem}{ROOT.certificate_pem}{LEAF.key_pem}".encode(),
                LEAF.encrypted_key_pem(PASSPHRASE).encode(),
            ],
        ),
        Target(
            name="certificate",
            run=_certificate,
            refusals=_PKI,
            seeds=lambda: [LEAF.certificate_der, ROOT.certificate_der],
        ),
        Target(
            name="pkcs12",
            run=lambda data: open_pfx(data, PASSPHRASE),
            refusals=_PKI,
            seeds=lambda: [_pkcs12()],
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
            run=_key,
            refusals=_PKI,
            seeds=lambda: [b"\x00" + _plain_key(), b"\x01" + _sealed_key()],
        ),
        Target(
            name="batch",
            run=_batch,
            refusals=_PKI,
            seeds=lambda: [f"{LEAF.certificate_pem}{ROOT.certificate_pem}{LEAF.key_pem}".encode(), _pkcs12()],
        ),
        Target(name="frames", run=_frames, refusals=(ProtocolError,), seeds=lambda: _vectors(*_MESSAGES)),
        Target(
            name="message",
            run=_message,
            refusals=(ProtocolError,),
            seeds=lambda: [frames.FrameDecoder(1 << 20).feed(one)[0][0] for one in _vectors(*_MESSAGES)],
        ),
        Target(
            name="manifest",
            run=_manifest,
            refusals=(BundleError,),
            seeds=lambda: [
                (VECTORS / "manifest.json").read_bytes().strip(),
                canonical(real_bundle(LEAF, 1).manifest),
            ],
        ),
        Target(
            name="join",
            run=_join,
            refusals=(ProtocolError,),
            seeds=lambda: [
                enrolment.encode_request(
                    enrolment.EnrolRequest(node="n1", secret="s" * 43, agent_version="1")
                ),
                enrolment.encode_reply(enrolment.EnrolReply(ok=False, reason="forbidden", message="no")),
            ],
        ),
        Target(
            name="token",
            run=_token,
            refusals=(InvalidInputError,),
            seeds=lambda: [enrolment.encode_token(_TOKEN).encode()],
        ),
        Target(
            name="query",
            run=_query,
            refusals=(RefusedError,),
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
            run=_body,
            refusals=(RefusedError,),
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
            run=_form,
            refusals=(InvalidInputError,),
            seeds=lambda: [b"user=admin&password=p%20w&next=%2F&tick=1&tick=2"],
        ),
        Target(
            name="multipart",
            run=_multipart,
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
            run=_assertion,
            refusals=(AccessError,),
            seeds=lambda: [token.encode() for token in SIGNED],
        ),
        Target(
            name="public_key",
            run=_public_key,
            refusals=(InvalidInputError,),
            seeds=lambda: [PUBLIC_KEY.encode()],
        ),
        Target(
            name="services",
            run=_services,
            refusals=(ServicesError,),
            seeds=lambda: [
                path.read_bytes().replace(b"NAME", b"name") for path in sorted(RECIPES.glob("*.toml"))
            ],
        ),
        Target(
            name="journal",
            run=_journal,
            refusals=(InstallError,),
            seeds=lambda: [encode_journal(Journal())],
        ),
    )
}
