"""Issuer and serial number no longer promise that there is one certificate: the key is compared too.

The constraints that kept one entry for an issuer's text and a serial number go. SQLite can only do that by making the table anew, and
dropping the old one would empty what refers to it (ON DELETE): those columns are kept aside meanwhile.
"""

from contextlib import suppress

import sqlalchemy as sa
from alembic import op

from common.errors import PkiError
from common.ids import digest_of
from common.pki.certificate import decode
from common.pki.pem import read_blocks
from manager.pki.judge.identity import issuer_of, key_of

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_PEM = {"certificate": "leaf_pem", "trusted_ca": "certificate_pem"}


def upgrade() -> None:
    """Add the columns, fill them from the certificates, and drop the constraints."""
    for table in _PEM:
        for name in ("issuer_id", "public_key_id"):
            op.add_column(table, sa.Column(name, sa.String(length=64), nullable=False, server_default=""))
        _fill(table)
    assigned, requested, numbers = _referring(), _requested(), _numbers()
    for table in _PEM:
        with op.batch_alter_table(table, table_kwargs={"sqlite_autoincrement": True}) as batch:
            batch.drop_constraint(f"uq_{table}_raw_issuer", type_="unique")
            for name in ("issuer_id", "public_key_id"):
                batch.alter_column(name, existing_type=sa.String(length=64), server_default=None)
    _restore(assigned, requested, numbers)
    op.create_index("ix_certificate_identity", "certificate", ["issuer_id", "serial_no"], unique=False)
    op.create_index("ix_certificate_public_key_id", "certificate", ["public_key_id"], unique=False)
    op.create_index("ix_trusted_ca_identity", "trusted_ca", ["issuer_id", "serial_no"], unique=False)


def _fill(table: str) -> None:
    connection = op.get_bind()
    rows = connection.execute(sa.text(f"SELECT id, {_PEM[table]} FROM {table}")).all()  # noqa: S608 - names of ours
    for number, pem in rows:
        # what cannot be decoded is identical with itself only
        issuer: str = digest_of(pem.encode())
        key = issuer
        with suppress(PkiError):
            for block in read_blocks(pem).blocks[:1]:
                found = decode(block.der)
                issuer, key = issuer_of(found), key_of(found)
        connection.execute(
            sa.text(f"UPDATE {table} SET issuer_id = :issuer, public_key_id = :key WHERE id = :id"),  # noqa: S608 - names of ours
            {"issuer": issuer, "key": key, "id": number},
        )


def _referring() -> list[dict[str, object]]:
    rows = op.get_bind().execute(sa.text("SELECT node_id, slot, certificate_id FROM assignment"))
    return [dict(row) for row in rows.mappings()]


def _requested() -> list[dict[str, object]]:
    rows = op.get_bind().execute(sa.text("SELECT id, replaces_id, answer_id FROM request"))
    return [dict(row) for row in rows.mappings()]


def _numbers() -> list[dict[str, object]]:
    """Return how far ids have been given: one of a deleted entry is not given again."""
    if op.get_bind().dialect.name != "sqlite":
        return []
    rows = op.get_bind().execute(sa.text("SELECT name, seq FROM sqlite_sequence"))
    return [dict(row) for row in rows.mappings() if row["name"] in _PEM]


def _restore(
    assigned: list[dict[str, object]],
    requested: list[dict[str, object]],
    numbers: list[dict[str, object]],
) -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    connection.execute(sa.text("DELETE FROM assignment"))
    if assigned:
        statement = (
            "INSERT INTO assignment (node_id, slot, certificate_id) VALUES (:node_id, :slot, :certificate_id)"
        )
        connection.execute(sa.text(statement), assigned)
    if requested:
        statement = "UPDATE request SET replaces_id = :replaces_id, answer_id = :answer_id WHERE id = :id"
        connection.execute(sa.text(statement), requested)
    for each in numbers:
        connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), each)
        connection.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), each)
