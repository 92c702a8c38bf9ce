import base64
import json

import pytest

from manager.pki.read.redaction import without_private_keys
from tests.pki import chain_pem, make_intermediate, make_leaf, make_root, make_rsa_key
from tests.unit.pki.openssl import openssl

ROOT = make_root()
LEAF = make_leaf(ROOT)
ONE, OTHER, TWO = ROOT.certificate_pem, LEAF.certificate_pem, LEAF.key_pem


CLEAN = {
    "plain": ONE,
    "no-final-newline": ONE.rstrip("\n"),
    "crlf": ONE.replace("\n", "\r\n"),
    "bag-attributes": f"Bag Attributes\n    localKeyID: 54 69 6D 65 20 31\nsubject=CN = a\n\n{ONE}\n\n",
    "decoded": f"        Modulus:\n            00:c3:9f:11:aa:02\n  SHA1: {'0f' * 20}\n{ONE}",
    "mentioned": f"put it between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----\n{ONE}",
}


@pytest.mark.parametrize("kind", CLEAN)
def test_a_text_without_a_key_may_be_stored_as_it_is(kind):
    assert without_private_keys(CLEAN[kind]) == CLEAN[kind]


BODY = "".join(TWO.splitlines(keepends=True)[1:-1])
HIDDEN = {
    "whole": TWO,
    "encrypted": TWO.replace("PRIVATE", "ENCRYPTED PRIVATE"),
    "lower-case": TWO.replace("PRIVATE KEY", "private key"),
    "broken-begin": f"-----BEGIN {TWO}",
    "mentioned-in-a-sentence": f"the key: {TWO}",
    "four-dashes": TWO.replace("-----", "----"),
    "quoted": TWO.replace("\n", "\\n") + "\n",
    "mail": "> " + TWO.replace("\n", "\n> ") + "\n",
    "no-begin": BODY + "-----END PRIVATE KEY-----\n",
    "short-lines": "Private-Key\n" + "\n".join(BODY[at : at + 20] for at in range(0, len(BODY), 20)),
    "no-marks": f"first comment\n{BODY}second comment\n",
    "one-long-word": f"first comment, {BODY.replace(chr(10), '')} second comment\n",
    "header": f"-----BEGIN CERTIFICATE-----\nX-Comment: {BODY.split()[0]}\n\nAAAA\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("kind", HIDDEN)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_no_part_of_a_key_may_be_stored_however_it_is_wrapped(kind, line_end):
    blocks = [block.replace("\n", line_end) for block in (ONE, OTHER)]
    kept = without_private_keys(blocks[0] + HIDDEN[kind].replace("\n", line_end) + blocks[1])
    assert kept == "".join(blocks)


DER = base64.b64decode(BODY)
HEX = DER.hex()
SCALAR = LEAF.key.private_numbers().private_value.to_bytes(32, "big")


def pieces(text, size):
    return [text[at : at + size] for at in range(0, len(text), size)]


def lines(text, size, form="{}\n"):
    return "".join(form.format(piece) for piece in pieces(text, size))


BASE64 = "".join(BODY.split())
ENCODED = {
    **{f"base64-in-lines-of-{size}": lines(BASE64, size) for size in (8, 16, 20, 32, 36, 40)},
    "one-character-each": " ".join(BASE64) + "\n",
    "unknown-marks": f"-----BEGIN PRVATE KEY----\n{lines(BASE64, 32)}----END PRVATE KEY----\n",
    "in-a-log": lines(BASE64, 32, "2026-11-25 host app[7]: found {} in it\n"),
    "base64url": lines(BASE64.translate(str.maketrans("+/", "-_")), 40),
    "invisible-characters-in-it": "\u200b".join(pieces(BASE64, 30)) + "\n",
    "full-width": "".join(chr(ord(one) + 0xFEE0) for one in BASE64) + "\n",
    "base32": lines(base64.b32encode(DER).decode(), 40),
    "base85": base64.a85encode(DER, wrapcol=72).decode() + "\n",
    "source-code": lines(BASE64, 32, '"{}" +\n'),
    "hexadecimal-lines": lines(HEX, 40),
    "hexadecimal-pairs": " ".join(pieces(HEX, 2)) + "\n",
    "hexadecimal-with-colons": "".join(f"    {':'.join(pieces(one, 2))}:\n" for one in pieces(HEX, 30)),
    "dump": "".join(
        f"{count * 16:08x}: {' '.join(pieces(one, 4))}\n" for count, one in enumerate(pieces(HEX, 32))
    ),
    "c-array": "".join(f"  {', '.join(f'0x{two}' for two in pieces(one, 2))},\n" for one in pieces(HEX, 24)),
    "c-string": "".join(f"\\x{two}" for two in pieces(HEX, 2)) + "\n",
    "numbers": ", ".join(map(str, DER)) + "\n",
    "jwk": json.dumps({"kty": "EC", "d": base64.urlsafe_b64encode(SCALAR).decode().rstrip("=")}) + "\n",
    "scalar": f"priv:\n    {':'.join(pieces(SCALAR.hex(), 2))}\n",
}


SPACED_SMALL = "z x c v b n m k q w 7 T " * 30
"""Letters of which most are small, as a key in one character each may have by chance."""


def test_single_letters_are_no_words():
    assert without_private_keys(ONE + SPACED_SMALL + "\n" + OTHER) == ONE + OTHER


@pytest.mark.parametrize("kind", ENCODED)
def test_no_part_of_a_key_may_be_stored_however_it_is_written(kind):
    assert without_private_keys(ONE + ENCODED[kind] + OTHER) == ONE + OTHER


LOW = make_intermediate(ROOT, "Low")
SERVER = make_leaf(LOW, ["a.example.com"], key=make_rsa_key())


@pytest.mark.parametrize(
    "arguments",
    [
        ["x509", "-text"],
        ["x509", "-subject", "-issuer", "-dates", "-serial", "-fingerprint", "-sha256", "-ocspid"],
        ["x509", "-fingerprint", "-sha1", "-email", "-pubkey"],
    ],
    ids=lambda each: each[1],
)
def test_what_openssl_prints_of_a_certificate_beside_it_is_kept(tmp_path, arguments):
    (tmp_path / "pem").write_text(SERVER.certificate_pem)
    printed = openssl(*arguments, "-in", "pem", cwd=tmp_path)
    assert without_private_keys(printed) == printed


def test_what_openssl_prints_of_a_chain_of_another_certificate_too_is_kept(tmp_path):
    (tmp_path / "pem").write_text(chain_pem(SERVER, LOW, ROOT))
    openssl("crl2pkcs7", "-nocrl", "-certfile", "pem", "-out", "p7", cwd=tmp_path)
    printed = openssl("pkcs7", "-in", "p7", "-print_certs", "-text", cwd=tmp_path)
    assert without_private_keys(printed) == printed


REMARKS = {
    "deployment": "# Ansible managed: template of 2024-05-01 12:33:44 by svc_deploy01 on ansible01.example.com, CHG0034567\n",
    "german": "# Für Köln: erneuern bis 31.12.2026 (Tel. +49 221 1234567, Raum B-204/3)\n" * 3,
    "mail": "Date: Tue, 25 Nov 2026 18:29:08 +0100\nMessage-ID: <20261125182908.GA1234@ca.example>\nSubject: order #12345678\n",
    "java-key-id": "    friendlyName: 7f1c2a3b-aaaa-bbbb-cccc-1234567890ab\n    localKeyID: 54 69 6D 65 20 31 37 36 34\n"
    * 4,
}


@pytest.mark.parametrize("kind", REMARKS)
def test_what_people_and_tools_remark_is_kept(kind):
    assert without_private_keys(REMARKS[kind] + ONE) == REMARKS[kind] + ONE


def test_of_remarks_longer_than_any_list_of_cas_has_only_the_blocks_are_kept():
    assert without_private_keys("# a comment\n" * 30_000 + ONE) == ONE
