"""What clients of the management API expect back as it came: small resources, details of nodes, parameters."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and the columns."""
    op.create_table(
        "document",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_document_kind"), "document", ["kind"], unique=False)
    op.add_column("node", sa.Column("detail", sa.Text(), server_default="{}", nullable=False))
    op.add_column("certificate", sa.Column("parameters_text", sa.Text(), server_default="", nullable=False))
