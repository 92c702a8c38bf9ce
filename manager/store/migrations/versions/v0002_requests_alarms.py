"""Certificate signing requests, alarms, and which intermediates are trusted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and the column."""
    op.add_column(
        "trusted_ca",
        sa.Column("trusted_intermediate", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
    # a root is trusted as itself
    op.execute("UPDATE trusted_ca SET trusted_intermediate = (NOT self_signed)")
    op.create_table(
        "request",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("subject_name", sa.Text(), nullable=False),
        sa.Column("raw_subject", sa.Text(), nullable=False),
        sa.Column("subject_alt_names", sa.Text(), nullable=False),
        sa.Column("key_type", sa.String(length=32), nullable=False),
        sa.Column("replaces_id", sa.Integer(), nullable=True),
        sa.Column("answer_id", sa.Integer(), nullable=True),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("answered_s", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["replaces_id"], ["certificate.id"], name=op.f("fk_request_replaces_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["certificate.id"], name=op.f("fk_request_answer_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alarm",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("node", sa.String(length=63), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("raised_s", sa.Float(), nullable=False),
        sa.Column("lowered_s", sa.Float(), nullable=True),
        sa.Column("acknowledged_s", sa.Float(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_alarm_lowered_s"), "alarm", ["lowered_s"], unique=False)
