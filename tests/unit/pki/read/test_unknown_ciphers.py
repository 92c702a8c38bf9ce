"""Keys and PKCS#12 files that openssl encrypts in ways that are not read here: each is named, and what the finding advises works."""

import re
import shlex

import pytest

from common.errors import PkiError, Reason
from common.pki.pem import Block, read_blocks
from manager.pki.read.keys import load_private_key
from manager.pki.read.pfx import open_pfx
from manager.pki.read.schemes import cipher_name, hmac_name, scheme_name
from tests.pki import make_leaf, make_root
from tests.unit.pki.openssl import openssl

LEGACY = ("-provider", "legacy", "-provider", "default")
PASS = ("-passout", "pass:word")

PBES2 = {
    "camellia-128-cbc": "Camellia-128-CBC",
    "camellia-256-cbc": "Camellia-256-CBC",
    "aria-192-cbc": "ARIA-192-CBC",
    "seed-cbc": "SEED-CBC",
    "sm4-cbc": "SM4-CBC",
    "sm4-ofb": "SM4-OFB",
    "bf-cbc": "Blowfish-CBC",
    "cast5-cbc": "CAST5-CBC",
    "aes-128-cfb": "AES-128-CFB",
    "aes-256-ofb": "AES-256-OFB",
    "aes-192-ecb": "AES-192-ECB",
    "rc2-40-cbc": "RC2-CBC with a short key",
    "rc4": "RC4",
}
TRADITIONAL = {
    "camellia-256-cbc": "CAMELLIA-256-CBC",
    "aria-256-cbc": "ARIA-256-CBC",
    "seed-cbc": "SEED-CBC",
    "sm4-cbc": "SM4-CBC",
    "bf-cbc": "Blowfish-CBC",
    "cast5-cbc": "CAST5-CBC",
    "aes-256-cfb": "AES-256-CFB",
    "aes-256-ofb": "AES-256-OFB",
    "rc2-cbc": "RC2-CBC",
}
PRFS = {
    "hmacWithMD5": "HMAC-MD5",
    "hmacWithSHA512-256": "HMAC-SHA-512/256",
    "hmacWithSHA512-224": "HMAC-SHA-512/224",
}
WAYS = [
    *((("pkcs8", "-topk8", "-v2", cipher, *LEGACY), name) for cipher, name in PBES2.items()),
    *((("rsa", "-traditional", f"-{cipher}", *LEGACY), name) for cipher, name in TRADITIONAL.items()),
    *((("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", prf), name) for prf, name in PRFS.items()),
    *(
        (("pkcs8", "-topk8", "-v1", way, *LEGACY), way)
        for way in ("PBE-MD5-RC2-64", "PBE-SHA1-RC2-64", "PBE-SHA1-RC4-40")
    ),
]
OPENED = [
    *(
        ("rsa", "-traditional", f"-{cipher}", *LEGACY)
        for cipher in ("aes128", "aes192", "aes256", "des", "des3")
    ),
    *(("pkcs8", "-topk8", "-v2", cipher, *LEGACY) for cipher in ("des-cbc", "rc2-cbc")),
    *(
        ("pkcs8", "-topk8", "-v1", way, *LEGACY)
        for way in (
            "PBE-SHA1-RC2-40",
            "PBE-SHA1-RC2-128",
            "PBE-SHA1-RC4-128",
            "PBE-SHA1-2DES",
            "PBE-SHA1-DES",
        )
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ciphers")
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem", cwd=folder)
    root = make_root()
    leaf = make_leaf(root, ["mcu.example.com"])
    (folder / "key.pem").write_text(leaf.key_pem)
    (folder / "leaf.pem").write_text(leaf.certificate_pem)
    return folder


def load(text, passphrase):
    return load_private_key(read_blocks(text).blocks[-1], passphrase)


def follow(advice, folder, *more):
    """Run the command that a finding quotes, and return what it wrote."""
    command = re.search(r"'openssl ([^']+)'", advice)[1]
    openssl(*shlex.split(command), *more, cwd=folder)
    return (folder / "NEW").read_text()


@pytest.mark.parametrize(
    ("way", "name"), WAYS, ids=lambda value: "-".join(value) if isinstance(value, tuple) else None
)
def test_a_key_in_a_cipher_that_is_not_supported_is_named_whatever_the_passphrase_and_its_advice_works(
    folder, way, name
):
    openssl(*way, "-in", "rsa.pem", "-out", "OLD", *PASS, cwd=folder)
    for passphrase in ("word", "wrong", None):
        with pytest.raises(PkiError) as caught:
            load((folder / "OLD").read_text(), passphrase)
        assert caught.value.reason is Reason.UNSUPPORTED
        assert name in caught.value.message
        assert "passphrase" not in caught.value.message
    written = follow(caught.value.message, folder, "-passin", "pass:word", *PASS)
    assert load(written, "word").key_type == "RSA"


@pytest.mark.parametrize("way", OPENED, ids="-".join)
def test_what_old_programs_wrote_is_opened_and_its_wrong_passphrase_is_called_wrong(folder, way):
    openssl(*way, "-in", "rsa.pem", "-out", "OLD", *PASS, cwd=folder)
    text = (folder / "OLD").read_text()
    assert load(text, "word").key_type == "RSA"
    for passphrase, words in (("wrong", "passphrase is wrong"), (None, "supply its passphrase")):
        with pytest.raises(PkiError) as caught:
            load(text, passphrase)
        assert caught.value.reason is Reason.INVALID
        assert words in caught.value.message


PFX_WAYS = [
    (("-certpbe", "camellia-256-cbc"), "Camellia-256-CBC"),
    (("-keypbe", "aria-256-cbc"), "ARIA-256-CBC"),
    (("-certpbe", "bf-cbc", "-keypbe", "bf-cbc"), "Blowfish-CBC"),
    (("-certpbe", "PBE-SHA1-RC4-40"), "PBE-SHA1-RC4-40"),
    (("-macalg", "md5"), "HMAC-MD5"),
    (("-macalg", "sha512-256"), "HMAC-SHA-512/256"),
    (("-macalg", "sha3-256"), "HMAC-SHA3-256"),
]


@pytest.mark.parametrize(
    ("options", "name"), PFX_WAYS, ids=lambda value: "".join(value) if isinstance(value, tuple) else None
)
def test_a_pfx_in_a_cipher_that_is_not_supported_is_named_and_its_advice_works(folder, options, name):
    openssl(
        *("pkcs12", "-export", "-inkey", "key.pem", "-in", "leaf.pem", "-out", "OLD", *options),
        *("-passout", "pass:word", *LEGACY),
        cwd=folder,
    )
    data = (folder / "OLD").read_bytes()
    try:
        found = open_pfx(data, "word").findings
    except PkiError as error:
        found = (error,)
    (finding,) = found
    assert finding.reason is Reason.UNSUPPORTED
    assert name in finding.message
    assert "passphrase" not in finding.message
    written = follow(finding.message, folder, "-passin", "pass:word", *PASS)
    keys = [block for block in read_blocks(written).blocks if block.label.endswith("PRIVATE KEY")]
    assert load_private_key(keys[0], "word").key_type == "EC P-256"


def test_what_has_no_name_is_told_by_its_identifier():
    assert "1.2.3" in cipher_name("1.2.3")
    assert "1.2.3" in scheme_name("1.2.3")
    assert "1.2.3" in hmac_name("1.2.3")


def with_dek(value):
    return Block(label="RSA PRIVATE KEY", der=b"\x00" * 32, headers=(("DEK-Info", value),))


def test_a_hostile_name_of_a_cipher_is_not_repeated():
    with pytest.raises(PkiError) as caught:
        load_private_key(with_dek("<b>\x1b[31m,00"), "word")
    assert "an unknown cipher" in caught.value.message
    assert "<b>" not in caught.value.message


@pytest.mark.parametrize("vector", ["", "00", "zz", "00" * 17])
def test_a_cipher_without_its_initial_vector_is_damage(vector):
    with pytest.raises(PkiError, match="damaged"):
        load_private_key(with_dek(f"AES-128-CBC,{vector}"), "word")


PRIMES = [(3, 2048), (4, 4096)]


@pytest.mark.parametrize(("primes", "bits"), PRIMES)
@pytest.mark.parametrize(
    "form",
    [
        ("pkey",),
        ("rsa", "-traditional"),
        ("rsa", "-traditional", "-aes256", *PASS),
        ("pkcs8", "-topk8", *PASS),
    ],
    ids="-".join,
)
def test_a_key_of_more_than_two_primes_is_named_as_such(folder, primes, bits, form):
    if not (folder / f"{primes}.pem").exists():
        openssl(
            *("genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_primes:{primes}"),
            *("-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", f"{primes}.pem"),
            cwd=folder,
        )
    text = openssl(*form, "-in", f"{primes}.pem", cwd=folder)
    with pytest.raises(PkiError) as caught:
        load(text, "word")
    assert caught.value.reason is Reason.UNSUPPORTED
    assert f"multi-prime RSA ({primes} primes)" in caught.value.message
    assert "make a new key" in caught.value.message


@pytest.mark.parametrize(
    "curve", ["SM2", "secp112r1", "prime192v2", "brainpoolP160r1", "sect571r1", "secp256k1"]
)
@pytest.mark.parametrize(
    "form", [("ec",), ("ec", "-aes256", *PASS), ("pkey",), ("pkcs8", "-topk8", *PASS)], ids="-".join
)
def test_a_curve_that_is_not_usable_is_named_in_every_form(folder, curve, form):
    if not (folder / f"{curve}.pem").exists():
        openssl("ecparam", "-name", curve, "-genkey", "-noout", "-out", f"{curve}.pem", cwd=folder)
    text = openssl(*form, "-in", f"{curve}.pem", cwd=folder)
    with pytest.raises(PkiError) as caught:
        load(text, "word")
    assert caught.value.reason is Reason.UNSUPPORTED
    assert f"on the curve {curve}" in caught.value.message
