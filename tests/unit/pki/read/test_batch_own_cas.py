"""No certificate of a batch becomes trusted whose private key is somebody's own: in the batch, or stored."""

from itertools import permutations

import pytest

from common.pki.certificate import decode
from manager.pki.judge.identity import key_of
from manager.pki.read.batch import CertificateBatch, ImportFile, read_batch
from tests.pki import Made, chain_pem, make_intermediate, make_leaf, make_root

OWN = make_root("own.example.com")
RENEWED = make_root("own.example.com", key=OWN.key, not_after_s=2_100_000_000)
LOW = make_intermediate(OWN, "Low")
SITE = make_leaf(LOW, ["site.example.com"])
OTHER = make_root("Other")


def keys(*made: Made) -> set[str]:
    return {key_of(decode(each.certificate_der)) for each in made}


def read(texts: dict[str, str], **more) -> CertificateBatch:
    return read_batch([ImportFile(name, text.encode()) for name, text in texts.items()], **more)


def names(batch: CertificateBatch) -> tuple[list[str], list[str], list[str]]:
    """Return who came with a key, whose key is stored, and who is trusted."""
    return (
        [each.leaf.subject_name for each in batch.tls],
        [each.leaf.subject_name for each in batch.without_key],
        [each.subject_name for each in batch.trusted_cas],
    )


@pytest.mark.parametrize("order", list(permutations(["own.crt", "own.key", "ca.crt"])))
def test_a_self_signed_certificate_with_its_key_in_the_batch_is_no_trusted_ca_in_any_order(order):
    texts = {"own.crt": OWN.certificate_pem, "own.key": OWN.key_pem, "ca.crt": OTHER.certificate_pem}
    assert names(read({name: texts[name] for name in order})) == (["own.example.com"], [], ["Other"])


@pytest.mark.parametrize("given", [OWN, RENEWED])
def test_a_self_signed_certificate_whose_key_is_stored_is_no_trusted_ca(given):
    batch = read({"own.crt": given.certificate_pem, "ca.crt": OTHER.certificate_pem}, stored_keys=keys(OWN))
    assert names(batch) == ([], ["own.example.com"], ["Other"])


def test_an_intermediate_whose_key_is_stored_is_none_either_and_keeps_its_chain():
    batch = read({"low.pem": chain_pem(LOW, OWN)}, stored_keys=keys(LOW))
    assert names(batch) == ([], ["Low"], [])
    assert [each.subject_name for each in batch.without_key[0].extras] == ["own.example.com"]


def test_it_is_trusted_where_the_files_are_given_to_be_trusted_or_a_ca_of_its_key_is_already():
    texts = {"own.crt": RENEWED.certificate_pem}
    assert names(read(texts, stored_keys=keys(OWN), peers=True)) == ([], [], ["own.example.com"])
    assert names(read(texts, stored_keys=keys(OWN), trusted_keys=keys(OWN))) == ([], [], ["own.example.com"])


@pytest.mark.parametrize("chain", [chain_pem(SITE, LOW, OWN), chain_pem(OWN, LOW, SITE)])
def test_a_ca_whose_key_is_stored_stays_in_the_chain_that_it_came_with(chain):
    batch = read({"site.pem": chain + SITE.key_pem}, stored_keys=keys(LOW, OWN))
    assert names(batch) == (["site.example.com"], [], [])
    assert [each.subject_name for each in batch.tls[0].companions] == ["Low", "own.example.com"]


def test_a_ca_whose_key_is_in_the_batch_completes_the_chains_of_its_file_too():
    batch = read({"all.pem": chain_pem(SITE, LOW, OWN) + SITE.key_pem + LOW.key_pem})
    assert names(batch) == (["site.example.com", "Low"], [], [])
    assert [each.subject_name for each in batch.tls[0].companions] == ["Low", "own.example.com"]
