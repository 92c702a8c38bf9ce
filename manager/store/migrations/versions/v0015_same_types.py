"""Columns mean the same on every engine: 64 bits for a whole number, text of any length, sorted by code points.

SQLite has always had it so; on PostgreSQL a validity beyond 2038 did not fit, and names were sorted by the database's language.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_COLUMNS = sa.text(
    "SELECT table_name, column_name, data_type FROM information_schema.columns"
    " WHERE table_schema = current_schema() AND table_name <> 'alembic_version'"
    " AND data_type IN ('integer', 'character varying', 'text') ORDER BY table_name, ordinal_position"
)
_SEQUENCES = sa.text(
    "SELECT sequencename FROM pg_catalog.pg_sequences WHERE schemaname = current_schema() ORDER BY sequencename"
)


def upgrade() -> None:
    """Give every column its type, one pass over each table."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        return
    changes: dict[str, list[str]] = {}
    for table, column, kind in connection.execute(_COLUMNS).all():
        wide = "BIGINT" if kind == "integer" else 'TEXT COLLATE "C"'
        changes.setdefault(table, []).append(f'ALTER COLUMN "{column}" TYPE {wide}')
    for table, altered in changes.items():
        op.execute(f'ALTER TABLE "{table}" {", ".join(altered)}')
    for (sequence,) in connection.execute(_SEQUENCES).all():
        op.execute(f'ALTER SEQUENCE "{sequence}" AS BIGINT')
