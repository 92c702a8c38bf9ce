"""When certificates were changed can be read without reading the certificates."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_certificate_changes", "certificate", ["id", "changed_s"], unique=False)
