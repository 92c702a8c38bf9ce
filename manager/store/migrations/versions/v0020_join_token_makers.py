"""What each unused join token was made with, by a number that no renaming changes, so that it goes with that.

Managers of the schema before note nobody: a join token that one of them makes while managers of both serve lasts until it expires.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None
beside = "0019"

_WHOLE = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """Add the columns; an unused token is that of the administrator or program called as who made it, and goes if none is that may make any."""
    given = _given()
    # made anew on SQLite, which adds no constraint to a table that is there; nothing refers to this one
    with op.batch_alter_table("join_token", table_kwargs={"sqlite_autoincrement": True}) as batch:
        for table in ("user", "api_token", "oauth_client"):
            column = f"{table}_id"
            batch.add_column(sa.Column(column, _WHOLE, nullable=True))
            batch.create_foreign_key(f"fk_join_token_{column}", table, [column], ["id"], ondelete="CASCADE")
    _restore(given)
    op.execute(
        """UPDATE join_token SET user_id = (SELECT id FROM "user" WHERE name = join_token.created_by AND role = 'administrator')
        WHERE used_key IS NULL"""
    )
    op.execute(
        """UPDATE join_token SET oauth_client_id = (
            SELECT c.id FROM oauth_client AS c JOIN api_role AS r ON r.id = c.api_role_id
            WHERE 'oauth:' || c.name = join_token.created_by AND r.permissions LIKE '%"provision"%'
        ) WHERE used_key IS NULL"""
    )
    op.execute(
        "DELETE FROM join_token WHERE used_key IS NULL AND user_id IS NULL AND oauth_client_id IS NULL"
    )


def _given() -> int | None:
    """Return how far ids have been given where making the table anew forgets it: one of a token that is gone is not given again."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return None
    return connection.execute(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'join_token'")).scalar()


def _restore(given: int | None) -> None:
    if given is not None:
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'join_token'")
        op.execute(
            sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES ('join_token', :seq)").bindparams(
                seq=given
            )
        )
