import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.api.codes import KeyKind
from common.errors import InvalidInputError
from common.pki.certificate import decode
from manager.pki.read.keys import private_key_pem
from manager.pki.read.upload import read_tls
from manager.pki.write.csr import DEFAULT_TEMPLATE, CsrFields, make_request, prefill
from manager.pki.write.keys import make_key
from tests.pki import make_leaf, make_root
from tests.unit.pki.openssl import openssl

ROOT = make_root()
FIELDS = CsrFields(
    subject="CN=node.example.com,O=Example\\, Ltd,C=GB",
    alternatives=[
        "node.example.com",
        "*.example.com",
        "10.0.0.1",
        "2001:db8::1",
        "https://x.example/",
        "a@b.example",
    ],
    template=DEFAULT_TEMPLATE,
)


@pytest.mark.parametrize("kind", [KeyKind.RSA2048, KeyKind.ECDSAP256, KeyKind.ECDSAP384])
def test_openssl_accepts_a_request_and_its_answer_comes_back_in(tmp_path, kind):
    key = make_key(kind)
    request = make_request(FIELDS, key)
    (tmp_path / "x.csr").write_text(request.pem)
    (tmp_path / "ca.pem").write_text(ROOT.certificate_pem)
    (tmp_path / "ca.key").write_text(ROOT.key_pem)
    text = openssl("req", "-verify", "-in", "x.csr", "-noout", "-text", cwd=tmp_path)
    for word in ('O = "Example, Ltd"', "DNS:*.example.com", "IP Address:10.0.0.1", "TLS Web Server Auth"):
        assert word in text
    assert "TLS Web Client Auth" not in text
    assert "W.e.b.S.e.r.v.e.r" in text
    signed = openssl(
        *("x509", "-req", "-in", "x.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "7"),
        *("-copy_extensions", "copyall", "-days", "30"),
        cwd=tmp_path,
    )
    material = read_tls(certificate=signed, private_key=private_key_pem(key))
    assert material.leaf.public_key_id == request.public_key_id
    assert material.leaf.subject_alt_names == tuple(FIELDS.alternatives)
    assert material.leaf.raw_subject == FIELDS.subject


def test_a_request_tells_what_it_asks_for():
    request = make_request(FIELDS, make_key(KeyKind.ECDSAP256))
    assert request.subject_name == "node.example.com"
    assert (request.key_type, request.key_bits) == ("EC P-256", 256)


def test_a_request_is_prefilled_from_a_certificate():
    made = make_leaf(
        ROOT, ["a.example.com"], addresses=["10.0.0.1"], usages=[ExtendedKeyUsageOID.SERVER_AUTH]
    )
    fields = prefill(decode(made.certificate_der), as_client=False)
    assert fields == CsrFields(
        subject="CN=a.example.com", alternatives=("a.example.com", "10.0.0.1"), client_auth=False
    )
    assert make_request(fields, make_key(KeyKind.ECDSAP256)).subject_alt_names == fields.alternatives


@pytest.mark.parametrize(
    ("usages", "as_client", "asked"),
    [
        (["SERVER_AUTH", "CLIENT_AUTH"], False, (True, False)),
        (["SERVER_AUTH", "CLIENT_AUTH"], True, (True, True)),
        (["SERVER_AUTH"], True, (True, True)),
        (["CLIENT_AUTH"], False, (False, True)),
    ],
)
def test_a_client_use_is_asked_for_only_where_the_certificate_is_used_so(usages, as_client, asked):
    made = make_leaf(ROOT, usages=[getattr(ExtendedKeyUsageOID, name) for name in usages])
    fields = prefill(decode(made.certificate_der), as_client=as_client)
    assert (fields.server_auth, fields.client_auth) == asked


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (CsrFields(subject="no name at all"), "subject"),
        (CsrFields(subject=""), "subject"),
        (CsrFields(subject="CN=" + "x" * 65), "subject"),
        (CsrFields(subject="CN=x", alternatives=["not a name"]), "subject_alt_names"),
        (CsrFields(subject="CN=x", alternatives=["ex\xe4mple.com"]), "subject_alt_names"),
        (CsrFields(subject="CN=x", alternatives=["a..b"]), "subject_alt_names"),
        (CsrFields(subject="CN=x", alternatives=["a.*.b"]), "subject_alt_names"),
        (CsrFields(subject="CN=x", alternatives=[f"{n}.org" for n in range(501)]), "subject_alt_names"),
        (CsrFields(subject="CN=x", template=""), "template"),
    ],
)
def test_what_cannot_be_asked_for_is_named_by_its_field(fields, field):
    with pytest.raises(InvalidInputError) as caught:
        make_request(fields, make_key(KeyKind.ECDSAP256))
    assert caught.value.field == field


def test_an_empty_subject_makes_the_alternative_names_critical():
    request = make_request(CsrFields(subject="", alternatives=["a.example.com"]), make_key(KeyKind.ECDSAP256))
    loaded = x509.load_der_x509_csr(request.der)
    assert loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
