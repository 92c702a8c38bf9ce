"""What the system tests read from `openssl s_client` is the list of the chain, whatever else it prints."""

from tests.system.fleet import read_s_client

TOLD = """\
CONNECTED(00000003)
---
Certificate chain
 0 s:CN = conf.example.test
   i:CN = Root
   a:PKEY: id-ecPublicKey, 256 (bit); sigalg: ecdsa-with-SHA256
-----BEGIN CERTIFICATE-----
MIIB
-----END CERTIFICATE-----
 1 s:CN = Intermediate
   i:CN = Root
---
Server certificate
subject=CN = conf.example.test
---
SSL-Session:
    TLS session ticket:
    0000 - 3f 20 73 3a 43 4e 3d 78-01 02 03 04 05 06 07 08   0 s:CN=x........
 0000 - 20 73 3a 78                                       0 s:x
    Verify return code: 0 (ok)
---
"""


def test_a_session_ticket_that_looks_like_a_subject_is_not_one():
    assert read_s_client(TOLD) == (["CN = conf.example.test", "CN = Intermediate"], "0 (ok)")


def test_a_connection_that_ended_before_a_certificate_has_no_subjects():
    assert read_s_client("CONNECTED(00000003)\nno peer certificate available\n") == ([], "none")
