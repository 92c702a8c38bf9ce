import re

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from common.pki.certificate import decode
from common.pki.pem import pem_of, read_blocks
from manager.pki.text.certificate import text_form
from tests.odd import certificate
from tests.pki import make_leaf, make_root
from tests.shapes import extensions
from tests.unit.pki.openssl import openssl
from tests.unit.pki.test_odd_certificates import ODD

CONFIGURATION = """
[req]
distinguished_name=dn
x509_extensions=ext
prompt=no
[dn]
C=GB
O=Example, Ltd
OU=\u00dcml "quoted"
CN=node.example.com
emailAddress=a@b.example
[ext]
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid:always,issuer:always
basicConstraints=critical,CA:TRUE,pathlen:2
keyUsage=critical,digitalSignature,nonRepudiation,keyEncipherment,keyCertSign,cRLSign
extendedKeyUsage=serverAuth,clientAuth,codeSigning,emailProtection,timeStamping,OCSPSigning,1.2.3.4
subjectAltName=DNS:a.example.com,IP:10.0.0.1,IP:2001:db8::1,email:x@y.z,URI:https://x.example/,RID:1.2.3.4,dirName:dir
certificatePolicies=1.2.3.4,2.23.140.1.2.1,@policy
crlDistributionPoints=URI:http://crl.example/a.crl,URI:http://crl.example/b.crl
authorityInfoAccess=OCSP;URI:http://ocsp.example/,caIssuers;URI:http://ca.example/x.cer
nameConstraints=critical,permitted;DNS:example.com,permitted;IP:10.0.0.0/255.0.0.0,excluded;email:evil.example
tlsfeature=status_request
1.3.6.1.4.1.99999.1=ASN1:UTF8String:hello
[dir]
CN=dir
O=x
[policy]
policyIdentifier=1.3.5.8
CPS.1=http://cps.example/
"""

KEYS = {
    "rsa": ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "p256": ("ecparam", "-name", "prime256v1", "-genkey", "-noout"),
    "p521": ("ecparam", "-name", "secp521r1", "-genkey", "-noout"),
    "ed25519": ("genpkey", "-algorithm", "ed25519"),
}


@pytest.mark.parametrize("serial", [(), ("-set_serial", "5"), ("-set_serial", "0x9000000000000001")])
@pytest.mark.parametrize("key", KEYS)
def test_the_text_is_the_one_that_openssl_prints(tmp_path, key, serial):
    openssl(*KEYS[key], "-out", "key.pem", cwd=tmp_path)
    (tmp_path / "x.cnf").write_text(CONFIGURATION)
    arguments = ("-new", "-x509", "-key", "key.pem", "-config", "x.cnf", "-utf8", "-days", "30")
    pem = openssl("req", *arguments, *serial, cwd=tmp_path)
    expected = openssl("x509", "-noout", "-text", cwd=tmp_path, stdin=pem)
    assert text_form(decode(read_blocks(pem).blocks[0].der)) == expected


def test_a_certificate_cannot_forge_lines_of_the_text():
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\nVersion: 9\r\x1b[31m")])
    leaf = decode(make_leaf(make_root(), ["b\nc"], subject=name).certificate_der)
    text = text_form(leaf)
    assert "\nVersion: 9" not in text
    assert "\x1b" not in text
    assert "\r" not in text
    assert "DNS:b\\x0Ac" in text


def test_an_extension_that_cannot_be_read_is_shown_as_its_octets():
    original = make_leaf(make_root()).certificate_der
    odd = original.replace(b"\x82\x10node.example.com", b"\x8f\x10node.example.com")
    text = text_form(decode(odd))
    assert "X509v3 Subject Alternative Name: \n                0...node.example.com\n" in text
    assert "X509v3 Basic Constraints: critical\n                CA:FALSE" in text


def test_an_extension_list_that_cannot_be_walked_says_so():
    text = text_form(decode(certificate(extensions=[b"\x04\x01x"])))
    assert "        X509v3 extensions:\n            (cannot be decoded)\n" in text


SHAPES = extensions()
AT_ONCE = 25


@pytest.mark.parametrize("start", range(0, len(SHAPES), AT_ONCE))
def test_every_shape_of_extension_and_name_is_printed_as_openssl_prints_it(tmp_path, start):
    assert_printed_alike(certificate(extensions=SHAPES[start : start + AT_ONCE]), tmp_path)


@pytest.mark.parametrize(
    "case", [each for each in ODD if each not in {"key on the curve SM2", "host name that is not ASCII"}]
)
def test_odd_certificates_are_printed_as_openssl_prints_them(tmp_path, case):
    assert_printed_alike(decode(ODD[case][0]).der, tmp_path)


RSA = ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024")
PSS = ("genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:1024", "-pkeyopt")
EC = ("ecparam", "-genkey", "-noout", "-name")
EXPLICIT = ("-param_enc", "explicit")
SIGNED = {
    "RSA with exponent 3": ((*RSA, "-pkeyopt", "rsa_keygen_pubexp:3"), "-sha512"),
    "RSA with a long exponent": ((*RSA, "-pkeyopt", f"rsa_keygen_pubexp:{2**128 + 1}"), "-sha1"),
    "PSS": (RSA, "-sha384", "-sigopt", "rsa_padding_mode:pss"),
    "PSS by its defaults": (RSA, "-sha1", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:20"),
    "PSS with two hashes": (RSA, "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_mgf1_md:sha1"),
    "PSS key": (PSS[:-1], "-sha256"),
    "PSS key with restrictions": (
        (*PSS, "rsa_pss_keygen_md:sha256", "-pkeyopt", "rsa_pss_keygen_saltlen:32"),
        "-sha256",
    ),
    "PSS key with the defaults": ((*PSS, "rsa_pss_keygen_md:sha1"), "-sha1"),
    "Ed448": (("genpkey", "-algorithm", "ed448"),),
    "SM2": (("genpkey", "-algorithm", "SM2"), "-sm3"),
    "DSA": (("gendsa", "parameters.pem"), "-sha256"),
    "P-224": ((*EC, "secp224r1"), "-sha224"),
    "secp256k1 written out": ((*EC, "secp256k1", *EXPLICIT), "-sha256"),
    "P-256 written out": ((*EC, "prime256v1", *EXPLICIT), "-sha256"),
    "P-384 compressed": ((*EC, "secp384r1", "-conv_form", "compressed"), "-sha384"),
    "brainpool": ((*EC, "brainpoolP512t1"), "-sha3-512"),
}


@pytest.mark.parametrize("case", SIGNED)
def test_every_kind_of_key_and_signature_is_printed_as_openssl_prints_it(tmp_path, case):
    key, *options = SIGNED[case]
    if case == "DSA":
        openssl("dsaparam", "-out", "parameters.pem", "1024", cwd=tmp_path)
    openssl(key[0], "-out", "key.pem", *key[1:], cwd=tmp_path)
    pem = openssl("req", "-new", "-x509", "-key", "key.pem", "-subj", "/CN=x", *options, cwd=tmp_path)
    assert_printed_alike(read_blocks(pem).blocks[0].der, tmp_path)


def test_unique_identifiers_are_printed_as_openssl_prints_them(tmp_path):
    data = certificate(unique_ids=(bytes(range(40)), b"\x01"))
    text = assert_printed_alike(data, tmp_path)
    assert "Issuer Unique ID" in text
    assert "Subject Unique ID" in text


def assert_printed_alike(data, cwd):
    printed, ours = openssl("x509", "-noout", "-text", cwd=cwd, stdin=pem_of(data)), text_form(decode(data))
    assert lines_of(ours) == lines_of(printed)
    return ours


def lines_of(text):
    """Return the lines, without what is not the certificate's: OpenSSL's own errors, and the place where it forgets a line's end."""
    mended = re.sub(r"(?<=\S) {12,}CRL Issuer:", "\n                CRL Issuer:", text)
    return [line.rstrip() for line in mended.splitlines() if not re.match(r"[0-9A-F]{16}:error:", line)]
