"""What administrators write about a certificate; nobody has yet."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("certificate", sa.Column("note", sa.Text(), nullable=False, server_default=""))
