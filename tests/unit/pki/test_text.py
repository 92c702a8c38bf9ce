import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from common.pki.certificate import decode
from common.pki.pem import read_blocks
from common.pki.text import text_form
from tests.pki import make_leaf, make_root
from tests.unit.pki.openssl import openssl

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


def test_what_cannot_be_decoded_says_so():
    original = make_leaf(make_root()).certificate_der
    odd = original.replace(b"\x82\x10node.example.com", b"\x8f\x10node.example.com")
    assert "            (cannot be decoded)" in text_form(decode(odd))
