"""How a node came by the key that is pinned; of those that have joined already that is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("node", sa.Column("key_change", sa.Text(), nullable=True))
