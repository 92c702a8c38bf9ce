"""Somebody has a downloaded file and guesses its passphrase: what each guess costs, and by which clients the file still opens."""

import re
import subprocess
from pathlib import Path

import pytest

from common.api.codes import Format
from common.errors import InvalidInputError
from common.pki import der
from common.pki.certificate import decode
from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.write.export import ExportItem, export
from manager.pki.write.seal import MAC_ROUNDS, ROUNDS, Sealer
from tests.patience import PATIENCE_S
from tests.pki import make_intermediate, make_leaf, make_root

ADVISED = 600_000
"""Rounds of PBKDF2-HMAC-SHA-256 (OWASP)."""

PASSPHRASE = "grün correct horse"
ROOT = make_root()
LOW = make_intermediate(ROOT, "Low")
LEAVES = [make_leaf(LOW, [f"{name}.example.com"]) for name in ("a", "b", "c")]


def items(count: int) -> list[ExportItem]:
    return [
        ExportItem(
            leaf=decode(made.certificate_der),
            chain=(decode(LOW.certificate_der),),
            private_key_pem=made.key_pem,
        )
        for made in LEAVES[:count]
    ]


def openssl(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("count", [1, 3])
def test_every_guess_at_a_pem_file_costs_what_is_advised_and_openssl_opens_it(
    tmp_path: Path, count: int, record_property
):
    made = export(items(count), Format.PEM, passphrase=PASSPHRASE)
    (tmp_path / "x.pem").write_bytes(made.content)
    blocks = re.findall(
        rb"-----BEGIN ENCRYPTED PRIVATE KEY-----.*?-----END ENCRYPTED PRIVATE KEY-----\n",
        made.content,
        re.DOTALL,
    )
    assert len(blocks) == count
    for block, leaf in zip(blocks, LEAVES, strict=False):
        (tmp_path / "key.pem").write_bytes(block)
        reply = openssl(tmp_path, "asn1parse", "-in", "key.pem")
        rounds = [int(value, 16) for value in re.findall(r"INTEGER +:([0-9A-F]+)$", reply, re.MULTILINE)]
        record_property("rounds", rounds)
        assert min(rounds) >= ADVISED
        assert "hmacWithSHA256" in reply
        assert "aes-256-cbc" in reply
        opened = openssl(tmp_path, "pkey", "-in", "key.pem", "-passin", f"pass:{PASSPHRASE}")
        assert opened == leaf.key_pem


@pytest.mark.parametrize("count", [1, 3])
def test_every_guess_at_a_pfx_file_costs_what_is_advised_by_bags_and_by_mac_and_openssl_opens_it(
    tmp_path: Path, count: int, record_property
):
    made = export(items(count), Format.PFX, passphrase=PASSPHRASE)
    (tmp_path / "x.pfx").write_bytes(made.content)
    reply = openssl(tmp_path, "pkcs12", "-in", "x.pfx", "-info", "-noout", "-passin", f"pass:{PASSPHRASE}")
    (mac,) = re.findall(r"^MAC: sha256, Iteration (\d+)$", reply, re.MULTILINE)
    bags = re.findall(
        r"PBES2, PBKDF2, AES-256-CBC, Iteration (\d+), PRF hmacWithSHA256$", reply, re.MULTILINE
    )
    record_property("rounds", {"mac": int(mac), "bags": bags})
    assert int(mac) >= 2 * ADVISED
    assert len(bags) == count + 1
    assert all(int(each) >= ADVISED for each in bags)
    shown = openssl(tmp_path, "pkcs12", "-in", "x.pfx", "-nodes", "-passin", f"pass:{PASSPHRASE}")
    for leaf in LEAVES[:count]:
        assert leaf.key_pem in shown
        assert leaf.certificate_pem in shown
    assert shown.count(LOW.certificate_pem) == 1


@pytest.mark.services("pk12util", "certutil")
@pytest.mark.parametrize("count", [1, 3])
def test_nss_opens_a_pfx_file_with_its_keys(tmp_path: Path, count: int):
    (tmp_path / "x.pfx").write_bytes(export(items(count), Format.PFX, passphrase=PASSPHRASE).content)
    database = f"sql:{tmp_path}"
    for command in (
        ["certutil", "-N", "-d", database, "--empty-password"],
        ["pk12util", "-i", str(tmp_path / "x.pfx"), "-d", database, "-W", PASSPHRASE, "-K", ""],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
    listed = subprocess.run(
        ["certutil", "-K", "-d", database], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert len(re.findall(r"^< *\d+>", listed.stdout, re.MULTILINE)) == count


@pytest.mark.parametrize("form", [Format.PEM, Format.PFX])
def test_we_read_back_a_file_of_many_keys_at_the_cost_of_one(form: Format, monkeypatch: pytest.MonkeyPatch):
    derived = []
    made = export(items(3), form, passphrase=PASSPHRASE)
    import hashlib

    real = hashlib.pbkdf2_hmac

    def counting(*arguments, **named):
        derived.append(arguments[3])
        return real(*arguments, **named)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counting)
    batch = read_batch([ImportFile("x", made.content)], passphrase=PASSPHRASE)
    assert {each.private_key_pem for each in batch.tls} == {leaf.key_pem for leaf in LEAVES}
    assert derived == [ROUNDS]


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize(
    "passphrase",
    [
        "elevenchars",
        "a" * 64,
        "abcabcabcabcabc",
        "correct hor",
        "password1234",
        "P4ssw0rd2024!",
        "qwertyuiop12",
    ],
)
def test_a_passphrase_that_is_soon_guessed_is_refused_with_what_is_wanted(form: Format, passphrase: str):
    with pytest.raises(InvalidInputError, match=r"at least 12 characters|four words or more"):
        export(items(1), form, passphrase=passphrase)


def test_parts_of_one_file_have_one_salt_and_vectors_of_their_own_and_two_files_share_nothing():
    sealer = Sealer(PASSPHRASE)
    (first, one), (second, two) = sealer.seal(b"same"), sealer.seal(b"same")
    (other, three) = Sealer(PASSPHRASE).seal(b"same")
    assert len({one, two, three}) == 3
    assert derivation(first) == derivation(second) != derivation(other)
    assert MAC_ROUNDS >= 2 * ROUNDS


def derivation(algorithm: bytes) -> bytes:
    _, parameters = der.sequence(algorithm, 2)
    return der.members(parameters, der.SEQUENCE, 2)[0].raw


@pytest.mark.parametrize("form", list(Format))
def test_the_names_of_what_is_in_the_file_add_nothing_to_its_passphrase(form: Format):
    with pytest.raises(InvalidInputError) as refused:
        export(items(3), form, passphrase="B.Example.com-2026")
    assert refused.value.field == "passphrase"
