"""What must be true of what a reader returns, whatever bytes it was given."""

from functools import cache
from typing import Final
from urllib.parse import parse_qsl

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization

from common.bundle.manifest import canonical, parse_manifest
from common.errors import (
    AccessError,
    ProtocolError,
)
from common.pki.certificate import decode
from common.pki.pem import Block, pem_of, read_blocks
from common.wire import enrolment, frames, messages
from common.wire.joining import only_frame
from manager.domain import assertion
from manager.infinity_api.contract.bodies import read_bulk, read_values
from manager.infinity_api.contract.description import Kind, Resource
from manager.infinity_api.contract.errors import InvalidRequestError
from manager.infinity_api.contract.index import RESOURCES
from manager.infinity_api.contract.query import read_query, select
from manager.pki.judge.lint import lint
from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.keys import load_private_key, private_key_pem
from manager.pki.read.reader import as_text
from manager.pki.read.redaction import without_private_keys
from manager.pki.text.certificate import text_form
from manager.web.forms import parse_form
from nodeagent.core.journal import decode_journal, encode_journal
from nodeagent.core.servicesfile import UserDatabase, parse_services, salvage_services
from tests import pki
from tests.integration.agent_parts import ROOT

INPUT_MAX_BYTES: Final = 16 * 1024
PASSPHRASE: Final = "word"
BOUNDARY: Final = "b"
FIELDS_MAX: Final = 100
LEAF: Final = pki.make_leaf(ROOT, ["a.example.com"], addresses=["192.0.2.1"])
ACCOUNTS: Final = UserDatabase(uid=lambda _name: 1000, gid=lambda _name: 1000)


PUBLIC_KEY: Final = (
    LEAF.key.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def _text(data: bytes) -> str:
    """Any text: bytes that are no UTF-8 stand for the characters with their numbers."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def run_pem(data: bytes) -> None:
    text = _text(data)
    reading = read_blocks(text)
    # what is written of the blocks reads as the same blocks
    written = "".join(pem_of(one.der, label=one.label, headers=one.headers) for one in reading.blocks)
    assert [one.der for one in read_blocks(written).blocks] == [one.der for one in reading.blocks]
    assert LEAF.key_pem.splitlines()[1] not in without_private_keys(text)
    as_text(data, "a certificate")


def run_certificate(data: bytes) -> None:
    found = decode(data)
    assert data.startswith(found.der)
    assert found.der == data or found.oddities, "what is left out is told"
    assert text_form(found).startswith("Certificate:")
    lint(found, now_s=pki.NOW_S)
    assert [block.der for block in read_blocks(found.pem).blocks] == [found.der]


def run_key(data: bytes) -> None:
    label = "ENCRYPTED PRIVATE KEY" if data[:1] == b"\x01" else "PRIVATE KEY"
    block = Block(label=label, der=data[1:])
    written = private_key_pem(load_private_key(block, PASSPHRASE))
    (again,) = read_blocks(written).blocks
    assert private_key_pem(load_private_key(again)) == written


def run_batch(data: bytes) -> None:
    read_batch([ImportFile("file", data)], passphrase=PASSPHRASE)


def run_frames(data: bytes) -> None:
    """Any cut of the stream gives the same frames, and they are written as they came."""
    whole = frames.FrameDecoder(INPUT_MAX_BYTES).feed(data)
    cut = data[0] if data else 0
    decoder = frames.FrameDecoder(INPUT_MAX_BYTES)
    assert decoder.feed(data[:cut]) + decoder.feed(data[cut:]) == whole
    written = b"".join(frames.encode_frame(header, blob) for header, blob in whole)
    assert data == written + data[len(written) :]
    assert decoder.buffered_bytes == len(data) - len(written)


def run_message(data: bytes) -> None:
    said = messages.decode(data)
    ((header, _),) = frames.FrameDecoder(INPUT_MAX_BYTES * 8).feed(messages.encode(said))
    # NaN is not equal to itself; what is written stays the same
    assert messages.encode(messages.decode(header)) == messages.encode(said)


def run_manifest(data: bytes) -> None:
    assert canonical(parse_manifest(data)) == data


def run_join(data: bytes) -> None:
    for read, write in (
        (enrolment.EnrolDecoder().request, only_frame),
        (enrolment.EnrolDecoder().reply, only_frame),
    ):
        try:
            said = read(data)
        except ProtocolError:
            continue
        if said is not None:
            assert getattr(enrolment.EnrolDecoder(), read.__name__)(write(said)) == said


def run_token(data: bytes) -> None:
    token = enrolment.decode_token(_text(data))
    assert enrolment.encode_token(
        enrolment.decode_token(enrolment.encode_token(token))
    ) == enrolment.encode_token(token)


def run_query(data: bytes) -> None:
    """The first byte chooses the resource; the rest is the query."""
    resource = RESOURCES[data[0] % len(RESOURCES)] if data else RESOURCES[0]
    parameters = parse_qsl(_text(data[1:]), keep_blank_values=True)
    query = read_query(resource, parameters)
    select(query, _rows(resource))


def _rows(resource: Resource) -> dict[int, dict[str, object]]:
    """A row with a value of its field's type wherever that is a text or a whole number, and one without any."""
    typed = {Kind.STRING: "a.example.com", Kind.INTEGER: 1}
    return {1: {field.name: typed.get(field.kind) for field in resource.by_name.values()}, 2: {}}


def run_body(data: bytes) -> None:
    resource = RESOURCES[data[0] % len(RESOURCES)] if data else RESOURCES[0]
    try:
        body = msgspec.json.decode(data[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for read in (
        lambda: read_values(resource, body, whole=True),
        lambda: read_values(resource, body, whole=False),
        lambda: read_bulk(resource, body, {}),
    ):
        try:
            read()
        except InvalidRequestError:
            continue


def run_form(data: bytes) -> None:
    form = parse_form(data, None, FIELDS_MAX)
    assert sum(len(values) for values in form.fields.values()) <= FIELDS_MAX


def run_multipart(data: bytes) -> None:
    form = parse_form(data, BOUNDARY, FIELDS_MAX)
    count = sum(len(values) for values in form.fields.values()) + sum(
        len(files) for files in form.files.values()
    )
    assert count <= FIELDS_MAX
    assert sum(len(one.data) for files in form.files.values() for one in files) <= len(data)


def run_assertion(data: bytes) -> None:
    token = _text(data)
    assertion.issuer_of(token)
    try:
        assertion.check_assertion(token, PUBLIC_KEY, client_id="c", hosts=["m.test"], now_s=pki.NOW_S)
    except AccessError:
        return
    assert token in SIGNED, "a token was taken that nobody signed"


def run_public_key(data: bytes) -> None:
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


def run_services(data: bytes) -> None:
    text = _text(data)
    services = parse_services(text, ACCOUNTS)
    again, lost = salvage_services(text, ACCOUNTS)
    assert (again, lost) == (services, ())


def run_journal(data: bytes) -> None:
    journal = decode_journal(data)
    assert encode_journal(decode_journal(encode_journal(journal))) == encode_journal(journal)
