"""A trusted CA that takes the place of a stored one, and is of less use, is told before it is made, whichever way it comes."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from common.pki.certificate import decode
from manager.pki.read.batch import ImportFile
from tests.pki import DAY_S, NOW_S, make_leaf
from tests.unit.usecases.confirming.conftest import ISSUER, ROOT, codes, refused, upload
from tests.unit.usecases.conftest import World


def again(*, ends_s: int = NOW_S + 3650 * DAY_S, is_ca: bool = True, may_sign: bool = True) -> str:
    """Return the root of these tests, reissued by itself with its serial number and key."""
    was = x509.load_der_x509_certificate(ROOT.certificate_der)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=may_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder(
            issuer_name=was.issuer,
            subject_name=was.subject,
            public_key=was.public_key(),
            serial_number=was.serial_number,
            not_valid_before=was.not_valid_before_utc,
            not_valid_after=dt.datetime.fromtimestamp(ends_s, dt.UTC),
        )
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(ROOT.key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )


WORSE = {
    "has expired": again(ends_s=NOW_S - DAY_S),
    "may not sign certificates": again(may_sign=False),
}


@pytest.mark.parametrize("worse", WORSE.values(), ids=list(WORSE))
async def test_adding_one_that_breaks_chains_is_told_and_changes_nothing(world: World, worse: str):
    await upload(world, make_leaf(ISSUER))
    take = world.use_cases.trust.take
    error = await refused(take(worse, confirm="", actor="ada"))
    assert codes(error.consequences) == {"untrusted", "chain_broken"}
    assert "node.example.com" in error.message
    assert (await world.use_cases.trust.get(1)).fingerprint == decode(ROOT.certificate_der).fingerprint
    await take(worse, confirm=error.token, actor="ada")
    assert (await world.use_cases.trust.get(1)).fingerprint != decode(ROOT.certificate_der).fingerprint


async def test_an_import_is_no_other_door(world: World):
    await upload(world, make_leaf(ISSUER))
    file = ImportFile(name="root.pem", data=WORSE["may not sign certificates"].encode())
    error = await refused(
        world.use_cases.certificates.import_files([file], passphrase=None, confirm="", actor="ada")
    )
    assert {"untrusted", "chain_broken"} <= codes(error.consequences)


async def test_an_edit_is_told_although_no_chain_needs_it(world: World):
    edit = world.use_cases.trust.edit
    error = await refused(
        edit(
            1,
            certificate=WORSE["has expired"],
            trusted_intermediate=None,
            force=False,
            confirm="",
            actor="ada",
        )
    )
    assert codes(error.consequences) == {"untrusted"}


async def test_a_reissued_root_that_is_as_good_is_taken_without_a_question(world: World):
    await upload(world, make_leaf(ISSUER))
    taken = await world.use_cases.trust.take(again(), confirm="", actor="ada")
    assert [created for _, created in taken.kept] == [False]
    assert not taken.consequences


async def test_a_program_that_does_not_ask_is_told_afterwards(world: World):
    await upload(world, make_leaf(ISSUER))
    taken = await world.use_cases.trust.take(WORSE["has expired"], actor="ada")
    assert codes(list(taken.consequences)) == {"untrusted", "chain_broken"}
