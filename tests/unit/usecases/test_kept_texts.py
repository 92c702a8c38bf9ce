"""What is kept of a text, whichever way it comes in: as it was given, and never a key."""

import base64
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from common.pki.pem import pem_of
from manager.pki.read.batch import ImportFile
from manager.pki.read.parameters import FFDHE2048_PEM
from manager.pki.read.upload import read_tls
from manager.usecases.csrs import CsrChanges, KeyChoice
from manager.usecases.kept import new_certificate
from manager.usecases.uploads import Edit, Upload
from tests.pki import NOW_S, Made, make_intermediate, make_leaf, make_root
from tests.unit.usecases.conftest import World

ROOT = make_root()
ISSUER = make_intermediate(ROOT)
SHORT = 10


def wrapped(made: Made) -> str:
    """Return a key that no reader recognises as one: its marks are lost, and its lines are shorter than any tool's."""
    return "Private-Key\n" + "".join(f"{piece}\n" for piece in pieces(made))


def pieces(made: Made) -> list[str]:
    body = body_of(made)
    return [body[at : at + SHORT] for at in range(0, len(body), SHORT)]


def secret_pieces(made: Made) -> list[str]:
    """Return the pieces that are of the private number alone.

    The rest of a key is public: its kind, and the public key, of which any certificate or CSR may have the same characters in a row. That
    depends on how many bytes stand before it, and a serial number is now and then a byte shorter.
    """
    key, der = made.key, base64.b64decode(body_of(made))
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    begin = der.index(number)
    # 3 bytes are 4 characters
    first, end = -(-begin * 4 // 3), (begin + len(number)) * 4 // 3
    return [piece for at, piece in enumerate(pieces(made)) if first <= at * SHORT and (at + 1) * SHORT <= end]


def body_of(made: Made) -> str:
    return "".join(made.key_pem.splitlines()[1:-1])


def stored(directory: Path, text: str) -> bool:
    return any(text.encode() in path.read_bytes() for path in directory.glob("*.db*"))


async def upload(world: World, made: Made, *, before: str = "", parameters: str = "") -> int:
    uploaded = await world.use_cases.certificates.upload(
        Upload(
            certificate=before + made.certificate_pem,
            private_key=made.key_pem,
            passphrase=None,
            parameters=parameters,
            nodes=[],
            slot="server",
        ),
        actor="ada",
    )
    return uploaded.record.id


async def test_no_way_in_keeps_a_key_in_the_clear(world: World, tmp_path: Path):
    certificates, made = world.use_cases.certificates, make_leaf(ISSUER)
    number = await upload(world, made, before=wrapped(made), parameters=wrapped(made) + FFDHE2048_PEM)
    edit = Edit(
        certificate=wrapped(made) + made.certificate_pem,
        parameters=made.key_pem + wrapped(made) + FFDHE2048_PEM,
    )
    await certificates.edit(number, edit, actor="ada")
    text = f"{wrapped(made)}{made.certificate_pem}{made.key_pem}"
    await certificates.import_files([ImportFile("a.pem", text.encode())], passphrase=None, actor="ada")
    ((trusted, _),) = (
        await world.use_cases.trust.take(wrapped(made) + ROOT.certificate_pem, actor="ada")
    ).kept
    await world.use_cases.trust.edit(
        trusted.id,
        certificate=wrapped(made) + ROOT.certificate_pem,
        trusted_intermediate=None,
        force=False,
        actor="ada",
    )
    request = await world.use_cases.csrs.create(
        replaces=number, changes=CsrChanges(), key=KeyChoice(private_key=made.key_pem), actor="ada"
    )
    await world.use_cases.csrs.answer(
        request.id,
        certificate=wrapped(made) + make_leaf(ISSUER, key=made.key).certificate_pem,
        parameters="",
        take_over=False,
        nodes=[],
        slot="server",
        actor="ada",
    )
    await world.store.close()
    assert stored(tmp_path, made.certificate_pem)
    assert not any(stored(tmp_path, piece) for piece in secret_pieces(made))


def test_what_is_looked_for_of_a_key_is_in_nothing_that_is_public():
    made = make_leaf(ISSUER)
    found = secret_pieces(made)
    assert len(found) >= 3
    assert set(found) < set(pieces(made))
    # one whose serial number is shorter has the public key at another place
    others = [make_leaf(ISSUER, key=made.key, serial=1 << 8 * length) for length in range(14, 18)]
    public = "".join("".join(each.certificate_pem.splitlines()) for each in others)
    assert any(piece in public for piece in pieces(made))
    assert not any(piece in public for piece in found)


async def test_texts_without_a_key_are_kept_as_they_were_given(world: World):
    made = make_leaf(ISSUER)
    number = await upload(world, made, before="# ours\r\n", parameters=f"\n{FFDHE2048_PEM}\n# theirs")
    record = await world.store.certificates.get(number)
    assert record.text == "# ours\r\n" + made.certificate_pem
    assert record.parameters_text == f"\n{FFDHE2048_PEM}\n# theirs"
    ((trusted, _),) = (await world.use_cases.trust.take(ROOT.certificate_pem, actor="ada")).kept
    given = f"# our root\n{ROOT.certificate_pem}\n\n"
    kept = await world.use_cases.trust.edit(
        trusted.id, certificate=given, trusted_intermediate=None, force=False, actor="ada"
    )
    assert kept.record.text == given


async def test_parameters_that_came_with_an_answer_outlive_an_edit_of_the_certificate(world: World):
    made = make_leaf(ISSUER)
    request = await world.use_cases.csrs.create(
        replaces=None,
        changes=CsrChanges(subject="CN=node.example.com"),
        key=KeyChoice(private_key=made.key_pem),
        actor="ada",
    )
    answered = await world.use_cases.csrs.answer(
        request.id,
        certificate=made.certificate_pem,
        parameters=FFDHE2048_PEM,
        take_over=False,
        nodes=[],
        slot="server",
        actor="ada",
    )
    number = answered.kept.certificate.id
    edit = Edit(certificate=made.certificate_pem + ISSUER.certificate_pem)
    await world.use_cases.certificates.edit(number, edit, actor="ada")
    assert (await world.store.certificates.get(number)).parameters_pem == FFDHE2048_PEM


async def test_a_text_that_an_earlier_release_took_stops_nothing_where_this_one_sees_more_of_it(world: World):
    made = make_leaf(ISSUER)
    new = new_certificate(read_tls(certificate=made.certificate_pem, private_key=made.key_pem))
    unseen = f"an old note: {pem_of(b'this is no certificate at all, and nobody could tell')}"
    record, _ = await world.store.certificates.add(replace(new, text=unseen + new.text), now_s=NOW_S)
    shown = await world.use_cases.certificates.show(record.id)
    assert shown.entry.leaf.der == made.certificate_der


@pytest.mark.parametrize("form", ["archive", "PKCS#7", "PEM"])
async def test_what_is_read_back_of_a_trusted_ca_is_pem_of_it_whatever_it_came_in(world: World, form):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("root.crt", ROOT.certificate_pem)
        archive.writestr("README.txt", "Thank you.\n")
    given = {
        "archive": pem_of(packed.getvalue()),
        "PKCS#7": pem_of(pkcs7.serialize_certificates([ROOT.certificate], Encoding.DER)),
        "PEM": f"# ours\n{ROOT.certificate_pem}",
    }[form]
    kept, _ = await world.use_cases.trust.upload_one(given, trusted_intermediate=False, actor="ada")
    assert kept.text == (given if form == "PEM" else ROOT.certificate_pem)
