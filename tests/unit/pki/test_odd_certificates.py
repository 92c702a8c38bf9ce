"""Certificates that a strict parser refuses and that OpenSSL reads: what it reads is what is shown here."""

import datetime as dt
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from common.api.codes import ChainState, Format
from common.errors import PkiError, Reason
from common.pki import der
from common.pki.certificate import decode, is_signed_by
from common.pki.constraints import Comparisons, constraints_hold
from common.pki.finding import LintCode
from common.pki.pem import pem_of
from common.pki.strict import StrictClient
from common.runtime.handshake import leaf_not_after_s
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers
from manager.pki.judge.lint import lint
from manager.pki.write.export import ExportItem, export
from tests.odd import (
    AKI,
    BASIC,
    BMP,
    CN,
    ECDSA_SHA256,
    EKU,
    EMAIL,
    FALSE,
    GENERALIZED,
    IA5,
    KEY_USAGE,
    NAMES,
    ONE,
    ORG,
    PRINTABLE,
    SAN,
    SKI,
    T61,
    TRUE,
    UNIVERSAL,
    UTC,
    attribute,
    certificate,
    dns,
    extension,
    name,
    rdn,
    seq,
    spki,
)
from tests.pki import make_leaf, make_root, make_rsa_key
from tests.unit.pki.openssl import openssl

RSA_KEY = make_rsa_key()
SHA256_RSA = "1.2.840.113549.1.1.11"
NULL = b"\x05\x00"

# what is odd -> the certificate, and words of the sentence that says so ("" where nothing is odd about it)
ODD = {
    "printable string with an asterisk": (
        certificate(subject=name("*.example.com", PRINTABLE)),
        "Its subject has a PrintableString with '*'.",
    ),
    "printable string with an underscore": (
        certificate(subject=name("a_b.example.com", PRINTABLE)),
        "PrintableString with '_'",
    ),
    "printable string with an ampersand": (
        certificate(subject=name("A & B", PRINTABLE)),
        "PrintableString with '&'",
    ),
    "printable string with an at sign": (
        certificate(subject=name("a@b.example", PRINTABLE)),
        "PrintableString with '@'",
    ),
    "issuer's printable string": (
        certificate(issuer=name("CA *", PRINTABLE)),
        "Its issuer's name has a PrintableString with '*'.",
    ),
    "latin-1 in an IA5 string": (
        certificate(subject=seq(rdn(attribute(EMAIL, b"\xfc@b.example", IA5)))),
        "an IA5String with the octet 0xFC",
    ),
    "teletex string": (certificate(subject=name(b"M\xfcnchen", T61)), ""),
    "BMP string": (certificate(subject=name("München".encode("utf-16-be"), BMP)), ""),
    "universal string": (certificate(subject=name("München".encode("utf-32-be"), UNIVERSAL)), ""),
    "NUL in a name": (certificate(subject=name(b"a.example\x00.evil.example", IA5)), "NUL character"),
    "empty value": (
        certificate(subject=seq(rdn(attribute(CN, "")), rdn(attribute(ORG, "x")))),
        "an empty value",
    ),
    "two attributes in one part": (
        certificate(subject=seq(rdn(attribute(CN, "b"), attribute(ORG, "x")))),
        "",
    ),
    "explicit critical false": (
        certificate(extensions=[extension(SAN, dns("odd.example.com"), FALSE)]),
        "Its subject alternative name says 'critical FALSE', which DER leaves out.",
    ),
    "critical as one": (
        certificate(extensions=[NAMES, extension(BASIC, seq(), ONE)]),
        "Its basic constraints writes TRUE as 0x01.",
    ),
    "explicit CA false": (
        certificate(extensions=[extension(BASIC, seq(FALSE), TRUE), NAMES]),
        "Its basic constraints says 'CA FALSE', which DER leaves out.",
    ),
    "CA as one": (
        certificate(extensions=[extension(BASIC, seq(ONE), TRUE), NAMES]),
        "Its basic constraints writes TRUE as 0x01.",
    ),
    "authority key identifier without serial": (
        certificate(
            extensions=[
                NAMES,
                extension(
                    AKI, seq(der.encode(0x80, b"\x01" * 20), der.encode(0xA1, der.encode(0xA4, name("x"))))
                ),
            ]
        ),
        "authority key identifier names an issuer without a serial number",
    ),
    "negative serial": (certificate(serial=b"\x02\x01\x80"), "Its serial number is negative."),
    "serial of zero": (certificate(serial=b"\x02\x01\x00"), "Its serial number is zero."),
    "long serial": (certificate(serial=der.encode(2, b"\x11" * 24)), "more than 20 octets"),
    "version 1 with extensions": (
        certificate(version=b""),
        "It has extensions, but says that its version is 1.",
    ),
    "version 2": (certificate(version=b"\xa0\x03\x02\x01\x01", extensions=None), "its version is 2"),
    "explicit version 1": (
        certificate(version=b"\xa0\x03\x02\x01\x00", extensions=None),
        "Strict parsers refuse",
    ),
    "time without seconds": (
        certificate(not_before=(UTC, "2601010000Z")),
        "Its notBefore is not written as it must be",
    ),
    "time with an offset": (
        certificate(not_after=(UTC, "280101000000+0200")),
        "Its notAfter is not written as it must be",
    ),
    "time with fractions": (certificate(not_before=(GENERALIZED, "20260101000000.5Z")), "fractions"),
    "generalized time before 2050": (
        certificate(not_before=(GENERALIZED, "20260101000000Z")),
        "GeneralizedTime before 2050",
    ),
    "year 9999": (certificate(not_after=(GENERALIZED, "99991231235959Z")), ""),
    "year 1950": (certificate(not_before=(UTC, "500101000000Z")), ""),
    "extension twice": (certificate(extensions=[NAMES, NAMES]), "occurs 2 times"),
    "no name in the alternative names": (
        certificate(extensions=[extension(SAN, seq())]),
        "has no name in it",
    ),
    "address of five octets": (
        certificate(
            extensions=[
                extension(SAN, seq(der.encode(0x82, b"a.example"), der.encode(0x87, b"\x0a\0\0\1\2")))
            ]
        ),
        "has an IP address of 5 octets",
    ),
    "host name that is not ASCII": (
        certificate(extensions=[extension(SAN, seq(der.encode(0x82, "münchen.example".encode())))]),
        "has a name that is not ASCII",
    ),
    "bytes after an extension's value": (
        certificate(extensions=[extension(SAN, dns("odd.example.com") + b"\x05\x00")]),
        "has bytes after its value",
    ),
    "empty key usage": (
        certificate(extensions=[NAMES, extension(KEY_USAGE, b"\x03\x01\x00", TRUE)]),
        "Its key usage allows nothing.",
    ),
    "key usage in an unusual length": (
        certificate(extensions=[NAMES, extension(KEY_USAGE, b"\x03\x02\x00\xa0", TRUE)]),
        "",
    ),
    "empty extended key usage": (
        certificate(extensions=[NAMES, extension(EKU, seq())]),
        "extended key usage allows nothing",
    ),
    "signature algorithm with a NULL too many": (
        certificate(outer=seq(der.encode_object_id("1.2.840.10045.4.3.2"), NULL)),
        "Strict parsers refuse",
    ),
    "RSA signature without its NULL": (
        certificate(outer=seq(der.encode_object_id(SHA256_RSA)), key=RSA_KEY),
        "",
    ),
    "RSA key without its NULL": (
        certificate(
            public_key=seq(
                seq(der.encode_object_id("1.2.840.113549.1.1.1")), der.sequence(spki(RSA_KEY))[1].raw
            )
        ),
        None,
    ),
    "another algorithm inside": (
        certificate(inner=seq(der.encode_object_id(SHA256_RSA), NULL)),
        "Its signature algorithm is another inside than outside of what is signed.",
    ),
    "bytes after the certificate": (
        certificate(after=b"\n\n"),
        "2 bytes follow the certificate; they are left out.",
    ),
    "unreadable policies": (
        certificate(extensions=[NAMES, extension("2.5.29.32", seq(seq(b"\x02\x01\x05")))]),
        "Strict parsers refuse",
    ),
    "unknown kind of key": (
        certificate(public_key=seq(seq(der.encode_object_id("1.2.643.7.1.1.1.1")), b"\x03\x03\x00\x01\x02")),
        None,
    ),
    "key on the curve SM2": (
        certificate(
            public_key=spki().replace(
                bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107"),
                bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d"),
            )
        ),
        None,
    ),
}


def subject_and_names(data, cwd):
    """Return what OpenSSL reads: serial number, dates, subject and alternative names."""
    options = (
        "-nameopt",
        "RFC2253,utf8,-esc_msb,-esc_ctrl",
        "-ext",
        "subjectAltName",
        "-dateopt",
        "iso_8601",
    )
    return openssl("x509", "-noout", "-serial", "-subject", "-dates", *options, cwd=cwd, stdin=pem_of(data))


def value_of(label, text):
    found = re.search(rf"^{label}=(.*)$", text, re.MULTILINE)
    return found[1] if found else None


def moment(text):
    whole = re.sub(r"\.\d+", "", text)
    return int(dt.datetime.strptime(whole, "%Y-%m-%d %H:%M:%S%z").timestamp())


def parts_of(name_text):
    return sorted(re.split(r"[,+]", name_text.replace("\\00", "\0")))


@pytest.mark.parametrize("case", ODD)
def test_what_openssl_reads_of_an_odd_certificate_is_what_is_shown(tmp_path, case):
    data, sentence = ODD[case]
    printed = subject_and_names(data, tmp_path)
    found = decode(data)
    assert found.serial_no == value_of("serial", printed)
    # the order within one part is the set's here, and the other way round there
    assert parts_of(found.raw_subject) == parts_of(value_of("subject", printed))
    for seconds, label in ((found.not_before_s, "notBefore"), (found.not_after_s, "notAfter")):
        assert seconds == moment(value_of(label, printed)), label
    hosts = re.findall(r"DNS:([^,\s]+)", printed)
    assert list(found.dns_names) == list(dict.fromkeys(hosts))
    assert found.has_subject_alt_names == ("Subject Alternative Name" in printed)
    if sentence is not None:
        assert any(sentence in each for each in found.oddities) if sentence else found.oddities == ()


@pytest.mark.parametrize("case", ODD)
def test_an_odd_certificate_that_the_library_does_not_open_says_why(case):
    found = decode(ODD[case][0])
    try:
        strictly = bool(x509.load_der_x509_certificate(found.der).extensions is not None)
    except Exception:  # noqa: BLE001 - whatever the library raises, or warns of
        strictly = False
    assert strictly or found.oddities or found.undecodable


def test_one_extension_that_cannot_be_read_hides_no_other():
    found = decode(
        certificate(extensions=[extension(SKI, b"\x02\x01\x05"), extension(BASIC, seq(TRUE), TRUE), NAMES])
    )
    assert found.undecodable == ("key_id",)
    assert not found.knows("key_id")
    assert found.knows("subject_alt_names")
    assert found.dns_names == ("odd.example.com", "www.example.com")
    assert found.is_ca


def test_alternative_names_that_cannot_be_read_are_unknown_and_not_absent():
    found = decode(certificate(extensions=[extension(SAN, seq(b"\x8f\x01a"))]))
    assert found.has_subject_alt_names
    assert not found.knows("subject_alt_names")
    assert found.dns_names == ()


def test_of_two_that_differ_nobody_knows_which_one_counts():
    found = decode(certificate(extensions=[NAMES, extension(SAN, dns("other.example.com"))]))
    assert not found.knows("subject_alt_names")
    assert "Its subject alternative name occurs 2 times." in found.oddities


def test_an_extension_list_that_cannot_be_walked_leaves_all_of_them_unknown():
    found = decode(certificate(extensions=[b"\x04\x01x"]))
    assert found.undecodable == ("extensions",)
    assert not found.knows("subject_alt_names")
    assert not found.knows("basic_constraints")
    assert found.raw_subject == "CN=odd.example.com"


@pytest.mark.parametrize(
    "case", ["printable string with an asterisk", "explicit critical false", "negative serial"]
)
def test_an_odd_certificate_is_signed_by_who_signed_it_and_by_nobody_else(case):
    found = decode(ODD[case][0])
    assert found.is_self_signed
    assert is_signed_by(found, decode(certificate(subject=name("another name, the same key"))))
    assert not is_signed_by(found, decode(make_root().certificate_der))


def test_two_algorithms_are_no_signature():
    assert not decode(ODD["another algorithm inside"][0]).is_self_signed


def odd_pair(**changes):
    """Return an odd root, and an odd leaf of it."""
    root_name = name("Odd * CA", PRINTABLE)
    flags = extension(BASIC, seq(TRUE), TRUE)
    root = certificate(subject=root_name, extensions=[flags, *changes.pop("constraints", ())])
    leaf = certificate(
        issuer=root_name, extensions=[extension(SAN, dns("odd.example.com"), FALSE)], **changes
    )
    return decode(root), decode(leaf)


def test_a_chain_of_odd_certificates_is_built_and_a_strict_client_is_said_to_refuse_it():
    root, leaf = odd_pair()
    now_s = leaf.not_before_s + 1
    assert build_chain(leaf, Issuers(trusted=[root]), now_s=now_s).state is ChainState.COMPLETE
    verdict = StrictClient([root, decode(make_root().certificate_der)]).ask(leaf, (), now_s=now_s)
    assert not verdict.accepted
    assert verdict.reason == (
        "'CN=odd.example.com' is not encoded as it must be: Its subject alternative name says 'critical FALSE', which DER leaves out."
    )


@pytest.mark.parametrize(("permitted", "holds"), [("example.com", True), ("elsewhere.example", False)])
def test_name_constraints_bind_odd_certificates(permitted, holds):
    subtree = seq(der.encode(0x82, permitted.encode()))
    root, leaf = odd_pair(constraints=[extension("2.5.29.30", seq(der.encode(0xA0, subtree)), TRUE)])
    assert constraints_hold([leaf, root], Comparisons(100)) is holds


@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1", "brainpoolP256r1", "secp192k1"])
def test_a_curve_that_is_written_out_is_told_from_one_that_is_named(tmp_path, curve):
    openssl(
        "ecparam",
        "-name",
        curve,
        "-param_enc",
        "explicit",
        "-genkey",
        "-noout",
        "-out",
        "key.pem",
        cwd=tmp_path,
    )
    pem = openssl("req", "-new", "-x509", "-key", "key.pem", "-subj", "/CN=x", cwd=tmp_path)
    found = decode(x509_der(pem))
    assert found.key_type == "EC explicit parameters"
    assert found.key_bits == int(re.search(r"(\d{3})", curve)[1])
    assert "Its key writes the curve's parameters out instead of naming the curve." in found.oddities


def test_a_written_out_curve_has_the_key_of_the_named_one(tmp_path):
    named = ec.generate_private_key(ec.SECP256R1())
    plain = decode(certificate(key=named))
    (tmp_path / "key.pem").write_text(make_leaf(None, key=named).key_pem)
    openssl("ec", "-in", "key.pem", "-param_enc", "explicit", "-out", "explicit.pem", cwd=tmp_path)
    pem = openssl("req", "-new", "-x509", "-key", "explicit.pem", "-subj", "/CN=x", cwd=tmp_path)
    assert decode(x509_der(pem)).public_key_id == plain.public_key_id


def test_what_has_not_the_frame_of_a_certificate_is_refused():
    for data in (b"", b"\x30\x00", seq(seq(), ECDSA_SHA256, b"\x03\x01\x00"), certificate()[:-20]):
        with pytest.raises(PkiError) as caught:
            decode(data)
        assert caught.value.reason is Reason.PARSE


def x509_der(pem):
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)


def test_an_odd_certificate_is_written_as_pem_and_refused_by_name_as_pkcs12():
    leaf = odd_pair()[1]
    assert export([ExportItem(leaf=leaf)], Format.PEM).content.decode().count(leaf.pem) == 1
    with pytest.raises(PkiError) as caught:
        export([ExportItem(leaf=leaf)], Format.PFX)
    assert caught.value.reason is Reason.UNSUPPORTED
    assert "'CN=odd.example.com' cannot be written as PKCS#12" in caught.value.message
    assert "says 'critical FALSE'" in caught.value.message


def test_an_odd_certificates_end_is_read_where_a_port_shows_it():
    data = ODD["printable string with an asterisk"][0]
    assert leaf_not_after_s(data) == decode(data).not_after_s
    assert leaf_not_after_s(b"\x30\x00") == 0


def test_unreadable_alternative_names_are_not_called_missing():
    found = decode(certificate(extensions=[extension(SAN, seq(b"\x8f\x01a"))]))
    codes = {each.code for each in lint(found, now_s=found.not_before_s)}
    assert LintCode.UNDECODABLE in codes
    assert LintCode.NO_SAN not in codes


def test_alternative_names_without_a_host_are_said_to_hold_none():
    found = decode(certificate(extensions=[extension(SAN, seq(der.encode(0x88, b"\x2a\x03")))]))
    (said,) = (each for each in lint(found, now_s=found.not_before_s) if each.code is LintCode.NO_SAN)
    assert said.message.startswith("Its subject alternative name holds no host name")


def test_an_odd_encoding_is_a_finding_that_says_what_is_odd():
    found = decode(ODD["printable string with an asterisk"][0])
    (said,) = (each for each in lint(found, now_s=found.not_before_s) if each.code is LintCode.ODD_ENCODING)
    assert said.message == (
        "It is not encoded as the standard says: Its subject has a PrintableString with '*'."
    )
    plain = decode(make_leaf(make_root()).certificate_der)
    assert LintCode.ODD_ENCODING not in {each.code for each in lint(plain, now_s=plain.not_before_s)}
