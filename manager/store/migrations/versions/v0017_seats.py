"""What a manager knows of a node beside its report, for the other managers: whose agents greeted lately, until when it was heard, what was noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None
beside = "0016"

_WHOLE = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_KIND = sa.String(16).with_variant(sa.Text(collation="C"), "postgresql")


def _of_a_node(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    return (
        sa.Column("node_id", _WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=f"fk_{table}_node_id", ondelete="CASCADE"),
    )


def upgrade() -> None:
    """Make the tables; nobody has greeted yet."""
    op.create_table(
        "seat",
        *_of_a_node("seat"),
        sa.PrimaryKeyConstraint("node_id", name="pk_seat"),
        sa.Column("greetings", _TEXT, nullable=False),
        sa.Column("left_s", sa.Float(), nullable=True),
    )
    op.create_table(
        "sighting",
        *_of_a_node("sighting"),
        sa.Column("member_id", _WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name="fk_sighting_member_id", ondelete="CASCADE"
        ),
        sa.Column("kind", _KIND, nullable=False),
        sa.Column("text", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("node_id", "member_id", "kind", name="pk_sighting"),
    )
    op.create_index("ix_sighting_member_id", "sighting", ["member_id"])
