import pytest
from cryptography import x509

from common.api.codes import Format
from common.errors import InvalidInputError, PkiError, Reason
from common.pki.certificate import decode
from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.upload import read_tls, read_trusted_cas
from manager.pki.write.export import ExportItem, export, file_name, trusted_pem
from tests.patience import PATIENCE_S
from tests.pki import chain_pem, make_intermediate, make_leaf, make_root, make_rsa_key
from tests.unit.pki.openssl import openssl

ROOT = make_root()
LOW = make_intermediate(ROOT, "Low")
LEAF = make_leaf(LOW, ["a.example.com"], key=make_rsa_key())
SECOND = make_leaf(LOW, ["b.example.com"])
PASSPHRASE = "copper horse battery"


def item(made, *, key=True, **keywords):
    return ExportItem(
        leaf=decode(made.certificate_der),
        chain=(decode(LOW.certificate_der),),
        private_key_pem=made.key_pem if key else None,
        **keywords,
    )


def opened_by_openssl(folder, download, *options):
    (folder / "x.pfx").write_bytes(download.content)
    return openssl("pkcs12", "-in", "x.pfx", "-nodes", "-passin", f"pass:{PASSPHRASE}", *options, cwd=folder)


def test_a_leaf_and_its_intermediates_are_written_as_pem():
    download = export([item(LEAF, key=False)], Format.PEM)
    assert download.name == "a.example.com_certificate.pem"
    assert download.content.decode() == chain_pem(LEAF, LOW)


def test_a_key_is_written_encrypted_and_reads_back():
    download = export([item(LEAF)], Format.PEM, passphrase=PASSPHRASE)
    assert download.name == "a.example.com_keycert.pem"
    assert b"ENCRYPTED PRIVATE KEY" in download.content
    back = read_tls(certificate=download.content.decode(), private_key="", passphrase=PASSPHRASE)
    assert back.private_key_pem == LEAF.key_pem
    assert "PRIVATE" not in repr(download)


@pytest.mark.parametrize(("form", "options"), [(Format.PFX, ()), (Format.PFX_LEGACY, ("-legacy",))])
def test_openssl_opens_one_certificate_with_its_key(tmp_path, form, options):
    download = export([item(LEAF)], form, passphrase=PASSPHRASE)
    assert download.name == "a.example.com_keycert.pfx"
    text = opened_by_openssl(tmp_path, download, *options)
    assert LEAF.certificate_pem in text
    assert LOW.certificate_pem in text
    assert LEAF.key_pem in text


@pytest.mark.parametrize(("form", "options"), [(Format.PFX, ()), (Format.PFX_LEGACY, ("-legacy",))])
def test_openssl_opens_several_with_their_keys_and_so_do_we(tmp_path, form, options):
    download = export([item(LEAF), item(SECOND)], form, passphrase=PASSPHRASE)
    assert download.name == "all_keycerts.pfx"
    text = opened_by_openssl(tmp_path, download, *options)
    for made in (LEAF, SECOND):
        assert made.certificate_pem in text
        assert made.key_pem in text
    assert text.count(LOW.certificate_pem) == 1
    batch = read_batch([ImportFile("x.pfx", download.content)], passphrase=PASSPHRASE)
    assert {one.private_key_pem for one in batch.tls} == {LEAF.key_pem, SECOND.key_pem}
    assert all(one.chain[0].subject_name == "Low" for one in batch.tls)


def test_the_modern_profile_says_what_it_uses_and_the_legacy_one_too(tmp_path):
    for form, options, words in (
        (Format.PFX, (), ("PBES2", "AES-256-CBC", "sha256")),
        (Format.PFX_LEGACY, ("-legacy",), ("pbeWithSHA1And3-KeyTripleDES-CBC", "sha1")),
    ):
        download = export([item(LEAF)], form, passphrase=PASSPHRASE)
        (tmp_path / "x.pfx").write_bytes(download.content)
        arguments = ("-in", "x.pfx", "-info", "-noout", "-passin", f"pass:{PASSPHRASE}", *options)
        reply = shown(tmp_path, *arguments)
        assert all(word in reply for word in words)


def shown(folder, *arguments):
    import subprocess

    done = subprocess.run(
        ["openssl", "pkcs12", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
@pytest.mark.parametrize("made", [[LEAF], [LEAF, SECOND]])
def test_certificates_alone_are_written_as_pfx(made, passphrase):
    download = export([item(one, key=False) for one in made], Format.PFX, passphrase=passphrase)
    from manager.pki.read.pfx import open_pfx

    opened = open_pfx(download.content, passphrase)
    assert opened.keys == ()
    assert len(opened.certificates) == len(made) + 1


def test_the_leaf_may_be_left_out():
    assert export([item(LEAF, key=False, include_leaf=False)], Format.PEM).content.decode() == chain_pem(LOW)


@pytest.mark.parametrize("passphrase", [None, "", "short"])
@pytest.mark.parametrize("form", Format)
def test_a_key_never_leaves_without_a_passphrase(form, passphrase):
    with pytest.raises(InvalidInputError) as caught:
        export([item(LEAF)], form, passphrase=passphrase)
    assert caught.value.field == "passphrase"


def test_a_temporary_certificate_is_not_downloaded():
    with pytest.raises(PkiError) as caught:
        export([item(make_leaf(None))], Format.PEM, passphrase=PASSPHRASE)
    assert caught.value.reason is Reason.UNSUPPORTED


def test_nothing_is_not_downloaded():
    with pytest.raises(InvalidInputError):
        export([], Format.PEM)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("*.example.com", "_.example.com"),
        ('a"\r\nb', "a_b"),
        ("...", "unnamed"),
        ("Exämple GmbH", "Ex_mple_GmbH"),
    ],
)
def test_a_file_name_cannot_climb_hide_or_break_a_header(name, stem):
    leaf = decode(make_leaf(ROOT, common_name=name).certificate_der)
    assert file_name([leaf], with_key=False, form=Format.PEM) == f"{stem}_certificate.pem"


def test_an_empty_subject_has_a_file_name():
    leaf = decode(make_leaf(ROOT, subject=x509.Name([])).certificate_der)
    assert file_name([leaf], with_key=False, form=Format.PFX) == "node.example.com_certificate.pfx"
    both = [leaf, leaf]
    assert file_name(both, with_key=False, form=Format.PEM) == "all_certificates.pem"


def test_trusted_cas_are_exported_and_read_back():
    download = trusted_pem([decode(ROOT.certificate_der), decode(LOW.certificate_der)])
    assert download.name == "ca-certificates.pem"
    assert len(read_trusted_cas(download.content.decode()).certificates) == 2
