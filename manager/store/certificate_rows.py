"""Rows of certificates: written, read and found within the caller's transaction.

Decides which entry an upload updates. Invariant: a private key is in no column but the sealed one.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Row, case, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import Hint, InvalidInputError, NotFoundError
from common.ids import CertificateId, Fingerprint
from manager.domain.annotations import ANNOTATIONS, Annotations
from manager.domain.identity import IdentityConflictError, identify
from manager.domain.model import CertificateRecord
from manager.store.records import NewCertificate
from manager.store.sealing import PRIVATE_KEY, Keyring
from manager.store.tables.content import certificate

TICK_S: Final = 0.001
"""Minimum difference between two change times; a float of today's unix time has steps of 0.24
microseconds."""

_INTERNAL: Final = frozenset({"sealed_key", "issuer_id", "public_key_id"})
"""Columns that no record includes."""

PLAIN_COLUMNS = [column for column in certificate.columns if column.name not in _INTERNAL]


async def keep_certificate(
    connection: AsyncConnection,
    keyring: Keyring,
    new: NewCertificate,
    *,
    replaced: Collection[CertificateId] = (),
    now_s: float,
) -> tuple[CertificateRecord, bool]:
    """Store a certificate; return it, and whether its entry is new. Raises IdentityConflictError."""
    same = await namesakes(connection, new)
    own = [row for row in same if row.public_key_id == new.decoded.public_key_id or row.id in replaced]
    if own:
        await update_certificate(connection, keyring, CertificateId(own[0].id), new, now_s)
        return await get_certificate(connection, CertificateId(own[0].id)), False
    if same:
        raise conflict_with(same[0], new)
    values = {**_values(new), "created_s": now_s, "changed_s": now_s, "sealed_key": b""}
    result = await connection.execute(insert(certificate).values(values))
    (added,) = result.inserted_primary_key or (0,)
    number = CertificateId(added)
    await _seal(connection, keyring, number, new)
    return await get_certificate(connection, number), True


async def require_certificate(connection: AsyncConnection, certificate_id: CertificateId) -> None:
    """Check that a certificate exists. Raises NotFoundError."""
    known = select(certificate.c.id).where(certificate.c.id == certificate_id)
    if (await connection.execute(known)).first() is None:
        raise missing_certificate(certificate_id)


async def update_certificate(
    connection: AsyncConnection,
    keyring: Keyring,
    certificate_id: CertificateId,
    new: NewCertificate,
    now_s: float,
) -> None:
    """Replace an entry's content. Raises NotFoundError."""
    await _change(connection, certificate_id, _values(new), now_s)
    await _seal(connection, keyring, certificate_id, new)


async def annotate_certificate(
    connection: AsyncConnection, certificate_id: CertificateId, annotations: Annotations, now_s: float
) -> None:
    """Replace the annotations that are given, and keep the others.

    Raises NotFoundError, InvalidInputError.
    """
    if values := annotations.given():
        _refuse_private_keys(values)
        await _change(connection, certificate_id, values, now_s)


async def _change(
    connection: AsyncConnection, certificate_id: CertificateId, values: Mapping[str, object], now_s: float
) -> None:
    # copies in memory notice a change by this time, so a clock that stands or is set back must not hide one
    was_s = certificate.c.changed_s
    changed_s = case((was_s >= now_s, was_s + TICK_S), else_=now_s)
    result = await connection.execute(
        update(certificate)
        .where(certificate.c.id == certificate_id)
        .values({**values, "changed_s": changed_s})
    )
    if not result.rowcount:
        raise missing_certificate(certificate_id)


async def _seal(
    connection: AsyncConnection, keyring: Keyring, certificate_id: CertificateId, new: NewCertificate
) -> None:
    sealed = keyring.seal(identity_of(certificate_id), new.private_key_pem.encode())
    await connection.execute(
        update(certificate).where(certificate.c.id == certificate_id).values(sealed_key=sealed)
    )


async def get_certificate(connection: AsyncConnection, certificate_id: CertificateId) -> CertificateRecord:
    """Return a certificate. Raises NotFoundError."""
    row = (await connection.execute(select(*PLAIN_COLUMNS).where(certificate.c.id == certificate_id))).first()
    if row is None:
        raise missing_certificate(certificate_id)
    return certificate_record(row)


def certificate_record(row: Row[Any]) -> CertificateRecord:
    """Return the record of a row of `PLAIN_COLUMNS`."""
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    fields["subject_alt_names"] = tuple(json.loads(fields["subject_alt_names"]))
    fields["fingerprint"] = Fingerprint(fields["fingerprint"])
    fields["annotations"] = Annotations(**{name: fields.pop(name) for name in ANNOTATIONS})
    return CertificateRecord(**fields)


def _values(new: NewCertificate) -> dict[str, Any]:
    own = {name: getattr(new, name) for name in new.__slots__ if name not in {"private_key_pem", "decoded"}}
    values = {**own, **asdict(new.decoded)}
    _refuse_private_keys(values)
    return {**values, "subject_alt_names": json.dumps(new.subject_alt_names)}


def _refuse_private_keys(values: Mapping[str, object]) -> None:
    if shown := [name for name, value in values.items() if isinstance(value, str) and PRIVATE_KEY in value]:
        raise InvalidInputError(shown[0], "a private key is in a field that would be stored unencrypted")


async def namesakes(connection: AsyncConnection, new: NewCertificate) -> Sequence[Row[Any]]:
    """Return the entries with this issuer and serial number, those with the same key first."""
    query = select(certificate).where(
        (certificate.c.issuer_id == new.decoded.issuer_id)
        & (certificate.c.serial_no == new.decoded.serial_no)
    )
    rows = (await connection.execute(query.order_by(certificate.c.id))).all()
    return sorted(rows, key=lambda row: row.public_key_id != new.decoded.public_key_id)


def conflict_with(row: Row[Any], new: NewCertificate) -> IdentityConflictError:
    """Return the error for another entry with a new certificate's issuer and serial number."""
    return IdentityConflictError(
        known=identify(row, "certificate", int(row.id)),
        given=identify(new.decoded, "certificate"),
        has_other_key=row.public_key_id != new.decoded.public_key_id,
    )


def identity_of(certificate_id: CertificateId) -> str:
    """Return the identity under which a certificate's key is sealed."""
    return f"certificate:{certificate_id}"


def missing_certificate(certificate_id: CertificateId) -> NotFoundError:
    """Return the error for a certificate that does not exist."""
    return NotFoundError(f"there is no certificate {certificate_id}", hint=Hint.LIST_CERTIFICATES)
