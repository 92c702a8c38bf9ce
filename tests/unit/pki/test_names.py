"""Attributes of names are shown as people know them, and what is shown can be asked for again."""

import pytest

from common.api.codes import KeyKind
from common.pki.certificate import decode
from common.pki.oids import ATTRIBUTES
from common.pki.pem import read_blocks
from manager.pki.write.csr import CsrFields, make_request, prefill
from manager.pki.write.keys import make_key
from tests.odd import attribute, certificate, name, rdn, seq
from tests.unit.pki.openssl import openssl

FULL = (
    "organizationIdentifier=VATGB-123,businessCategory=Private Organization,jurisdictionC=GB,"
    "emailAddress=a@b.example,serialNumber=42,UID=u,DC=example,STREET=1 High St,postalCode=AB1,CN=node.example.com"
)


def test_a_name_is_shown_without_numbers_where_there_is_a_name(tmp_path):
    subject = "".join(f"/{part.replace('STREET', 'street')}" for part in reversed(FULL.split(",")))
    arguments = (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "key.pem",
        "-subj",
        subject,
    )
    pem = openssl("req", "-new", "-x509", *arguments, cwd=tmp_path)
    assert decode(read_blocks(pem).blocks[0].der).raw_subject == FULL


def test_a_name_that_is_shown_can_be_asked_for_again():
    parts = [part.split("=") for part in reversed(FULL.split(","))]
    numbers = {short: oid for oid, short in ATTRIBUTES.items()}
    subject = seq(*(rdn(attribute(numbers[kind], value)) for kind, value in parts))
    fields = prefill(decode(certificate(subject=subject)), as_client=False)
    assert make_request(fields, make_key(KeyKind.ECDSAP256)).raw_subject == FULL


@pytest.mark.parametrize("oid", ATTRIBUTES)
def test_every_known_attribute_can_be_asked_for_by_its_name(oid):
    value = "GB" if ATTRIBUTES[oid] in {"C", "jurisdictionC"} else "x"
    text = f"{ATTRIBUTES[oid]}={value}"
    request = make_request(CsrFields(subject=text), make_key(KeyKind.ECDSAP256))
    assert request.raw_subject == text


@pytest.mark.parametrize("value", ["a,b", 'a"b', "a\\b", "#a", " a", "a ", "a+b", "<a>", "a;b", "ü", "a=b"])
def test_what_has_to_be_escaped_in_a_name_survives(value):
    fields = prefill(decode(certificate(subject=name(value))), as_client=False)
    made = make_request(fields, make_key(KeyKind.ECDSAP256))
    assert (made.subject_name, made.raw_subject) == (value, fields.subject)
