"""What a republished generation stands in for, and clients that sign in with a key of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the tables."""
    op.add_column("generation", sa.Column("instead_of", sa.String(length=64), nullable=True))
    op.create_table(
        "oauth_client",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=150), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_client")),
        sa.UniqueConstraint("client_id", name=op.f("uq_oauth_client_client_id")),
        sa.UniqueConstraint("name", name=op.f("uq_oauth_client_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "oauth_assertion",
        sa.Column("oauth_client_id", sa.Integer(), nullable=False),
        sa.Column("jti_hash", sa.String(length=64), nullable=False),
        sa.Column("expires_s", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["oauth_client_id"],
            ["oauth_client.id"],
            name=op.f("fk_oauth_assertion_oauth_client_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("oauth_client_id", "jti_hash", name=op.f("pk_oauth_assertion")),
    )
    op.create_table(
        "oauth_token",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("oauth_client_id", sa.Integer(), nullable=False),
        sa.Column("expires_s", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["oauth_client_id"],
            ["oauth_client.id"],
            name=op.f("fk_oauth_token_oauth_client_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_oauth_token")),
    )
    op.create_index(op.f("ix_oauth_token_oauth_client_id"), "oauth_token", ["oauth_client_id"], unique=False)
