import pytest

from common.pki.redaction import without_private_keys
from tests.pki import make_leaf, make_root

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
