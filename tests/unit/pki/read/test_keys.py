import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from common.errors import PkiError, Reason
from common.pki import der
from common.pki.certificate import decode
from common.pki.pem import Block, read_blocks
from manager.pki.read.keys import load_private_key, pairs, private_key_pem
from tests.pki import make_key, make_leaf, make_root
from tests.unit.pki.openssl import openssl


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem", cwd=folder)
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.pem", cwd=folder)
    return folder


def load(text, passphrase=None):
    return load_private_key(read_blocks(text).blocks[-1], passphrase)


def same_key(text, passphrase=None):
    key = load(text, passphrase)
    written = load_pem_private_key(private_key_pem(key).encode(), None)
    assert "ENCRYPTED" not in private_key_pem(key)
    return key.key_type, written


FORMS = {
    "pkcs1": ("rsa", "-traditional"),
    "dek-aes": ("rsa", "-traditional", "-aes256", "-passout", "pass:word"),
    "dek-3des": ("rsa", "-traditional", "-des3", "-passout", "pass:word"),
    "pkcs8": ("pkcs8", "-topk8", "-nocrypt"),
    "pbes2-pbkdf2": ("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:word"),
    "pbes2-scrypt": ("pkcs8", "-topk8", "-scrypt", "-passout", "pass:word"),
    "pbes1-3des": ("pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-passout", "pass:word"),
    "pbes1-des": (
        "pkcs8",
        "-topk8",
        "-v1",
        "PBE-MD5-DES",
        "-passout",
        "pass:word",
        "-provider",
        "legacy",
        "-provider",
        "default",
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("passphrase", [None, "word", "wrong"])
def test_every_form_of_an_rsa_key_is_read(folder, form, passphrase):
    text = openssl(*FORMS[form], "-in", "rsa.pem", cwd=folder)
    original = load_pem_private_key((folder / "rsa.pem").read_bytes(), None)
    encrypted = "word" in " ".join(FORMS[form])
    if encrypted and passphrase != "word":
        with pytest.raises(PkiError) as caught:
            load(text, passphrase)
        assert caught.value.reason is Reason.INVALID
        assert "passphrase" in caught.value.message
        assert caught.value.block == 1
    else:
        kind, written = same_key(text, passphrase)
        assert kind == "RSA"
        assert written.private_numbers() == original.private_numbers()


@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1", "secp521r1"])
def test_the_usual_curves_are_read_with_parameters_in_front(folder, curve):
    text = openssl("ecparam", "-name", curve, "-genkey", cwd=folder)
    assert "EC PARAMETERS" in text
    assert same_key(text)[0].startswith("EC P-")


def test_an_encrypted_sec1_key_is_read(folder):
    text = openssl("ec", "-in", "ec.pem", "-aes128", "-passout", "pass:word", cwd=folder)
    assert same_key(text, "word")[0] == "EC P-256"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("genpkey", "-algorithm", "ed25519"), "Ed25519"),
        (("genpkey", "-algorithm", "ed448"), "Ed448"),
        (("genpkey", "-algorithm", "x25519"), "X25519"),
        (("genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"), "RSA-PSS"),
        (("ecparam", "-name", "secp256k1", "-genkey", "-noout"), "secp256k1"),
        (("dsaparam", "-genkey", "-noout", "1024"), "DSA"),
        (("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:512"), "RSA 512"),
    ],
)
def test_keys_of_other_kinds_are_refused_by_name(folder, arguments, name):
    with pytest.raises(PkiError) as caught:
        load(openssl(*arguments, cwd=folder))
    assert caught.value.reason is Reason.UNSUPPORTED
    assert name in caught.value.message


def test_an_rsa_key_of_16384_bits_is_refused_before_it_is_loaded():
    huge = der.encode_integer(1 << 16383 | 1)
    body = der.encode(der.SEQUENCE, der.encode_integer(0) + huge * 8)
    with pytest.raises(PkiError) as caught:
        load_private_key(Block(label="RSA PRIVATE KEY", der=body))
    assert caught.value.reason is Reason.TOO_BIG


def encrypted_block(kdf_oid, *parameters):
    def oid(*octets):
        return der.encode(der.OBJECT_ID, bytes(octets))

    derivation = der.encode(der.SEQUENCE, oid(*kdf_oid) + der.encode(der.SEQUENCE, b"".join(parameters)))
    scheme = der.encode(der.SEQUENCE, derivation + der.encode(der.SEQUENCE, b""))
    pbes2 = oid(0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 5, 13)
    algorithm = der.encode(der.SEQUENCE, pbes2 + scheme)
    return Block(
        label="ENCRYPTED PRIVATE KEY",
        der=der.encode(der.SEQUENCE, algorithm + der.encode(der.OCTET_STRING, b"x" * 32)),
    )


PBKDF2 = (0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 5, 12)
SCRYPT = (0x2B, 6, 1, 4, 1, 0xDA, 0x47, 4, 11)
SALT = der.encode(der.OCTET_STRING, b"salt")


@pytest.mark.parametrize(
    ("kdf", "parameters"),
    [
        (PBKDF2, [10_000_001]),
        (PBKDF2, [1 << 20_000]),
        (PBKDF2, [0]),
        (SCRYPT, [1 << 20, 8, 1]),
        (SCRYPT, [1 << 10, 8, 1 << 20]),
        (SCRYPT, [0, 8, 1]),
    ],
)
def test_a_key_that_would_cost_too_much_is_refused_before_anything_is_spent(kdf, parameters):
    block = encrypted_block(kdf, SALT, *map(der.encode_integer, parameters))
    with pytest.raises(PkiError) as caught:
        load_private_key(block, "word")
    assert caught.value.reason is Reason.TOO_BIG


def test_a_key_never_shows_itself(folder):
    key = load((folder / "rsa.pem").read_text())
    assert repr(key) == str(key) == f"{key}" == "<secret>"


def test_a_key_pairs_with_its_own_certificate_only():
    root = make_root()
    leaf = make_leaf(root)
    key = load(leaf.key_pem)
    assert pairs(decode(leaf.certificate_der), key)
    assert not pairs(decode(make_leaf(root, key=make_key()).certificate_der), key)


def test_a_spelled_out_curve_is_written_as_its_name(folder):
    text = openssl(
        "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-param_enc", "explicit", cwd=folder
    )
    assert same_key(text)[0] == "EC P-256"


def test_an_encrypted_key_beyond_8192_bits_is_refused_before_it_is_opened():
    block = encrypted_block(PBKDF2, SALT, der.encode_integer(1))
    algorithm = der.sequence(block.der)[0].raw
    sealed = der.encode(der.SEQUENCE, algorithm + der.encode(der.OCTET_STRING, b"x" * 6000))
    headers = (("Proc-Type", "4,ENCRYPTED"), ("DEK-Info", "AES-128-CBC,00"))
    for large in (
        Block(label="ENCRYPTED PRIVATE KEY", der=sealed),
        Block(label="RSA PRIVATE KEY", der=b"x" * 6000, headers=headers),
    ):
        with pytest.raises(PkiError) as caught:
            load_private_key(large, "word")
        assert caught.value.reason is Reason.TOO_BIG


@pytest.mark.parametrize(
    ("label", "data"),
    [
        ("PRIVATE KEY", b"\x30\x03\x02\x01\x00"),
        ("PRIVATE KEY", b"nothing"),
        ("ENCRYPTED PRIVATE KEY", b"\x30\x02\x05\x00"),
        ("OPENSSH PRIVATE KEY", b"openssh-key-v1"),
        ("ENCRYPTED PRIVATE KEY", b"\x30\x0a\x30\x06\x06\x02\x2a\x03\x30\x00\x04\x00"),
    ],
)
def test_a_damaged_or_unknown_key_is_refused(label, data):
    with pytest.raises(PkiError):
        load_private_key(Block(label=label, der=data), "word")
