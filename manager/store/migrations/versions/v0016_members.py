"""Managers that share a store: their leases, the sessions and duties that they have, and numbers that rise with each change."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_WHOLE = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _short(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.Text(collation="C"), "postgresql")


def _of_a_node(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint, sa.PrimaryKeyConstraint]:
    return (
        sa.Column("node_id", _WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=f"fk_{table}_node_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("node_id", name=f"pk_{table}"),
    )


def _of_a_member(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    return (
        sa.Column("member_id", _WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=f"fk_{table}_member_id", ondelete="CASCADE"
        ),
    )


def upgrade() -> None:
    """Make the tables; nobody is a member yet, and no number was drawn."""
    counter = op.create_table(
        "counter",
        sa.Column("name", _short(32), nullable=False),
        sa.Column("value", _WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counter"),
    )
    op.bulk_insert(counter, [{"name": "change", "value": 1}])
    op.create_table(
        "member",
        sa.Column("id", _WHOLE, autoincrement=True, nullable=False),
        sa.Column("node", _short(63), nullable=False),
        sa.Column("started_s", sa.Float(), nullable=False),
        sa.Column("renewed_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_member"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "hold",
        *_of_a_node("hold"),
        *_of_a_member("hold"),
        sa.Column("number", _WHOLE, nullable=False),
        sa.Column("since_s", sa.Float(), nullable=False),
        sa.Column("address", _TEXT, nullable=False),
        sa.Column("agent_version", _TEXT, nullable=False),
    )
    op.create_index("ix_hold_member_id", "hold", ["member_id"])
    op.create_table(
        "duty",
        sa.Column("name", _short(32), nullable=False),
        *_of_a_member("duty"),
        sa.PrimaryKeyConstraint("name", name="pk_duty"),
    )
    op.create_index("ix_duty_member_id", "duty", ["member_id"])
    op.create_table(
        "asked_push",
        *_of_a_node("asked_push"),
        sa.Column("is_forced", sa.Boolean(), nullable=False),
        sa.Column("asked_by", _TEXT, nullable=False),
        sa.Column("asked_s", sa.Float(), nullable=False),
    )
    op.create_table("node_change", *_of_a_node("node_change"), sa.Column("number", _WHOLE, nullable=False))
    op.create_index("ix_node_change_number", "node_change", ["number"])
