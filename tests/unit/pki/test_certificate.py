import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from common.errors import PkiError, Reason
from common.pki import der
from common.pki.certificate import decode
from common.pki.pem import read_blocks
from tests.pki import NOW_S, make_intermediate, make_leaf, make_root, make_rsa_key
from tests.unit.pki.openssl import openssl


def test_the_fields_are_read():
    root = make_root("Some CA")
    made = make_leaf(
        root, ["a.example.com", "b.example.com"], addresses=["10.0.0.1", "2001:db8::1"], serial=0xABC
    )
    leaf = decode(made.certificate_der)
    assert leaf.pem == made.certificate_pem
    assert (leaf.subject_name, leaf.issuer_name) == ("a.example.com", "Some CA")
    assert (leaf.raw_subject, leaf.raw_issuer) == ("CN=a.example.com", "CN=Some CA")
    assert leaf.serial_no == "0ABC"
    assert (leaf.not_before_s, leaf.not_after_s) == (NOW_S - 10 * 86400, NOW_S + 365 * 86400)
    assert leaf.subject_alt_names == ("a.example.com", "b.example.com", "10.0.0.1", "2001:db8::1")
    assert (leaf.key_type, leaf.key_bits, leaf.signature_hash) == ("EC P-256", 256, "sha256")
    assert leaf.issuer_key_id == decode(root.certificate_der).key_id
    assert leaf.key_id.count(":") == 19
    assert not leaf.is_ca
    assert not leaf.is_self_signed
    assert leaf.server_auth_usage
    assert leaf.client_auth_usage
    assert leaf.undecodable == ()


def test_a_root_is_a_self_signed_ca():
    root = decode(make_root().certificate_der)
    assert root.is_ca
    assert root.is_self_signed


def test_a_name_equal_to_its_issuer_is_not_enough_to_be_self_signed():
    other = make_intermediate(make_root("Same"), "Same")
    assert not decode(other.certificate_der).is_self_signed


def test_the_organisation_stands_in_for_a_missing_common_name():
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Ltd")])
    assert decode(make_leaf(make_root(), subject=subject).certificate_der).subject_name == "Example Ltd"


def test_an_empty_subject_reads_as_nothing_and_has_a_label():
    leaf = decode(make_leaf(make_root(), subject=x509.Name([])).certificate_der)
    assert (leaf.subject_name, leaf.raw_subject) == ("", "")
    assert leaf.label == "node.example.com"


def test_an_rsa_certificate_with_another_hash_is_named():
    root = make_root(key=make_rsa_key(), hash_=hashes.SHA512())
    found = decode(root.certificate_der)
    assert (found.key_type, found.key_bits, found.signature_hash) == ("RSA", 2048, "sha512")
    assert found.is_self_signed


def test_bytes_that_are_no_certificate_are_refused():
    with pytest.raises(PkiError) as caught:
        decode(b"\x30\x03\x02\x01\x00")
    assert caught.value.reason is Reason.PARSE


def test_a_certificate_beyond_64_kib_is_refused():
    with pytest.raises(PkiError) as caught:
        decode(b"\x30" * 70_000)
    assert caught.value.reason is Reason.TOO_BIG


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        # the subject alternative names' first entry becomes a kind that does not exist
        (b"\x82\x10node.example.com", b"\x8f\x10node.example.com", "subject_alt_names"),
        # the curve P-256 becomes one that nobody knows
        (bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f"), "public_key"),
        # the basic constraints appear twice (the key usage's identifier is overwritten)
        (bytes.fromhex("0603551d25"), bytes.fromhex("0603551d13"), "basic_constraints"),
    ],
)
def test_a_field_that_cannot_be_decoded_is_named_and_neutral(old, new, field):
    original = make_leaf(make_root()).certificate_der
    assert old in original
    found = decode(original.replace(old, new))
    assert field in found.undecodable
    assert found.raw_subject == "CN=node.example.com"


def test_a_serial_number_that_the_library_warns_of_is_read():
    # 20 octets beginning with 0x7F become negative without changing any length
    made = make_leaf(make_root(), serial=(0x7F << 152) | 1)
    odd = made.certificate_der.replace(b"\x02\x14\x7f", b"\x02\x14\x80", 1)
    assert decode(odd).serial_no.startswith("-")


def test_names_are_hashed_as_openssl_does(tmp_path):
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "GB"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "  Exam\xe4ple   LTD "),
            x509.NameAttribute(NameOID.COMMON_NAME, "Node.Example.com"),
        ]
    )
    for name in (subject, x509.Name([])):
        made = make_leaf(make_root(), subject=name)
        hashes_of = ("x509", "-noout", "-subject_hash", "-issuer_hash")
        printed = openssl(*hashes_of, cwd=tmp_path, stdin=made.certificate_pem)
        found = decode(made.certificate_der)
        assert [found.subject_hash, found.issuer_hash] == printed.split()


def test_names_that_differ_in_case_and_string_type_are_the_same_name():
    def name(text, kind):
        value = x509.NameAttribute(NameOID.COMMON_NAME, text, kind)
        return x509.Name([value])

    root = make_leaf(
        None, subject=name("The  root", x509.name._ASN1Type.PrintableString)
    )  # pragma: no mutate
    other = make_leaf(None, subject=name("the ROOT", x509.name._ASN1Type.UTF8String))
    assert decode(root.certificate_der).subject_id == decode(other.certificate_der).subject_id


def test_der_is_read_without_ever_leaving_its_input():
    for data in (b"", b"\x30", b"\x30\x80", b"\x30\x85\1\1\1\1\1", b"\x30\x02\x02", b"\x1f\x01\x00"):
        with pytest.raises(der.DerError):
            der.sequence(data)


def test_every_built_in_root_is_decoded():
    import certifi

    from manager.pki.text.certificate import text_form

    reading = read_blocks(certifi.contents())
    roots = [decode(block.der) for block in reading.blocks]
    assert len(roots) > 100
    assert not reading.findings
    assert all(root.is_ca and root.undecodable == () for root in roots)
    assert all(text_form(root) for root in roots)


@pytest.mark.parametrize(
    ("key", "options", "kind", "hashed"),
    [
        (("genpkey", "-algorithm", "ed25519"), (), "Ed25519", ""),
        (("genpkey", "-algorithm", "ed448"), (), "Ed448", ""),
        (("dsaparam", "-genkey", "-noout", "2048"), (), "DSA", "sha256"),
        (("genrsa", "2048"), ("-sigopt", "rsa_padding_mode:pss"), "RSA", "sha256"),
        (("ecparam", "-name", "secp521r1", "-genkey", "-noout"), ("-sha512",), "EC P-521", "sha512"),
    ],
)
def test_every_kind_of_signature_is_verified(tmp_path, key, options, kind, hashed):
    (tmp_path / "key.pem").write_text(openssl(*key, cwd=tmp_path))
    pem = openssl("req", "-new", "-x509", "-key", "key.pem", "-subj", "/CN=x", *options, cwd=tmp_path)
    der_bytes = read_blocks(pem).blocks[0].der
    found = decode(der_bytes)
    assert found.is_self_signed
    assert (found.key_type, found.signature_hash) == (kind, hashed)
    assert not decode(der_bytes.replace(b"\x0c\x01x", b"\x0c\x01y")).is_self_signed
