"""What each credential is good for, who made it, and when and from where it was used last."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

LIFE_MAX_S = 365 * 86400
"""The longest that a token lives from now on, also one that was made before."""


def upgrade() -> None:
    """Add the columns; tokens there were keep their user's role, and live a year at most."""
    op.add_column(
        "api_token", sa.Column("scope", sa.String(length=16), nullable=False, server_default="read-only")
    )
    for table in ("api_token", "oauth_client"):
        op.add_column(table, sa.Column("last_used_s", sa.Float(), nullable=True))
        op.add_column(table, sa.Column("last_source", sa.String(length=64), nullable=True))
    for table in ("oauth_client", "join_token"):
        op.add_column(table, sa.Column("created_by", sa.Text(), nullable=False, server_default=""))
    op.add_column("session", sa.Column("source", sa.String(length=64), nullable=False, server_default=""))
    op.execute('UPDATE api_token SET scope = (SELECT role FROM "user" WHERE "user".id = api_token.user_id)')
    longest = "UPDATE api_token SET expires_s = created_s + :life WHERE expires_s > created_s + :life"
    op.execute(sa.text(longest).bindparams(life=LIFE_MAX_S))
