"""Base64 without BEGIN and END lines: what is wrong with it is said of all of its lines."""

from common.pki.pem import pem_of
from manager.pki.read.reader import read_text
from tests.pki import make_root


def test_a_finding_covers_every_line_of_a_damaged_file_without_marks():
    lines = pem_of(make_root().certificate_der + b"\x01\x02\x03").splitlines()[1:-1]
    found = read_text("\n".join(lines) + "\n", "a certificate")
    assert found.blocks == ()
    assert [(each.line, each.until) for each in found.findings] == [(1, len(lines))]
