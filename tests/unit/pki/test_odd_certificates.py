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
from common.pki.finding import LintCode, Severity
from common.pki.path import LinkProblem, problems_of
from common.pki.pem import pem_of
from common.pki.strict import StrictClient
from common.runtime.handshake import leaf_not_after_s
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers
from manager.pki.judge.lint import lint
from manager.pki.write.export import ExportItem, export
from tests.odd import (
    BASIC,
    ECDSA_SHA256,
    FALSE,
    NAMES,
    PRINTABLE,
    SAN,
    SKI,
    TRUE,
    UTC,
    certificate,
    dns,
    extension,
    name,
    seq,
)
from tests.pki import NOW_S, make_leaf, make_root
from tests.unit.pki.odd_examples import ODD
from tests.unit.pki.openssl import of_a_curve_written_out, openssl


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
    pem = of_a_curve_written_out(tmp_path, curve, subject="/CN=x")
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


@pytest.mark.parametrize(
    "wrong",
    [
        {"not_before": (UTC, "251320010203Z")},
        {"not_after": (UTC, "280101250000Z")},
        {"not_after": (UTC, "280101000000+02")},
    ],
)
def test_a_validity_that_cannot_be_read_is_refused_by_clients_and_so_by_us(wrong):
    found = decode(certificate(**wrong))
    (field,) = wrong
    assert found.undecodable == (field,)
    assert LinkProblem.UNDECODABLE in problems_of([found], now_s=NOW_S, comparisons=Comparisons(100))[0]
    assert LinkProblem.EXPIRED not in problems_of([found], now_s=NOW_S, comparisons=Comparisons(100))[0]
    severities = {each.code: each.severity for each in lint(found, now_s=NOW_S)}
    assert severities[LintCode.UNDECODABLE] is Severity.ERROR
