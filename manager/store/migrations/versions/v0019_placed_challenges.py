"""What nodes are to show to CAs that ask for it over port 80."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None
beside = "0018"

_WHOLE = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TOKEN = sa.String(128).with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table; no node shows anything yet."""
    op.create_table(
        "placed_challenge",
        sa.Column("node_id", _WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["node.id"], name="fk_placed_challenge_node_id", ondelete="CASCADE"
        ),
        sa.Column("token", _TOKEN, nullable=False),
        sa.Column("response", _TEXT, nullable=False),
        sa.Column("expires_s", sa.Float(), nullable=False),
        sa.Column("kept_s", sa.Float(), nullable=True),
        sa.Column("fault", _TEXT, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("node_id", "token", name="pk_placed_challenge"),
    )
    op.create_index("ix_placed_challenge_token", "placed_challenge", ["token"])
