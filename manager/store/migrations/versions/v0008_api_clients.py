"""Roles that are named by clients of the management API, and the text by which a signing request was answered."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BUILT_IN = (
    ("read-only", ["use_api"]),
    ("operator", ["use_api", "operate"]),
    ("administrator", ["use_api", "operate", "is_admin"]),
)


def upgrade() -> None:
    """Add the table with the roles there were, and the columns; what answered earlier requests is taken from the certificates."""
    table = op.create_table(
        "api_role",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("built_in", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_role")),
        sa.UniqueConstraint("name", name=op.f("uq_api_role_name")),
        sqlite_autoincrement=True,
    )
    for name, permissions in BUILT_IN:
        row = {"name": name, "permissions": json.dumps(permissions), "built_in": True}
        op.execute(sa.insert(table).values(row))
    # null means the built-in role of the client's level
    op.add_column("oauth_client", sa.Column("api_role_id", sa.Integer(), nullable=True))
    op.add_column("request", sa.Column("answer_text", sa.Text(), nullable=True))
    op.execute(
        "UPDATE request SET answer_text = (SELECT text FROM certificate WHERE certificate.id = request.answer_id)"
        " WHERE answer_id IS NOT NULL"
    )
