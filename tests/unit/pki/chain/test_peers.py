"""A peer's self-signed certificate that is not a CA can be trusted as itself, and as nothing else."""

import pytest

from common.api.codes import ChainState
from common.errors import Reason
from common.pki.certificate import decode
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers
from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.upload import read_trusted_ca
from tests.odd import AKI, BASIC, TRUE, certificate, extension, name, seq, tagged
from tests.pki import NOW_S, make_leaf, make_root
from tests.unit.pki.openssl import openssl

PEER = make_leaf(None, ["peer.example.com"])


def test_openssl_trusts_a_self_signed_certificate_that_is_no_ca_as_itself(tmp_path):
    (tmp_path / "peer.pem").write_text(PEER.certificate_pem)
    at = ("-attime", NOW_S)
    assert openssl("verify", *at, "-CAfile", "peer.pem", "peer.pem", cwd=tmp_path) == "peer.pem: OK\n"


def test_a_self_signed_certificate_that_is_no_ca_can_be_trusted():
    found = read_trusted_ca(PEER.certificate_pem)
    assert (found.is_ca, found.is_self_signed) == (False, True)
    assert build_chain(found, Issuers(trusted=[found]), now_s=NOW_S).state is ChainState.COMPLETE


def test_what_a_trusted_peer_signs_is_not_trusted_by_that():
    peer, below = decode(PEER.certificate_der), decode(make_leaf(PEER).certificate_der)
    chain = build_chain(below, Issuers(trusted=[peer]), now_s=NOW_S)
    assert chain.state is ChainState.INVALID


def test_a_leaf_of_a_ca_is_no_trusted_peer():
    with pytest.raises(PkiFindingsError) as caught:
        read_trusted_ca(make_leaf(make_root()).certificate_pem)
    assert "is not a CA certificate, nor self-signed" in caught.value.message


def test_a_peer_in_a_batch_without_keys_becomes_trusted_where_peers_are_taken_and_nowhere_else():
    files = [ImportFile("peer.pem", PEER.certificate_pem.encode())]
    assert read_batch(files, peers=True).trusted_cas == (decode(PEER.certificate_der),)
    with pytest.raises(PkiFindingsError, match="is not a CA"):
        read_batch(files)


def test_a_self_signed_certificate_in_a_batch_with_keys_may_lack_its_own():
    other = make_leaf(None, ["other.example.com"])
    files = [
        ImportFile("peer.pem", PEER.certificate_pem.encode()),
        ImportFile("other.pem", (other.certificate_pem + other.key_pem).encode()),
    ]
    with pytest.raises(PkiFindingsError) as caught:
        read_batch(files)
    assert [one.reason for one in caught.value.findings] == [Reason.KEY_MISMATCH]


def test_a_root_whose_key_identifier_names_an_issuer_without_a_number_is_a_trusted_ca():
    root = name("Odd Root")
    identifier = seq(tagged(0x80, b"\x01" * 20), tagged(0xA1, tagged(0xA4, root)))
    data = certificate(
        subject=root, extensions=[extension(BASIC, seq(TRUE), TRUE), extension(AKI, identifier)]
    )
    found = decode(data)
    assert read_batch([ImportFile("root.pem", found.pem.encode())]).trusted_cas == (found,)
    assert found.is_ca
