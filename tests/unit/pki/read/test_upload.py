import pytest

from common.errors import Reason
from common.pki.pem import pem_of, read_blocks
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.parameters import FFDHE2048_PEM
from manager.pki.read.upload import read_tls, read_trusted_cas
from tests.pki import chain_pem, make_intermediate, make_key, make_leaf, make_root
from tests.unit.pki.openssl import openssl

ROOT = make_root()
LOW = make_intermediate(ROOT, "Low")
LOWEST = make_intermediate(LOW, "Lowest")
LEAF = make_leaf(LOWEST)


def findings(call, *arguments, **keywords):
    with pytest.raises(PkiFindingsError) as caught:
        call(*arguments, **keywords)
    assert all(found.message for found in caught.value.findings)
    return caught.value.findings


def names(certificates):
    return [certificate.subject_name for certificate in certificates]


def test_a_chain_in_any_order_is_served_leaf_first_without_its_root():
    text = chain_pem(ROOT, LOW, LEAF, LOWEST)
    material = read_tls(certificate=text, private_key=LEAF.key_pem)
    assert material.leaf.subject_name == "node.example.com"
    assert names(material.chain) == ["Lowest", "Low"]
    assert names(material.extras) == ["Test Root"]
    assert material.certificate_text == text
    assert material.parameters_pem == ""
    assert "PRIVATE" not in repr(material)
    assert material.private_key_pem == LEAF.key_pem


def test_the_key_may_stand_in_the_certificate_text_and_does_not_stay_there():
    material = read_tls(certificate=LEAF.key_pem + LEAF.certificate_pem + FFDHE2048_PEM, private_key="")
    assert material.parameters_pem == FFDHE2048_PEM
    assert "PRIVATE KEY" not in material.certificate_text
    assert LEAF.certificate_pem in material.certificate_text


def test_parameters_appended_and_separate_are_put_together(tmp_path):
    curve = openssl("ecparam", "-name", "secp384r1", cwd=tmp_path)
    material = read_tls(
        certificate=LEAF.certificate_pem + curve, private_key=LEAF.key_pem, parameters=FFDHE2048_PEM * 2
    )
    assert material.parameters_pem == FFDHE2048_PEM + curve


def test_an_encrypted_key_is_opened_with_its_passphrase():
    sealed = LEAF.encrypted_key_pem("word")
    material = read_tls(certificate=LEAF.certificate_pem, private_key=sealed, passphrase="word")
    assert material.private_key_pem == LEAF.key_pem


def test_every_finding_is_named_at_once():
    sealed = LEAF.encrypted_key_pem("word")
    found = findings(
        read_tls,
        certificate=LEAF.certificate_pem + LEAF.certificate_pem[:80],
        private_key=sealed,
        passphrase="wrong",
        parameters="nothing",
    )
    assert [(one.file, one.block) for one in found] == [
        ("certificate", 2),
        ("private key", 1),
        ("parameters", None),
    ]


def test_a_key_that_pairs_with_nothing_is_a_mismatch():
    (found,) = findings(read_tls, certificate=LEAF.certificate_pem, private_key=make_leaf(ROOT).key_pem)
    assert found.reason is Reason.KEY_MISMATCH


def test_two_certificates_that_could_be_the_leaf_are_refused():
    renewed = make_leaf(LOWEST, key=LEAF.key)
    (found,) = findings(read_tls, certificate=chain_pem(LEAF, renewed), private_key=LEAF.key_pem)
    assert found.reason is Reason.CONFLICT
    assert (found.file, found.block) == ("certificate", 2)


def test_the_same_certificate_and_key_twice_are_one():
    material = read_tls(certificate=chain_pem(LEAF, LEAF), private_key=LEAF.key_pem * 2)
    assert material.extras == ()


def test_what_is_missing_is_named():
    found = findings(read_tls, certificate="", private_key="")
    assert [one.message for one in found] == ["there is no certificate", "there is no private key"]


def test_a_request_is_refused_by_name(tmp_path):
    (tmp_path / "key.pem").write_text(LEAF.key_pem)
    request = openssl("req", "-new", "-key", "key.pem", "-subj", "/CN=x", cwd=tmp_path)
    (found,) = findings(read_tls, certificate=request + LEAF.certificate_pem, private_key=LEAF.key_pem)
    assert "signing request" in found.message


def test_an_ssh_key_is_refused_by_name():
    found = findings(
        read_tls, certificate=LEAF.certificate_pem, private_key="ssh-ed25519 AAAAC3NzaC1lZDI1 me@here"
    )
    assert "SSH" in found[0].message


def test_different_parameters_are_refused(tmp_path):
    curves = [openssl("ecparam", "-name", name, cwd=tmp_path) for name in ("prime256v1", "secp384r1")]
    (found,) = findings(
        read_tls,
        certificate=LEAF.certificate_pem,
        private_key=LEAF.key_pem,
        parameters="".join(curves),
    )
    assert found.block == 2


@pytest.mark.parametrize(
    "parameters",
    [
        "-----BEGIN DH PARAMETERS-----\nMAYCAQUCAQI=\n-----END DH PARAMETERS-----\n",
        "-----BEGIN EC PARAMETERS-----\nBgUrgQQACg==\n-----END EC PARAMETERS-----\n",
        "-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n",
        pem_of(read_blocks(FFDHE2048_PEM).blocks[0].der + b"more", label="DH PARAMETERS"),
    ],
    ids=["tiny-group", "secp256k1", "garbage", "more-behind"],
)
def test_parameters_that_a_server_would_refuse_are_refused(parameters):
    (found,) = findings(
        read_tls, certificate=LEAF.certificate_pem, private_key=LEAF.key_pem, parameters=parameters
    )
    assert found.file == "parameters"


def test_a_self_signed_certificate_is_its_own_chain():
    alone = make_leaf(None)
    material = read_tls(certificate=alone.certificate_pem, private_key=alone.key_pem)
    assert material.leaf.is_self_signed
    assert material.chain == ()


def test_trusted_cas_are_read_once_each_in_order():
    assert names(read_trusted_cas(chain_pem(LOW, ROOT, LOW)).certificates) == ["Low", "Test Root"]


def test_two_trusted_cas_that_would_take_each_others_place_are_named_and_left_out(tmp_path):
    (tmp_path / "pem").write_text(ROOT.certificate_pem)
    (tmp_path / "key").write_text(ROOT.key_pem)
    serial = openssl("x509", "-in", "pem", "-noout", "-serial", cwd=tmp_path).strip().partition("=")[2]
    again = openssl(
        "x509", "-in", "pem", "-signkey", "key", "-days", "9", "-set_serial", f"0x{serial}", cwd=tmp_path
    )
    (clash,) = findings(read_trusted_cas, ROOT.certificate_pem + LOW.certificate_pem + again)
    assert clash.reason is Reason.CONFLICT
    assert clash.block == 3
    assert "Test Root" in clash.message
    taken = read_trusted_cas(ROOT.certificate_pem + LOW.certificate_pem + again, skip_unusable=True)
    assert names(taken.certificates) == ["Low"]
    assert [one.message for one in taken.left_out] == [clash.message]


def test_a_trusted_ca_file_with_anything_else_is_refused_whole():
    text = ROOT.certificate_pem + LEAF.certificate_pem + LEAF.key_pem
    found = findings(read_trusted_cas, text)
    assert [one.block for one in found] == [2, 3]
    assert "node.example.com" in found[0].message
    assert "private key" in found[1].message


def test_an_empty_trusted_ca_file_is_refused():
    assert findings(read_trusted_cas, " \n")[0].reason is Reason.INVALID


def test_a_version_1_root_is_a_ca(tmp_path):
    (tmp_path / "key.pem").write_text(ROOT.key_pem)
    (tmp_path / "req.pem").write_text(
        openssl("req", "-new", "-key", "key.pem", "-subj", "/CN=Old Root", cwd=tmp_path)
    )
    old = openssl("x509", "-req", "-in", "req.pem", "-signkey", "key.pem", "-days", "9", cwd=tmp_path)
    assert names(read_trusted_cas(old).certificates) == ["Old Root"]


def test_a_key_on_another_curve_than_the_certificates_does_not_pair():
    found = findings(
        read_tls,
        certificate=make_leaf(ROOT, key=make_key()).certificate_pem,
        private_key=make_leaf(ROOT).key_pem,
    )
    assert found[0].reason is Reason.KEY_MISMATCH


def test_a_combined_file_given_as_the_key_is_read_and_kept_as_certificates():
    material = read_tls(certificate="", private_key=LEAF.key_pem + chain_pem(LOWEST, LEAF))
    assert material.certificate_text == chain_pem(LEAF, LOWEST)
    assert names(material.chain) == ["Lowest"]


def test_openssl_verifies_the_chain_that_is_served(tmp_path):
    from tests.pki import NOW_S

    material = read_tls(certificate=chain_pem(LOWEST, ROOT, LEAF, LOW), private_key=LEAF.key_pem)
    (tmp_path / "root.pem").write_text(ROOT.certificate_pem)
    (tmp_path / "leaf.pem").write_text(material.leaf.pem)
    (tmp_path / "chain.pem").write_text("".join(one.pem for one in material.chain))
    arguments = ("-CAfile", "root.pem", "-untrusted", "chain.pem", "-attime", NOW_S, "-x509_strict")
    openssl("verify", *arguments, "-purpose", "sslserver", "leaf.pem", cwd=tmp_path)


def test_the_certificate_may_be_changed_but_not_its_key():
    renewed = make_leaf(LOWEST, key=LEAF.key)
    assert (
        read_tls(certificate=renewed.certificate_pem, private_key=LEAF.key_pem).leaf.der
        == renewed.certificate_der
    )
    other = make_leaf(LOWEST)
    found = findings(read_tls, certificate=other.certificate_pem + other.key_pem, private_key=LEAF.key_pem)
    assert [one.reason for one in found] == [Reason.KEY_MISMATCH]
