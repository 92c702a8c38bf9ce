"""A moment that cannot be read of a certificate is no longer kept as if it were the first second of 1970."""

from contextlib import suppress

import sqlalchemy as sa
from alembic import op

from common.errors import PkiError
from common.pki.certificate import decode
from common.pki.pem import read_blocks

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

UNREADABLE_S = -62_135_596_801

_PEM = {"certificate": "leaf_pem", "trusted_ca": "certificate_pem"}


def upgrade() -> None:
    """Read those certificates again of which a moment was kept as 0."""
    connection = op.get_bind()
    for table, column in _PEM.items():
        doubtful = f"SELECT id, {column} FROM {table} WHERE not_before_s = 0 OR not_after_s = 0"  # noqa: S608 - names of ours
        for number, pem in connection.execute(sa.text(doubtful)).all():
            with suppress(PkiError):
                for block in read_blocks(pem).blocks[:1]:
                    found = decode(block.der)
                    begins_s, ends_s = (
                        UNREADABLE_S if each is None else each
                        for each in (found.not_before_s, found.not_after_s)
                    )
                    connection.execute(
                        sa.text(
                            f"UPDATE {table} SET not_before_s = :begins, not_after_s = :ends WHERE id = :id"  # noqa: S608 - names of ours
                        ),
                        {"begins": begins_s, "ends": ends_s, "id": number},
                    )
