import pickle

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from common.errors import PkiError, Reason
from common.pki import der
from common.pki.certificate import decode
from common.pki.pem import pem_of
from manager.pki.judge.identity import key_of
from manager.pki.read.batch import MAX_FILES, ImportFile, read_batch
from manager.pki.read.contents import MAX_FILE_BYTES
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.parameters import FFDHE2048_PEM
from manager.pki.read.pfx import open_pfx
from manager.pki.read.upload import read_trusted_cas
from tests.pki import chain_pem, make_intermediate, make_leaf, make_root, make_rsa_key
from tests.unit.pki.openssl import openssl

ROOT = make_root()
LOW = make_intermediate(ROOT, "Low")
OTHER = make_root("Other Root")
LEAF = make_leaf(LOW, ["a.example.com"])
SECOND = make_leaf(LOW, ["b.example.com"])


def files(**texts):
    return [
        ImportFile(f"{name}.pem", text if isinstance(text, bytes) else text.encode())
        for name, text in texts.items()
    ]


def read(passphrase=None, **texts):
    return read_batch(files(**texts), passphrase=passphrase)


def findings(passphrase=None, **texts):
    with pytest.raises(PkiFindingsError) as caught:
        read(passphrase, **texts)
    return caught.value.findings


def names(certificates):
    return [certificate.subject_name for certificate in certificates]


def test_keys_in_separate_files_find_their_certificates():
    batch = read(keys=SECOND.key_pem + LEAF.key_pem, one=LEAF.certificate_pem, two=SECOND.certificate_pem)
    assert names(item.leaf for item in batch.tls) == ["a.example.com", "b.example.com"]
    assert [item.private_key_pem for item in batch.tls] == [LEAF.key_pem, SECOND.key_pem]
    assert batch.trusted_cas == ()


def test_cas_in_one_file_with_their_leaf_stay_with_it_and_others_become_trusted():
    batch = read(
        site=LEAF.key_pem + chain_pem(ROOT, OTHER, LOW, LEAF), cas=chain_pem(OTHER, make_root("Third"))
    )
    (item,) = batch.tls
    assert names(item.chain) == ["Low"]
    assert names(item.extras) == ["Test Root"]
    assert names(batch.trusted_cas) == ["Other Root", "Third"]


def test_cas_in_a_file_of_their_own_become_trusted_even_if_a_leaf_chains_to_them():
    batch = read(site=LEAF.key_pem + LEAF.certificate_pem, cas=chain_pem(LOW, ROOT))
    assert batch.tls[0].chain == ()
    assert names(batch.trusted_cas) == ["Low", "Test Root"]


def test_a_ca_that_stands_both_with_a_leaf_and_alone_is_both():
    batch = read(site=LEAF.key_pem + chain_pem(LEAF, LOW), cas=chain_pem(LOW))
    assert names(batch.tls[0].chain) == ["Low"]
    assert names(batch.trusted_cas) == ["Low"]


def test_parameters_belong_to_the_certificate_that_they_are_appended_to(tmp_path):
    curve = openssl("ecparam", "-name", "secp384r1", cwd=tmp_path)
    both = LEAF.certificate_pem + FFDHE2048_PEM + SECOND.certificate_pem + curve
    batch = read(both=both, keys=LEAF.key_pem + SECOND.key_pem)
    assert [item.parameters_pem for item in batch.tls] == [FFDHE2048_PEM, curve]
    assert FFDHE2048_PEM in batch.tls[0].certificate_text


def test_parameters_in_front_of_a_key_belong_to_its_certificate(tmp_path):
    curve = openssl("ecparam", "-name", "prime256v1", cwd=tmp_path)
    batch = read(key=curve + SECOND.key_pem, certs=chain_pem(LEAF, SECOND), other=LEAF.key_pem)
    assert [item.parameters_pem for item in batch.tls] == ["", curve]


def test_parameters_that_belong_to_nothing_are_a_finding():
    (found,) = findings(certs=chain_pem(LEAF, SECOND), keys=LEAF.key_pem + SECOND.key_pem, dh=FFDHE2048_PEM)
    assert (found.file, found.block, found.line) == ("dh.pem", 1, 1)


def test_the_passphrase_applies_to_the_whole_batch():
    batch = read(
        "password",
        one=LEAF.certificate_pem + LEAF.encrypted_key_pem("password"),
        two=SECOND.certificate_pem + SECOND.key_pem,
    )
    assert len(batch.tls) == 2


def test_every_finding_of_every_file_is_named_with_its_place():
    found = findings(
        one=LEAF.certificate_pem + "\n-----BEGIN CERTIFICATE-----\nMII",
        two="text\n" + LEAF.encrypted_key_pem("password"),
        three=b"\x00\x01",
        four=b"\x30\x03\x02\x01\x01",
    )
    places = {(one.file, one.block, one.line) for one in found}
    line = LEAF.certificate_pem.count("\n") + 2
    assert places == {
        ("one.pem", 2, line),
        ("two.pem", 1, 2),
        ("three.pem", None, None),
        ("four.pem", None, None),
    }
    assert f"one.pem, block 2, line {line}: " in str(PkiFindingsError(found))


def test_what_pairs_with_nothing_is_named_on_both_sides():
    found = findings(one=LEAF.certificate_pem, two=SECOND.key_pem)
    assert [(one.file, one.reason) for one in found] == [
        ("one.pem", Reason.KEY_MISMATCH),
        ("two.pem", Reason.KEY_MISMATCH),
    ]


def test_a_renewed_certificate_with_the_same_key_is_imported_beside_the_old_one():
    renewed = make_leaf(LOW, ["a.example.com"], key=LEAF.key)
    batch = read(old=LEAF.certificate_pem + LEAF.key_pem, new=renewed.certificate_pem)
    assert len(batch.tls) == 2


def test_binary_files_are_read(tmp_path):
    key = LEAF.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_text(SECOND.key_pem)
    openssl("ec", "-in", "key.pem", "-outform", "DER", "-out", "sec1.der", cwd=tmp_path)
    batch = read(
        leaf=LEAF.certificate_der,
        key=key,
        second=SECOND.certificate_der,
        sec1=(tmp_path / "sec1.der").read_bytes(),
        ca=ROOT.certificate_der,
    )
    assert len(batch.tls) == 2
    assert names(batch.trusted_cas) == ["Test Root"]


def test_a_binary_rsa_key_and_an_encrypted_one_are_read(tmp_path):
    made = [make_leaf(LOW, [name], key=make_rsa_key()) for name in ("c.example.com", "d.example.com")]
    for number, one in enumerate(made):
        (tmp_path / f"{number}.pem").write_text(one.key_pem)
    openssl("rsa", "-in", "0.pem", "-traditional", "-outform", "DER", "-out", "0.der", cwd=tmp_path)
    sealed = ("pkcs8", "-topk8", "-in", "1.pem", "-outform", "DER", "-out", "1.der", "-passout", "pass:word")
    openssl(*sealed, cwd=tmp_path)
    batch = read(
        "word",
        certs=chain_pem(*made),
        plain=(tmp_path / "0.der").read_bytes(),
        sealed=(tmp_path / "1.der").read_bytes(),
    )
    assert len(batch.tls) == 2


def test_a_binary_request_is_refused_by_name(tmp_path):
    (tmp_path / "key.pem").write_text(LEAF.key_pem)
    request = ("req", "-new", "-key", "key.pem", "-subj", "/CN=x", "-outform", "DER", "-out", "x.csr")
    openssl(*request, cwd=tmp_path)
    (found,) = findings(request=(tmp_path / "x.csr").read_bytes())
    assert "signing request" in found.message


PFX_FORMS = {
    "modern": (),
    "legacy": ("-legacy",),
    "no-mac": ("-nomac",),
    "plain-certificates": ("-certpbe", "NONE"),
    "3des": ("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"),
}


def make_pfx(folder, *options, passphrase="word"):
    (folder / "key.pem").write_text(LEAF.key_pem)
    (folder / "leaf.pem").write_text(LEAF.certificate_pem)
    (folder / "chain.pem").write_text(chain_pem(LOW, ROOT))
    arguments = ("-export", "-inkey", "key.pem", "-in", "leaf.pem", "-certfile", "chain.pem", "-out", "x.pfx")
    openssl("pkcs12", *arguments, "-passout", f"pass:{passphrase}", *options, cwd=folder)
    return (folder / "x.pfx").read_bytes()


@pytest.mark.parametrize("form", PFX_FORMS)
def test_a_pfx_file_is_read_as_leaf_key_and_chain(tmp_path, form):
    batch = read("word", site=make_pfx(tmp_path, *PFX_FORMS[form]))
    (item,) = batch.tls
    assert item.leaf.subject_name == "a.example.com"
    assert item.private_key_pem == LEAF.key_pem
    assert names(item.chain) == ["Low"]
    assert names(item.extras) == ["Test Root"]
    assert batch.trusted_cas == ()


@pytest.mark.parametrize("passphrase", [None, "wrong"])
def test_a_pfx_file_with_another_passphrase_is_named(tmp_path, passphrase):
    (found,) = findings(passphrase, site=make_pfx(tmp_path))
    assert found.reason is Reason.INVALID
    assert "passphrase" in found.message
    assert found.file == "site.pem"


def test_a_pfx_file_without_a_passphrase_is_read(tmp_path):
    for passphrase in (None, "for the other files"):
        assert len(read(passphrase, site=make_pfx(tmp_path, passphrase="")).tls) == 1


def test_a_pfx_file_that_would_cost_too_much_is_refused_before_anything_is_spent(tmp_path):
    data = make_pfx(tmp_path)
    assert open_pfx(data, "word").keys
    absurd = der.encode_integer(20_000_000)
    fields = der.sequence(data)
    mac = der.members(fields[2], der.SEQUENCE)
    body = fields[0].raw + fields[1].raw + der.encode(der.SEQUENCE, mac[0].raw + mac[1].raw + absurd)
    with pytest.raises(PkiError) as caught:
        open_pfx(der.encode(der.SEQUENCE, body), "word")
    assert caught.value.reason is Reason.TOO_BIG


def test_a_damaged_pfx_file_is_refused(tmp_path):
    data = make_pfx(tmp_path)
    for broken in (data[:-20], data[:40], data[:200] + b"\xff" * 50 + data[250:]):
        with pytest.raises(PkiError):
            open_pfx(broken, "word")


def test_too_much_is_refused():
    many = [ImportFile(str(number), b"") for number in range(MAX_FILES + 1)]
    for batch in (many, [], [ImportFile("x", b" " * (1024 * 1024 + 1))]):
        with pytest.raises(PkiFindingsError):
            read_batch(batch)


def test_errors_and_results_cross_a_process_boundary():
    found = findings(one=LEAF.certificate_pem)
    error = pickle.loads(pickle.dumps(PkiFindingsError(found)))
    assert error.findings[0].file == "one.pem"
    batch = read(site=LEAF.key_pem + LEAF.certificate_pem)
    assert pickle.loads(pickle.dumps(batch)) == batch
    assert "PRIVATE" not in repr(batch) + repr(files(site=LEAF.key_pem))


def test_more_than_a_hundred_keys_are_refused():
    found = findings(keys=LEAF.key_pem * 101)
    assert [(one.block, one.reason) for one in found] == [(101, Reason.TOO_BIG)]


def test_a_leaf_in_two_files_with_different_chains_serves_one_whole_chain():
    other = make_intermediate(OTHER, "Low", key=LOW.key)
    batch = read(one=LEAF.key_pem + chain_pem(LEAF, LOW), two=chain_pem(LEAF, other, OTHER))
    (item,) = batch.tls
    assert len(item.chain) == 1
    assert len(item.extras) == 2


def test_what_is_usable_is_taken_and_the_rest_is_named():
    third, damaged = make_leaf(LOW, ["c.example.com"]), make_root("Damaged")
    batch = read_batch(
        files(
            one=LEAF.key_pem + chain_pem(LEAF, LOW),
            two=SECOND.certificate_pem,
            three=third.key_pem,
            roots=chain_pem(OTHER)
            + damaged.certificate_pem.replace("-----BEGIN", "----BEGIN")
            + chain_pem(ROOT),
            page=b"<html>",
        ),
        skip_unusable=True,
    )
    assert names(item.leaf for item in batch.tls) == ["a.example.com"]
    assert names(batch.trusted_cas) == ["Other Root", "Test Root"]
    line = 1 + OTHER.certificate_pem.count("\n")
    assert [(one.file, one.block, one.line) for one in batch.left_out] == [
        ("roots.pem", 2, line),
        ("page.pem", None, None),
        ("two.pem", 1, 1),
        ("three.pem", 1, 1),
    ]


def test_certificates_of_one_serial_number_and_different_keys_are_both_left_out():
    one, other = make_leaf(LOW, serial=5), make_leaf(LOW, serial=5)
    texts = {"one": one.key_pem + one.certificate_pem, "two": other.key_pem + other.certificate_pem}
    batch = read_batch(files(**texts, good=LEAF.key_pem + LEAF.certificate_pem), skip_unusable=True)
    assert names(item.leaf for item in batch.tls) == ["a.example.com"]
    assert [found.reason for found in batch.left_out] == [Reason.CONFLICT]


def test_nothing_usable_is_an_error_all_the_same():
    with pytest.raises(PkiFindingsError):
        read_batch(files(one=LEAF.certificate_pem), skip_unusable=True)


def test_a_certificate_whose_key_is_stored_needs_none():
    stored = {key_of(decode(LEAF.certificate_der))}
    batch = read_batch(
        files(site=chain_pem(LEAF, LOW), other=SECOND.key_pem + SECOND.certificate_pem), stored_keys=stored
    )
    (kept,) = batch.without_key
    assert (kept.leaf.der, kept.private_key_pem) == (LEAF.certificate_der, "")
    assert names(kept.chain) == ["Low"]
    assert names(item.leaf for item in batch.tls) == ["b.example.com"]


def test_a_vendors_list_is_taken_but_for_the_bad_ones():
    roots = [make_root(f"Root {number}") for number in range(251)]
    texts = [root.certificate_pem for root in roots]
    texts[7] = pem_of(roots[7].certificate_der[:-40])
    texts[80] = texts[80].replace("-----END", "----END")
    texts[200] = SECOND.certificate_pem
    batch = read_batch(files(roots="".join(texts)), skip_unusable=True)
    assert len(batch.trusted_cas) == 248
    assert sorted(found.block for found in batch.left_out) == [8, 81, 201]
    taken = read_trusted_cas("".join(texts), skip_unusable=True)
    assert (len(taken.certificates), sorted(found.block for found in taken.left_out)) == (248, [8, 81, 201])


def test_a_file_that_is_too_large_or_empty_keeps_no_other_out():
    given = files(a=chain_pem(LEAF, LOW) + LEAF.key_pem, big=b"x" * (MAX_FILE_BYTES + 1), none=b"")
    batch = read_batch(given, skip_unusable=True)
    assert [made.leaf.subject_name for made in batch.tls] == ["a.example.com"]
    assert [(one.file, one.reason) for one in batch.left_out] == [
        ("big.pem", Reason.TOO_BIG),
        ("none.pem", Reason.INVALID),
    ]
    with pytest.raises(PkiFindingsError) as caught:
        read_batch(given)
    assert [one.file for one in caught.value.findings] == ["big.pem", "none.pem"]
