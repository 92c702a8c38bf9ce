"""Faults in a certificate's form, found in what openssl and our own code make; OpenSSL and Go are asked where they refuse."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.pki import der
from common.pki.certificate import decode
from common.pki.faults import faults, too_long, wrong_with
from common.pki.finding import LintCode, Severity
from common.pki.pem import read_blocks
from common.pki.strict import StrictClient
from manager.pki.judge.lint import Circumstances, lint
from tests.pki import DAY_S, NOW_S, _make, _name, make_leaf, make_root, make_rsa_key, spoiled
from tests.unit.pki.openssl import accepts, openssl

ROOT = make_root()


def leaf(**keywords):
    return decode(make_leaf(ROOT, **keywords).certificate_der)


def codes(certificate):
    return [code for code, _, _ in faults(certificate)]


def usage(**allowed):
    names = (
        *(
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
        ),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return (x509.KeyUsage(**{name: allowed.get(name, False) for name in names}), True)


def test_a_sound_certificate_has_none():
    assert codes(leaf()) == []
    assert codes(leaf(extensions=[usage(digital_signature=True, key_encipherment=True)])) == []


@pytest.mark.parametrize(
    ("allowed", "by_openssl"),
    [
        ({"key_encipherment": True}, True),
        ({"key_agreement": True}, True),
        ({"content_commitment": True}, False),
        ({"data_encipherment": True}, False),
    ],
)
def test_a_key_usage_that_forbids_what_tls_needs_is_found(tmp_path, allowed, by_openssl):
    made = make_leaf(ROOT, key=make_rsa_key(), extensions=[usage(**allowed)])
    ((code, message, _),) = faults(decode(made.certificate_der))
    assert code is LintCode.KEY_USAGE
    assert "lacks digitalSignature" in message
    # as the table says: OpenSSL refuses only what allows none of the three
    assert accepts(made.certificate_pem, trusted=ROOT.certificate_pem, cwd=tmp_path) is by_openssl
    verdict = StrictClient([decode(ROOT.certificate_der)]).ask(decode(made.certificate_der), [], now_s=NOW_S)
    assert verdict.reason == "its key usage does not allow digital signatures, which TLS needs"


def test_must_staple_is_found():
    feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
    assert codes(leaf(extensions=[(feature, False)])) == [LintCode.MUST_STAPLE]
    other = x509.TLSFeature([x509.TLSFeatureType.status_request_v2])
    assert codes(leaf(extensions=[(other, False)])) == []


def test_a_certificate_of_version_1_is_found(tmp_path):
    for name, text in (("ca.pem", ROOT.certificate_pem), ("ca.key", ROOT.key_pem)):
        (tmp_path / name).write_text(text)
    openssl(
        *("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-subj", "/CN=old.example.com"),
        *("-out", "csr"),
        cwd=tmp_path,
    )
    text = openssl(
        *("x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "5"), cwd=tmp_path
    )
    assert codes(decode(read_blocks(text).blocks[0].der)) == [LintCode.OLD_VERSION]


def renumbered(serial: int):
    """Return a certificate with this serial number of one octet, as its CA would sign it."""
    version = b"\xa0\x03\x02\x01\x02"
    old, new = version + b"\x02\x01\x11", version + b"\x02\x01" + serial.to_bytes(1, "big", signed=True)
    return decode(spoiled(make_leaf(ROOT, serial=0x11), old, new, signer=ROOT))


def test_odd_serial_numbers_are_found(tmp_path):
    assert codes(renumbered(-5)) == [LintCode.SERIAL_NUMBER]
    assert codes(renumbered(0)) == [LintCode.SERIAL_NUMBER]
    # Go refuses the negative one; nobody was seen to refuse the others
    assert found(renumbered(-5))[LintCode.SERIAL_NUMBER] is Severity.WARNING
    assert found(renumbered(0))[LintCode.SERIAL_NUMBER] is Severity.NOTE
    assert codes(leaf(serial=(1 << 159) - 1)) == []
    text = openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-subj", "/CN=a.example.com"),
        *("-addext", "subjectAltName=DNS:a.example.com", "-set_serial", "0x" + "12" * 21),
        cwd=tmp_path,
    )
    assert codes(decode(read_blocks(text).blocks[0].der)) == [LintCode.SERIAL_NUMBER]


def test_a_validity_that_ends_before_it_begins_is_found():
    before = dt.datetime.fromtimestamp(NOW_S - 10 * DAY_S, tz=dt.UTC)
    after = dt.datetime.fromtimestamp(NOW_S + 365 * DAY_S, tz=dt.UTC)

    def times(first, second):
        parts = (f"{moment:%y%m%d%H%M%SZ}".encode() for moment in (first, second))
        return b"".join(der.encode(0x17, part) for part in parts)

    made = make_leaf(ROOT)
    backwards = decode(spoiled(made, times(before, after), times(after, before), signer=ROOT))
    assert codes(backwards) == [LintCode.BACKWARDS_VALIDITY]


def test_an_exponent_that_protects_nothing_is_found():
    numbers = make_rsa_key().public_key().public_numbers()
    honest = make_leaf(ROOT, key=make_rsa_key())
    assert codes(decode(honest.certificate_der)) == []
    key_info = der.encode_integer(numbers.n)
    assert key_info.startswith(b"\x02\x82\x01\x01")
    made = make_leaf(ROOT, key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    for exponent in (b"\x02\x03\x00\x00\x01", b"\x02\x03\x01\x00\x02"):
        odd = decode(spoiled(made, b"\x02\x03\x01\x00\x01", exponent, signer=ROOT))
        assert LintCode.BAD_EXPONENT in codes(odd)
        verdict = StrictClient([decode(ROOT.certificate_der)]).ask(odd, [], now_s=NOW_S)
        assert verdict.reason.startswith("the public exponent of its RSA key is")


def test_a_curve_that_chrome_does_not_take_is_found():
    key = ec.generate_private_key(ec.SECP521R1())
    assert codes(leaf(key=key)) == [LintCode.UNUSUAL_KEY]


def test_an_issuer_without_a_name_is_found():
    made = make_leaf(None, subject=x509.Name([]))
    assert codes(decode(made.certificate_der)) == [LintCode.EMPTY_ISSUER]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("node.example.com", ""),
        ("*.example.com", ""),
        ("xn--bcher-kva.example.com", ""),
        ("localhost", ""),
        ("192.0.2.1", "IP address"),
        ("2001:db8::1", "IP address"),
        ("node_1.example.com", "underscore"),
        ("node.example.com.", "ends in a dot"),
        ("bücher.example.com", "xn--"),
        ("f*.example.com", "wildcard"),
        ("a.*.example.com", "wildcard"),
        ("*.com", "wildcard"),
        ("*", "wildcard"),
        ("a" * 64 + ".example.com", "63"),
        ("abc." * 70 + "example.com", "253"),
        ("a b.example.com", "not a host name"),
        ("-a.example.com", "not a host name"),
        ("a..example.com", "not a host name"),
        ("", "not a host name"),
    ],
)
def test_names_that_clients_do_not_match_are_told_from_those_that_they_do(name, wrong):
    assert (wrong in wrong_with(name)) if wrong else wrong_with(name) == ""


def test_each_odd_name_is_found_once():
    odd = leaf(names=["node.example.com", "node_1.example.com", "node_1.example.com"])
    assert codes(odd) == [LintCode.ODD_NAME]


def issued(year: int, month: int, day: int, days: int):
    begins_s = int(dt.datetime(year, month, day, tzinfo=dt.UTC).timestamp())
    return leaf(not_before_s=begins_s, not_after_s=begins_s + days * DAY_S - 1)


@pytest.mark.parametrize(
    ("begins", "most"),
    [
        ((2020, 9, 1), 398),
        ((2026, 3, 14), 398),
        ((2026, 3, 15), 200),
        ((2027, 3, 15), 100),
        ((2029, 3, 15), 47),
    ],
)
def test_a_public_cas_certificate_may_live_as_long_as_browsers_allow(begins, most):
    assert too_long(issued(*begins, most), public=True) == ""
    assert f"for {most}." in too_long(issued(*begins, most + 1), public=True)


def test_a_private_cas_certificate_may_live_for_825_days():
    assert too_long(issued(2026, 3, 15, 825), public=False) == ""
    assert "for 825." in too_long(issued(2026, 3, 15, 826), public=False)


def found(certificate, **circumstances):
    known = Circumstances(**circumstances)
    return {each.code: each.severity for each in lint(certificate, now_s=NOW_S, circumstances=known)}


def test_a_long_life_is_an_error_under_a_public_root_and_a_warning_under_another():
    long = issued(2026, 4, 1, 900)
    assert found(long)[LintCode.LONG_LIFETIME] is Severity.WARNING
    assert found(long, has_public_root=True)[LintCode.LONG_LIFETIME] is Severity.ERROR
    alone = decode(make_leaf(None, not_after_s=NOW_S + 9999 * DAY_S).certificate_der)
    assert LintCode.LONG_LIFETIME not in found(alone)


def test_the_key_of_a_trusted_ca_is_found():
    assert found(leaf(), ca_key_of=["CN=Company Root"]) == {LintCode.CA_KEY: Severity.WARNING}


def test_a_netscape_type_that_forbids_servers_is_found_as_openssl_does(tmp_path):
    only_clients = (
        x509.UnrecognizedExtension(x509.ObjectIdentifier("2.16.840.1.113730.1.1"), b"\x03\x02\x07\x80"),
        False,
    )
    made = make_leaf(ROOT, usages=[ExtendedKeyUsageOID.SERVER_AUTH], extensions=[only_clients])
    assert LintCode.NO_SERVER_AUTH in found(decode(made.certificate_der))
    assert not accepts(made.certificate_pem, trusted=ROOT.certificate_pem, cwd=tmp_path)


def made_with(*extensions):
    return decode(
        _make(
            issuer=ROOT,
            subject=_name("node.example.com"),
            key=None,
            not_before_s=NOW_S - DAY_S,
            not_after_s=NOW_S + 90 * DAY_S,
            extensions=extensions,
        ).certificate_der
    )


def test_an_odd_encoding_is_one_finding_and_what_cannot_be_read_is_unknown_not_absent():
    # an explicitly encoded default, which is not DER: basic constraints with CA:FALSE written out
    not_der = (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x30\x03\x01\x01\x00"), True)
    names = x509.SubjectAlternativeName([x509.DNSName("node.example.com")])
    odd = made_with(not_der, (names, False))
    assert odd.dns_names == ("node.example.com",)
    assert found(odd)[LintCode.ODD_ENCODING] is Severity.WARNING
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x05\x00")
    unread = found(made_with((broken, False)))
    assert LintCode.NO_SAN not in unread
    assert unread[LintCode.UNDECODABLE] is Severity.ERROR
    usages = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.37"), b"\x05\x00")
    assert LintCode.NO_PURPOSE not in found(made_with((names, False), (usages, False)))
