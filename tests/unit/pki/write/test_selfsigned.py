import pickle

import pytest

from manager.pki.read.parameters import FFDHE2048_PEM
from manager.pki.read.upload import read_tls
from manager.pki.write.selfsigned import make_temporary
from tests.pki import DAY_S, NOW_S
from tests.unit.pki.openssl import openssl


@pytest.fixture(scope="module")
def material():
    return make_temporary(
        names=["node.example.com", "other.example.com"],
        addresses=["192.0.2.1", "2001:db8::1"],
        now_s=NOW_S,
        key_bits=2048,
    )


def test_it_is_self_signed_for_every_name_and_address(material):
    leaf = material.leaf
    assert leaf.is_self_signed
    assert not leaf.is_ca
    assert leaf.subject_name == "node.example.com"
    assert leaf.subject_alt_names == ("node.example.com", "other.example.com", "192.0.2.1", "2001:db8::1")
    assert leaf.server_auth_usage
    assert leaf.client_auth_usage
    assert leaf.signature_hash == "sha256"
    assert leaf.not_before_s < NOW_S
    assert leaf.not_after_s == NOW_S + 3650 * DAY_S


def test_it_reads_back_as_an_upload(material):
    again = read_tls(certificate=material.certificate_text, private_key=material.private_key_pem)
    assert again == material


def test_it_crosses_a_process_boundary(material):
    assert pickle.loads(pickle.dumps(material)) == material


def test_openssl_accepts_it(material, tmp_path):
    (tmp_path / "ca.pem").write_text(material.leaf.pem)
    arguments = ("-purpose", "sslserver", "-verify_hostname", "other.example.com", "-attime", NOW_S)
    openssl("verify", "-CAfile", "ca.pem", *arguments, "ca.pem", cwd=tmp_path)


def test_openssl_accepts_the_group(tmp_path):
    openssl("dhparam", "-check", "-noout", cwd=tmp_path, stdin=FFDHE2048_PEM)
    named = openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", cwd=tmp_path)
    assert named.split() == FFDHE2048_PEM.split()


def test_a_name_too_long_for_a_common_name_is_still_covered():
    long = "a" * 60 + ".example.com"
    leaf = make_temporary(names=[long], addresses=[], now_s=NOW_S, key_bits=2048).leaf
    assert leaf.subject_name == "temporary"
    assert leaf.dns_names == (long,)
