"""Numbers of API tokens and join tokens that are given once, and what tells one pinning of a node's key from the next."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables anew, with a counter that no deletion sets back, and add the column, which nobody has asked for yet."""
    if op.get_bind().dialect.name == "sqlite":
        # others never set their counters back
        _renew_both()
    op.add_column("node", sa.Column("pinning", sa.String(length=64), nullable=True))


def _renew_both() -> None:
    _renew(
        "api_token",
        "user",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=150), nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("expires_s", sa.Float(), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False, server_default="read-only"),
        sa.Column("last_used_s", sa.Float(), nullable=True),
        sa.Column("last_source", sa.String(length=64), nullable=True),
        unique="token_hash",
    )
    _renew(
        "join_token",
        "node",
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("expires_s", sa.Float(), nullable=False),
        sa.Column("used_key", sa.String(length=128), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False, server_default=""),
        unique="secret_hash",
    )


def _renew(table: str, owner: str, *columns: sa.Column[object], unique: str) -> None:
    new = f"{table}_new"
    op.create_table(
        new,
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column(f"{owner}_id", sa.Integer(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            [f"{owner}_id"],
            [f"{owner}.id"],
            name=op.f(f"fk_{table}_{owner}_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint(unique, name=op.f(f"uq_{table}_{unique}")),
        sqlite_autoincrement=True,
    )
    names = ", ".join(["id", f"{owner}_id", *(column.name for column in columns)])
    op.execute(f"INSERT INTO {new} ({names}) SELECT {names} FROM {table}")  # noqa: S608 - names of ours
    op.drop_table(table)
    op.rename_table(new, table)
    op.create_index(op.f(f"ix_{table}_{owner}_id"), table, [f"{owner}_id"], unique=False)
