"""Renewal: accounts at CAs, what certificates are renewed with, and orders."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None
beside = "0017"

_WHOLE = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _short(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.Text(collation="C"), "postgresql")


def _id() -> sa.Column[int]:
    return sa.Column("id", _WHOLE, autoincrement=True, nullable=False)


def _refers(table: str, column: str, to: str, ondelete: str | None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}_{column}", ondelete=ondelete)


def upgrade() -> None:
    """Make the tables; nothing is renewed yet."""
    op.create_table(
        "acme_account",
        _id(),
        sa.Column("name", _short(150), nullable=False),
        sa.Column("directory_url", _TEXT, nullable=False),
        sa.Column("staging_url", _TEXT, nullable=False),
        sa.Column("trust_pem", _TEXT, nullable=False),
        sa.Column("contact", _TEXT, nullable=False),
        sa.Column("binding_id", _TEXT, nullable=False),
        sa.Column("url", _TEXT, nullable=False),
        sa.Column("terms_agreed", sa.Boolean(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_next_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_binding", sa.LargeBinary(), nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("deactivated_s", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_acme_account"),
        sa.UniqueConstraint("name", name="uq_acme_account_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "renewal",
        _id(),
        sa.Column("certificate_id", _WHOLE, nullable=True),
        sa.Column("account_id", _WHOLE, nullable=True),
        sa.Column("request_id", _WHOLE, nullable=True),
        sa.Column("is_new", sa.Boolean(), nullable=False),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("asked_again_s", sa.Float(), nullable=False),
        sa.Column("failures", _WHOLE, nullable=False),
        sa.Column("tried_again_s", sa.Float(), nullable=False),
        sa.Column("body", _TEXT, nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("changed_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_renewal"),
        sa.UniqueConstraint("certificate_id", name="uq_renewal_certificate_id"),
        _refers("renewal", "certificate_id", "certificate", "SET NULL"),
        _refers("renewal", "account_id", "acme_account", None),
        _refers("renewal", "request_id", "request", "SET NULL"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_renewal_account_id", "renewal", ["account_id"])
    op.create_index("ix_renewal_request_id", "renewal", ["request_id"])
    op.create_table(
        "acme_order",
        _id(),
        sa.Column("renewal_id", _WHOLE, nullable=False),
        sa.Column("unfinished_of", _WHOLE, nullable=True),
        sa.Column("is_test", sa.Boolean(), nullable=False),
        sa.Column("state", _short(16), nullable=False),
        sa.Column("answer_id", _WHOLE, nullable=True),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("body", _TEXT, nullable=False),
        sa.Column("created_s", sa.Float(), nullable=False),
        sa.Column("changed_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_acme_order"),
        sa.UniqueConstraint("unfinished_of", name="uq_acme_order_unfinished_of"),
        _refers("acme_order", "renewal_id", "renewal", "CASCADE"),
        _refers("acme_order", "unfinished_of", "renewal", "CASCADE"),
        _refers("acme_order", "answer_id", "certificate", "SET NULL"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_acme_order_renewal_id", "acme_order", ["renewal_id"])
    op.create_index("ix_acme_order_answer_id", "acme_order", ["answer_id"])
